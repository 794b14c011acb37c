"""A checkpoint → a model that was proven to be the same, in the store or in a folder of its own."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..engine import memory
from ..engine.session import open_model
from ..engine.synthetic import render
from ..models import store
from ..models.card import CARD, ModelCard, Precision
from ..models.errors import ModelError
from . import checkpoint, parity
from .families import Family, family_of
from .lower import DECODER, ENCODER, Half, Int8
from .sam_decoder import write_decoder

POINTS_PER_SIDE: Final = 12
ROUNDS: Final = 6
"""How often layers are put back to fp32 before an export is given up; each time twice as many."""
FIRST_BACK: Final = 4
SMALLEST_RADIUS: Final = 8.0
"""Of SAM, model px: half a side of its patches. What it finds below that hangs on a pixel or two of its own masks."""

Progress = Callable[[str, float], None]
"""Called with the stage at work and the share of it that is done, 0–1."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export left."""

    folder: Path
    card: ModelCard
    report: parity.Report


def export(
    path: Path,
    model: str = "auto",
    precision: Precision = "fp32",
    name: str | None = None,
    out: Path | None = None,
    *,
    overwrite: bool = False,
    points_per_side: int = POINTS_PER_SIDE,
    progress: Progress = lambda _stage, _share: None,
) -> Exported:
    """Export a checkpoint, prove it against torch, and file it under ``name`` in the store, or in the folder ``out``.

    ``model`` is ``auto`` or what the checkpoint must be, else ModelError. ``points_per_side``: of the grid of the
    proof. ModelError says which figure is outside its tolerance; nothing is kept then.
    """
    begun = time.monotonic()
    progress("read the checkpoint", 0.0)
    sha256 = checkpoint.hash_file(path, lambda share: progress("read the checkpoint", share))
    state = checkpoint.read(path)
    family = family_of(state)
    kind = family.model_type(state)
    if model not in ("auto", kind):
        raise ModelError(f"{path}: its tensors are those of {kind}, not of {model}.")
    reference = family.reference(state)
    del state
    kind = family.prefix + kind
    name = name or (kind if precision == "fp32" else f"{kind}-{precision}")
    with _workspace(name, out, overwrite) as (folder, finish):
        card = _card(name, kind, reference, precision, path, sha256)
        maker = _Maker(folder, card, family, reference, progress, points_per_side)
        del reference
        made = maker.make()
        card = replace(
            made.card,
            parity=made.report.to_dict() | {"tolerance": _tolerance(precision)},
            export={
                "precision": precision,
                "kept in fp32": made.kept,
                "seconds": round(time.monotonic() - begun, 1),
                "peak memory, bytes": memory.peak(),
                "versions": {p: metadata.version(p) for p in ("samcolloid-edge", "torch", "onnx", "numpy")}
                | {"onnxruntime": onnxruntime.__version__},
            },
        )
        (folder / CARD).write_text(card.to_json(), "utf-8")
        progress("file the model", 0.0)
        return Exported(finish(), card, made.report)


@dataclass(slots=True)
class _Made:
    card: ModelCard
    report: parity.Report
    kept: list[str]


