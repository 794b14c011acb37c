"""The engine against ``segment_anything``'s own automatic mask generator, with the same weights and the same grid:
``python benchmarks/generator.py``.

The weights are those of the reduced SAM of the tests, exported as any checkpoint is. The masks compared are those that
survive the box suppression, before the engine makes them one label image. ``speed.py`` times both by the same lines.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from bars import Bar, print_bars, print_table
from cutouts import Cutouts, cutout_overlaps
from numpy.typing import NDArray
from samcolloid_edge import Settings
from samcolloid_edge.engine import preprocess
from samcolloid_edge.engine.bench import Clocking
from samcolloid_edge.engine.generate import generate
from samcolloid_edge.engine.matching import Score, match, score
from samcolloid_edge.engine.ragged import Patches
from samcolloid_edge.engine.session import open_model
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.engine.types import Area
from samcolloid_edge.export import checkpoint, parity, sam
from samcolloid_edge.export.exporter import export
from segment_anything.utils.amg import rle_to_mask

REDUCED: Final = Path(__file__).resolve().parent.parent / "tests" / "data" / "reduced_sam.pth"
SHAPES: Final = ((768, 1024), (768, 1024), (1024, 1024), (900, 1300), (600, 800), (768, 1024), (1024, 700), (768, 1024))
SCENES: Final = tuple(
    replace(scene, seed=scene.seed + 100, shape=shape) for scene, shape in zip(parity.SCENES, SHAPES, strict=True)
)
"""Of several shapes: most frames are scaled to 1024 px, up or down."""
SAME: Final = 0.95
BAR: Final = 0.99
SETTINGS: Final = Settings(schedule="exact", points_per_side=8, pred_iou_thresh=0.25, stability_score_thresh=0.4)
BATCH: Final = 64
"""Prompts in one call of the generator: its default."""

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Run:
    """What one of the two made of an image, and the seconds it took."""

    masks: Cutouts
    whole: float
    encoder: float
    decoder: float
    prompts: int

    @property
    def rest(self) -> float:
        """Everything but encoder and decoder."""
        return self.whole - self.encoder - self.decoder


def theirs(model: Any, image: Image, settings: Settings) -> Run:
    """A run of SAM's generator on an (H, W) image; masks stay run lengths until its clock has stopped."""
    clocked = Clocking(model, "image_encoder", "prompt_encoder", "mask_decoder")
    generator = sam.generator(clocked, settings, points_per_batch=BATCH, output_mode="uncompressed_rle")
    rgb, found = np.repeat(image[..., None], 3, 2), []
    start = time.perf_counter()
    # Where several crops give no mask at all the generator fails, at the boxes of the crops of none.
    with contextlib.suppress(IndexError):
        found = generator.generate(rgb)
    whole = time.perf_counter() - start
    masks = Cutouts.of(rle_to_mask(f["segmentation"]) for f in found if f["area"])
    spent = clocked.seconds
    prompts = sum(4**layer * len(points) for layer, points in enumerate(generator.point_grids))
    return Run(masks, whole, spent["image_encoder"], spent["prompt_encoder"] + spent["mask_decoder"], prompts)


def ours(session: Any, image: Image, settings: Settings) -> Run:
    """The same of the engine, on the frame that SAM's generator lays: the image's long side is the model's."""
    clocked: Any = Clocking(session, "encode", "decode")
    area = Area(0, 0, *image.shape)
    start = time.perf_counter()
    zoom = preprocess.fit(area, session.card)
    found = generate(clocked, preprocess.Grey(image), area, area, zoom, settings, {})
    whole = time.perf_counter() - start
    return Run(cutouts(found.lobes), whole, clocked.seconds["encode"], clocked.seconds["decode"], found.prompts)


def cutouts(patches: Patches) -> Cutouts:
    """The engine's masks, as they are compared."""
    return Cutouts(patches.boxes[:, [1, 0, 3, 2]].astype(np.int64), [patches.patch(i) > 0 for i in range(len(patches))])


def same(reference: Cutouts, found: Cutouts) -> Score:
    """How many masks of the reference an optimal one-to-one matching finds again, at mask IoU ``SAME`` or more."""
    overlaps = cutout_overlaps(reference, found)
    return score(match(overlaps, SAME), overlaps.lengths)


def f1_bar(what: str, scores: Sequence[Score], least: float = BAR) -> Bar:
    """The F1 of all scores together."""
    total = sum(scores, Score())
    return Bar(what, total.f1, least, detail=f"{total.found} of {total.truth}, ours {total.predicted}")


def compare(
    checkpoint_file: Path, model: Path, scenes: Sequence[Scene], settings: Settings
) -> tuple[list[list[object]], Bar]:
    """A line for each scene, and the F1 of all."""
    reference = sam.reference(checkpoint.read(checkpoint_file))
    session = open_model(model, device="cpu")
    rows: list[list[object]] = []
    scores = []
    for scene in scenes:
        image = render(scene).image
        scores.append(same(theirs(reference, image, settings).masks, ours(session, image, settings).masks))
        counts = scores[-1].truth, scores[-1].predicted, scores[-1].found
        rows.append([f"{scene.particle} {image.shape[1]}x{image.shape[0]}", *counts])
    return rows, f1_bar(f"F1 at mask IoU >= {SAME}", scores)


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        model = export(REDUCED, out=Path(temporary) / "reduced").folder
        rows, bar = compare(REDUCED, model, SCENES, SETTINGS)
    print_table("masks by micrograph", ("micrograph", "generator", "engine", "same"), rows)
    print_bars("bars", [bar])


if __name__ == "__main__":
    main()
