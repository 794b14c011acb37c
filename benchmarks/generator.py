"""The engine against ``segment_anything``'s own automatic mask generator, with the same weights and the same grid:
``python benchmarks/generator.py``.

The weights are those of the reduced SAM of the tests, exported as any checkpoint is. The masks compared are those that
survive the box suppression, before the engine makes them one label image.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from bars import Bar, print_bars, print_table
from numpy.typing import NDArray
from samcolloid_edge import Settings
from samcolloid_edge.engine import preprocess
from samcolloid_edge.engine.segment import segment_tile
from samcolloid_edge.engine.session import Session, open_model
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.engine.types import Area
from samcolloid_edge.export import checkpoint, parity, sam
from samcolloid_edge.export.exporter import export
from scipy.optimize import linear_sum_assignment
from segment_anything import SamAutomaticMaskGenerator

REDUCED: Final = Path(__file__).resolve().parent.parent / "tests" / "data" / "reduced_sam.pth"
SHAPES: Final = ((768, 1024), (768, 1024), (1024, 1024), (900, 1300), (600, 800), (768, 1024), (1024, 700), (768, 1024))
SCENES: Final = tuple(
    replace(scene, seed=scene.seed + 100, shape=shape) for scene, shape in zip(parity.SCENES, SHAPES, strict=True)
)
"""Of several shapes: most frames are scaled to 1024 px, up or down."""
SAME: Final = 0.95
BAR: Final = 0.99
SETTINGS: Final = Settings(points_per_side=8, pred_iou_thresh=0.25, stability_score_thresh=0.4)

Bitmap = NDArray[np.bool_]


def theirs(generator: Any, image: NDArray[np.uint8]) -> list[Bitmap]:
    """The masks of SAM's generator."""
    return [found["segmentation"] for found in generator.generate(np.repeat(image[..., None], 3, 2))]


def ours(session: Session, image: NDArray[np.uint8], settings: Settings) -> list[Bitmap]:
    """The masks of the engine's automatic run."""
    area = Area(0, 0, *image.shape)
    frame = preprocess.tiles(area, session.card, settings)[0][0]
    lobes = segment_tile(session, image, area, frame, 0, settings, {}).lobes
    masks = []
    for (x0, y0, x1, y1), first, last in zip(lobes.boxes.tolist(), lobes.offsets, lobes.offsets[1:], strict=False):
        mask = np.zeros(image.shape, bool)
        mask[y0:y1, x0:x1] = (lobes.logits[first:last] > 0).reshape(y1 - y0, x1 - x0)
        masks.append(mask)
    return masks


def same(ones: Sequence[Bitmap], twos: Sequence[Bitmap]) -> int:
    """Pairs of an optimal one-to-one matching at mask IoU ``SAME`` or more."""
    if not ones or not twos:
        return 0
    a, b = (np.stack([m.ravel() for m in masks]).astype(np.float32) for masks in (ones, twos))
    shared = a @ b.T
    iou = shared / np.maximum(a.sum(1)[:, None] + b.sum(1) - shared, 1)
    return int((iou[linear_sum_assignment(-(iou >= SAME).astype(float))] >= SAME).sum())


def compare(
    checkpoint_file: Path, model: Path, scenes: Sequence[Scene], settings: Settings
) -> tuple[list[list[object]], Bar]:
    """A line for each scene, and the F1 of all."""
    reference = sam.reference(checkpoint.read(checkpoint_file))
    generator = SamAutomaticMaskGenerator(
        reference, points_per_side=settings.points_per_side, points_per_batch=64,
        pred_iou_thresh=settings.pred_iou_thresh, stability_score_thresh=settings.stability_score_thresh,
        stability_score_offset=settings.stability_score_offset, box_nms_thresh=settings.box_nms_thresh,
    )  # fmt: skip
    session = open_model(model, device="cpu")
    rows: list[list[object]] = []
    for scene in scenes:
        image = render(scene).image
        one, two = theirs(generator, image), ours(session, image, settings)
        rows.append([f"{scene.particle} {image.shape[1]}x{image.shape[0]}", len(one), len(two), same(one, two)])
    n_theirs, n_ours, n_same = (sum(int(str(r[i])) for r in rows) for i in (1, 2, 3))
    f1 = 2 * n_same / max(n_theirs + n_ours, 1)
    return rows, Bar(f"F1 at mask IoU >= {SAME}", f1, BAR, detail=f"{n_same} of {n_theirs}, ours {n_ours}")


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
