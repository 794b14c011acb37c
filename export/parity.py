"""The proof of an export: torch and onnxruntime side by side, on rendered micrographs with a grid of points.

Both go through the engine's own lines: a ``Torch`` session answers like onnxruntime's, from the reference's modules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from ..engine import preprocess
from ..engine.generate import generate
from ..engine.preprocess import Grey
from ..engine.session import Session
from ..engine.settings import Settings
from ..engine.synthetic import Scene, render
from ..engine.types import U8, Area
from ..models.card import ModelCard
from ..models.contract import WINDOW
from .same_masks import SAME, Mask, best_iou, bitmaps, matched

SCENES: Final = tuple(
    Scene(seed=700 + i, shape=(768, 1024), particle=particle, radius_px=radius, packing=packing)
    for i, (particle, radius, packing) in enumerate((
        ("sphere", 30.0, 0.5), ("dumbbell", 28.0, 0.4), ("trimer", 26.0, 0.4), ("mixture", 34.0, 0.5),
        ("sphere", 44.0, 0.7), ("dumbbell", 40.0, 0.6), ("trimer", 36.0, 0.6), ("mixture", 24.0, 0.3),
    ))
)  # fmt: skip
"""At the size of the model's frame, so that nothing is resized. No training sees these seeds."""
TENSOR_POINTS: Final = 16
"""Prompts an image whose tensors are compared, whatever their predicted IoU."""
FEWEST: Final = 50
"""Masks that must survive in the reference's runs for the figures of masks to count."""
GATE: Final = 0.8
"""Highest predicted IoU that the automatic run asks for; lower where the model is less sure of itself."""
SURVIVING: Final = 0.3
"""Share of the grid's masks that at least reach the gate."""

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What an export may change."""

    tensors: float | None
    """Largest difference ÷ range of the tensor; None where the precision rounds tensors by design."""
    mask_iou: float
    """Lowest mean IoU of the reference's masks with the nearest of ours."""
    f1: float
    """Lowest F1 of the masks of the automatic run, matched at mask IoU ``SAME``."""


TOLERANCES: Final = {
    "fp32": Tolerance(1e-3, 0.999, 0.99),
    "fp16": Tolerance(None, 0.99, 0.98),
    "int8": Tolerance(None, 0.95, 0.95),
}