@dataclass(slots=True)
class _Maker:
    """One export at work in its folder."""

    folder: Path
    card: ModelCard
    family: Family
    reference: Any
    progress: Progress
    points_per_side: int

    def make(self) -> _Made:
        """Write the graphs, and put layers back to fp32 until the proof holds; ModelError where it never does."""
        self.progress("write the encoder", 0.0)
        self.family.write_encoder(self.reference, self.folder / ENCODER)
        self.progress("write the decoder", 0.0)
        write_decoder(self.reference, self.folder / DECODER)
        self.progress("run torch", 0.0)
        theirs = parity.Reference(parity.Torch(self.reference, self.card), self.points_per_side,
                                  progress=lambda share: self.progress("run torch", share))  # fmt: skip
        self.reference = None  # 2.5 GB of ViT-H, which nothing asks any more
        if self.card.precision == "fp32":
            report = self.prove(theirs)
            if problems := report.problems(parity.TOLERANCES["fp32"]):
                raise ModelError(_failed(problems))
            return _Made(self.filled(), report, [])
        return self.reduce(theirs)

    def reduce(self, theirs: parity.Reference) -> _Made:
        """Lower the precision of the fp32 graphs that were written."""
        full = self.folder / "fp32"
        full.mkdir()
        for file in self.folder.glob("*.onnx*"):
            file.replace(full / file.name)
        if self.card.precision == "fp16":
            lower: Half | Int8 = Half(full, self.folder, self.inputs(full))
        else:
            lower = Int8(full, self.folder, self.images())
        kept, order = lower.from_the_first(), None
        for attempt in range(ROUNDS):
            self.progress(f"write {self.card.precision}, {len(kept)} layers in fp32", attempt / ROUNDS)
            lower.write(kept)
            report = self.prove(theirs)
            problems = report.problems(parity.TOLERANCES[self.card.precision])
            if not problems:
                shutil.rmtree(full)
                return _Made(self.filled(), report, sorted(kept))
            order = lower.order() if order is None else order
            waiting = [node for node in order if node not in kept]
            kept = [*kept, *waiting[: FIRST_BACK * 2**attempt]]
        raise ModelError(_failed(problems))

    def prove(self, theirs: parity.Reference) -> parity.Report:
        """Load what lies in the folder and compare it with torch."""
        card = self.filled()
        (self.folder / CARD).write_text(card.to_json(), "utf-8")
        session = open_model(self.folder, device="cpu")
        return theirs.compare(session, lambda share: self.progress("compare with torch", share))

    def filled(self) -> ModelCard:
        """The card with the hashes of the files that lie there now."""
        files = sorted(p for p in self.folder.iterdir() if p.name.startswith(("encoder.onnx", "decoder.onnx")))
        return replace(self.card, files={p.name: checkpoint.hash_file(p) for p in files})

    def images(self) -> list[NDArray[np.uint8]]:
        """(H, W, 3) renderings to measure ranges of values on; the first of the proof's own kind, with other seeds."""
        scenes = [replace(scene, seed=scene.seed + 50) for scene in parity.SCENES[:2]]
        return [np.repeat(render(scene).image[..., None], 3, 2) for scene in scenes]

    def inputs(self, full: Path) -> dict[str, list[dict[str, NDArray[Any]]]]:
        """Inputs of both graphs, those in the folder ``full``, to measure ranges of values on."""
        encoder = onnxruntime.InferenceSession(str(full / ENCODER), providers=["CPUExecutionProvider"])
        feeds: dict[str, list[dict[str, NDArray[Any]]]] = {ENCODER: [], DECODER: []}
        rng = np.random.default_rng(1)
        for image in self.images():
            coords = (rng.uniform(0, 1, (8, 2, 2)) * image.shape[1::-1]).astype(np.float32)
            feeds[ENCODER].append({"image": image})
            feeds[DECODER].append({"image_embeddings": encoder.run(None, {"image": image})[0],
                                   "point_coords": coords,
                                   "point_labels": np.tile(np.array([1, -1], np.float32), (8, 1)),
                                   "iou_threshold": np.array(-1e9, np.float32)})  # fmt: skip
        return feeds


def _failed(problems: Sequence[str]) -> str:
    return f"The export is not the same as the checkpoint: {'; '.join(problems)}. Nothing was kept."


def _tolerance(precision: Precision) -> dict[str, float | None]:
    allowed = parity.TOLERANCES[precision]
    return {"tensors, share of range": allowed.tensors, "mean mask IoU": allowed.mask_iou, "F1": allowed.f1}


def _card(name: str, kind: str, reference: Any, precision: Precision, path: Path, sha256: str) -> ModelCard:
    known = checkpoint.published_as(sha256)
    source = f"Meta's {checkpoint.META[known].file}" if known else path.name
    side, grid = reference.image_encoder.img_size, reference.prompt_encoder.image_embedding_size
    nothing = hashlib.sha256(b"").hexdigest()  # until the files are there
    return ModelCard(
        name=name,
        family=kind,
        licence="Apache-2.0" if known else "that of the checkpoint",
        source=f"{source}, sha256 {sha256}",
        files={ENCODER: nothing, DECODER: nothing},
        side=side,
        resize="fit",
        embedding_shape=(1, reference.prompt_encoder.embed_dim, *grid),
        precision=precision,
        masks=("ignore", "subpart", "part", "whole"),
        mask_stride=side // (4 * grid[0]),
        window=None,
        smallest_radius=SMALLEST_RADIUS,
        checkpoint_sha256=sha256,
    )


@contextlib.contextmanager
def _workspace(name: str, out: Path | None, overwrite: bool) -> Iterator[tuple[Path, Callable[[], Path]]]:
    """A folder to work in, and what puts it in its place once all is done."""
    if out is None:
        if not overwrite and name.lower() in {n.lower() for n, _ in store.installed()}:
            raise ModelError(f"There is a model {name!r} in the store; give another --name, or --overwrite.")
        with store.workspace(name) as folder:
            yield folder, lambda: store.install(folder, name, overwrite)
        return
    if out.exists() and not overwrite and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"{out}: there is something here already; name another folder, or give --overwrite.")
    folder = out.absolute().with_name(f".{out.name}-{secrets.token_hex(4)}")
    try:
        folder.mkdir(parents=True)
        yield folder, lambda: _move(folder, out)
    except OSError as error:
        raise ModelError(f"{out}: cannot be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(folder: Path, out: Path) -> Path:
    old = folder.with_name(folder.name + "-old")
    if out.exists():
        out.rename(old)
    folder.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    return out