@dataclass(frozen=True, slots=True)
class Torch:
    """The reference as a session of the engine."""

    reference: Any
    card: ModelCard

    def encode(self, image: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """(H, W, 3) uint8 → ``image_embeddings``."""
        with torch.no_grad():
            pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
            return {"image_embeddings": self.reference.image_encoder(self.reference.preprocess(pixels)).numpy()}

    def decode(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """The contract's inputs → the contract's outputs."""
        prompts, masks = self.reference.prompt_encoder, self.reference.mask_decoder
        given = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in inputs.items()}
        with torch.no_grad():
            points = given["point_coords"], given["point_labels"]
            sparse = prompts._embed_points(*points, pad=False)
            _, dense = prompts(points, None, None)
            logits, iou = masks.predict_masks(given["image_embeddings"], prompts.get_dense_pe(), sparse, dense)
        asked = [name != "ignore" for name in self.card.masks]
        index = np.flatnonzero(iou[:, asked].amax(1).numpy() >= float(inputs["iou_threshold"]))
        return {"iou_predictions": iou.numpy(), "prompt_index": index, "low_res_masks": logits.numpy()[index]}


@dataclass(slots=True)
class Report:
    """What the comparison found."""

    differences: dict[str, float] = field(default_factory=dict)
    """By tensor: largest difference ÷ range, and the mean one as NAME (mean)."""
    mask_iou: list[float] = field(default_factory=list)
    """Of every mask of the reference's runs, with the nearest of ours."""
    found: int = 0
    theirs: int = 0
    ours: int = 0
    micrographs: int = 0
    points_per_side: int = 0
    iou_gate: float = 0.0

    @property
    def f1(self) -> float:
        """Of the masks of the automatic runs."""
        return 2 * self.found / max(self.theirs + self.ours, 1)

    @property
    def counts(self) -> bool:
        """Enough masks survived for their figures to mean something."""
        return self.theirs >= FEWEST

    def problems(self, tolerance: Tolerance) -> list[str]:
        """Which figures lie outside, one clause each."""
        wrong = []
        if tolerance.tensors is not None:
            wrong += [f"{name} differs by {value:.2g} of its range, more than {tolerance.tensors:g}"
                      for name, value in self.differences.items()
                      if not name.endswith("(mean)") and not value <= tolerance.tensors]  # fmt: skip
        wrong += [f"{name} is not a number" for name, value in self.differences.items() if not np.isfinite(value)]
        if self.counts:
            mean = float(np.mean(self.mask_iou))
            if mean < tolerance.mask_iou:
                wrong.append(f"the mean mask IoU is {mean:.4f}, below {tolerance.mask_iou:g}")
            if self.f1 < tolerance.f1:
                wrong.append(f"the F1 of masks is {self.f1:.4f}, below {tolerance.f1:g}")
        return wrong

    def to_dict(self) -> dict[str, Any]:
        """For the card."""
        shares = np.quantile(self.mask_iou, [0, 0.01, 0.05, 0.5]) if self.mask_iou else np.full(4, np.nan)
        masks = {
            "mean IoU": float(np.mean(self.mask_iou)) if self.mask_iou else None,
            "IoU at the lowest, 1 %, 5 %, 50 %": [float(v) for v in shares] if self.mask_iou else None,
            "F1": self.f1, "matched at IoU": SAME, "torch": self.theirs, "onnxruntime": self.ours, "same": self.found,
        }  # fmt: skip
        if not self.counts:
            masks = {"too few to count": self.theirs, "needed": FEWEST}
        return {
            "largest difference, share of range": {k: v for k, v in self.differences.items() if "(mean)" not in k},
            "mean difference, share of range": {
                k.removesuffix(" (mean)"): v for k, v in self.differences.items() if "(mean)" in k
            },
            "masks of the automatic run": masks,
            "rendered micrographs": self.micrographs,
            "points per side": self.points_per_side,
            "lowest predicted IoU": self.iou_gate,
        }


class Reference:
    """One side of the proof, kept: what a session (``Torch`` as a rule) has computed once serves every candidate that
    is compared with it."""

    def __init__(self, session: Any, points_per_side: int, scenes: tuple[Scene, ...] = SCENES,
                 progress: Progress = lambda _: None) -> None:  # fmt: skip
        self.points_per_side = points_per_side
        self.sides: list[_Side] = []
        gate = None
        for i, scene in enumerate(scenes):
            image = render(scene).image
            side = _Side(session, image)
            if gate is None:
                gate = _gate(session, side, points_per_side)
                self.settings = Settings(schedule="exact", points_per_side=points_per_side, pred_iou_thresh=gate,
                                         stability_score_thresh=0.5)  # fmt: skip
            side.run(session, self.settings)
            self.sides.append(side)
            progress((i + 1) / len(scenes))

    def compare(self, session: Session, progress: Progress = lambda _: None) -> Report:
        """A loaded ONNX model against the reference."""
        report = Report(micrographs=len(self.sides), points_per_side=self.points_per_side,
                        iou_gate=self.settings.pred_iou_thresh)  # fmt: skip
        for i, theirs in enumerate(self.sides):
            ours = _Side(session, theirs.image)
            ours.run(session, self.settings)
            for name, expected in theirs.tensors.items():
                _compare(report.differences, name, ours.tensors[name], expected)
            best = best_iou(theirs.masks, ours.masks)
            report.mask_iou += best.tolist()
            report.found += matched(theirs.masks, ours.masks)
            report.theirs += len(theirs.masks)
            report.ours += len(ours.masks)
            progress((i + 1) / len(self.sides))
        return report


class _Side:
    """What one program makes of one micrograph."""

    def __init__(self, session: Any, image: U8) -> None:
        self.image, self.window = image, session.card.window
        area = Area(0, 0, *image.shape)
        self.zoom = preprocess.fit(area, session.card)
        self.frame = preprocess.frames(area, session.card, self.zoom, Settings())[0][0]
        model_input = preprocess.model_input(Grey(image), self.frame)
        self.embedding = dict(session.encode(model_input))
        rng = np.random.default_rng(0)
        points = rng.uniform(0, 1, (TENSOR_POINTS, 2)) * (image.shape[1], image.shape[0])
        found = session.decode(self.prompts(points.astype(np.float32), -1e9))
        self.tensors = {
            "image_embeddings": self.embedding["image_embeddings"],
            "iou_predictions": found["iou_predictions"],
            "low_res_masks": found["low_res_masks"],
        }
        self.masks: list[Mask] = []

    def prompts(self, points: NDArray[np.float32], gate: float) -> dict[str, NDArray[Any]]:
        """The decoder's inputs for (N, 2) points, (x, y), image px."""
        coords = np.stack([self.frame.to_model(points), np.zeros_like(points)], 1).astype(np.float32)
        labels = np.tile(np.array([1, -1], np.float32), (len(points), 1))
        window = {WINDOW: np.array(self.window, np.int64)} if self.window else {}
        return {**self.embedding, "point_coords": coords, "point_labels": labels,
                "iou_threshold": np.array(gate, np.float32), **window}  # fmt: skip

    def run(self, session: Any, settings: Settings) -> None:
        """The engine's automatic run; keeps the masks."""
        area = Area(0, 0, *self.image.shape)
        known = _Encoded(session, self.embedding)
        found = generate(known, Grey(self.image), area, area, self.zoom, settings, {})  # type: ignore[arg-type]
        self.masks = list(bitmaps(found.lobes))


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A session whose one micrograph has been encoded."""

    session: Any
    embedding: Mapping[str, NDArray[Any]]

    @property
    def card(self) -> ModelCard:
        card: ModelCard = self.session.card
        return card

    def encode(self, _: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        return self.embedding

    def decode(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        found: Mapping[str, NDArray[Any]] = self.session.decode(inputs)
        return found


def _gate(session: Any, side: _Side, points_per_side: int) -> float:
    """The predicted IoU that enough masks of a grid over the first micrograph reach, ``GATE`` at most."""
    from ..engine.prompt import grid

    points = grid(side.frame.area, points_per_side)
    asked = [i for i, name in enumerate(session.card.masks) if name != "ignore"]
    scores = session.decode(side.prompts(points, 1e9))["iou_predictions"][:, asked]
    return float(min(GATE, max(0.0, np.quantile(scores, 1 - SURVIVING))))


def _compare(worst: dict[str, float], name: str, ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    if ours.shape != theirs.shape:
        worst[name] = float("inf")
        return
    apart = np.abs(ours.astype(np.float64) - theirs) / max(float(np.ptp(theirs)), 1e-6)
    # max() and a NaN: the first operand stays; np.maximum hands a NaN on.
    worst[name] = float(np.maximum(worst.get(name, 0.0), apart.max()))
    worst[f"{name} (mean)"] = float(np.maximum(worst.get(f"{name} (mean)", 0.0), apart.mean()))
