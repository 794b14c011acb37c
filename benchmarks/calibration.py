"""What a predicted IoU means, and what is found where nothing is: ``python benchmarks/calibration.py``.

On scenes of the training's mixture, of seeds it never sees, the model is asked on a grid of points, as the engine asks.
Each answer's predicted IoU stands beside the IoU that its mask, upsampled as the engine does it, reaches with the lobe
visible under the point, 0 where there is none. The expected calibration error is the mean distance of the two over
ten bins of the predicted one, each weighted by its answers (Guo et al., ICML 2017). False lobes are what an analysis
with default settings finds in micrographs of empty supports and of noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from bars import Bar, bars_as_rows, print_bars, print_table, write_json
from numpy.typing import NDArray
from samcolloid_edge import Segmenter
from samcolloid_edge.engine.decode import decode
from samcolloid_edge.engine.prompt import grid
from samcolloid_edge.engine.session import Session, open_model
from samcolloid_edge.engine.synthetic import render
from samcolloid_edge.engine.synthetic_kinds import KINDS, everything, kind
from samcolloid_edge.engine.types import I32, Area, Embedding, Frame, Role
from samcolloid_edge.engine.upsample import clip, patches

FIRST_SEED: Final = 40_000
SHAPE: Final = (512, 512)
EMPTY_SHAPE: Final = (480, 640)
PER_SIDE: Final = 20
OFFSET: Final = 1.0
BINS: Final = 10
ECE_BAR: Final = 0.05
FALSE_BAR: Final = 0.1
EMPTY: Final = [name for name, fields in KINDS.items() if fields.get("max_particles") == 0]


class Answers(NamedTuple):
    """N answers to prompts."""

    points: NDArray[np.float32]
    """(N, 2) the prompts, model px."""
    predicted: NDArray[np.float64]
    reached: NDArray[np.float64]


def answers(session: Session, embedding: Embedding, points: NDArray[np.float32], lobes: I32) -> Answers:
    """What (P, 2) points, (x, y), image px, are answered with, against the (H, W) labels of a tile at its own size."""
    area = np.bincount(lobes.ravel())
    asked, predicted, reached = [], [], []
    for found in decode(session, embedding, points, Role.LOBE, 0.0, OFFSET):
        clips, kept = clip(found, embedding.frame, session.card.mask_stride, embedding.frame.area, OFFSET)
        pieces = patches(clips, embedding.frame, session.card.mask_stride)
        iou = np.zeros(len(found))
        for i, candidate in enumerate(kept):
            x0, y0, x1, y1 = pieces.boxes[i]
            x, y = np.rint(pieces.points[i]).astype(int)
            label, mask = lobes[y, x], pieces.patch(i) > 0
            both = np.count_nonzero(lobes[y0:y1, x0:x1][mask] == label)
            iou[candidate] = both / (mask.sum() + area[label] - both) if label else 0.0
        asked.append(found.points)
        predicted.append(found.iou.astype(np.float64))
        reached.append(iou)
    return Answers(np.concatenate(asked), np.concatenate(predicted), np.concatenate(reached))


def expected_calibration_error(predicted: NDArray[np.float64], reached: NDArray[np.float64]) -> float:
    """Mean |mean predicted − mean reached| over ``BINS`` equal bins of the predicted one, weighted by their answers."""
    bins = np.minimum((predicted * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, predicted - reached, BINS)).sum() / max(len(predicted), 1))


def calibration(session: Session, scenes: int) -> Answers:
    """The answers on so many scenes."""
    parts = []
    for seed in range(FIRST_SEED, FIRST_SEED + scenes):
        truth = render(everything(seed, SHAPE))
        frame = Frame(Area(0, 0, *SHAPE), SHAPE)
        image = np.repeat(truth.image[..., None], 3, 2)
        embedding = Embedding(session.encode(image), frame, session.card)
        parts.append(answers(session, embedding, np.rint(grid(frame.area, PER_SIDE)), truth.lobes))
    return Answers(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def false_lobes(segmenter: Segmenter, per_kind: int) -> dict[str, float]:
    """Mean lobes found in a micrograph without any, by kind."""
    found = {}
    for name in EMPTY:
        seeds = range(FIRST_SEED, FIRST_SEED + per_kind)
        images = [render(kind(name, seed=seed, shape=EMPTY_SHAPE)).image for seed in seeds]
        found[name] = float(np.mean([segmenter.analyze(image, 2.0).lobes.n_rows for image in images]))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled one)")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--empty", type=int, default=4, help="micrographs of each kind without particles")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args(arguments)
    given = calibration(open_model(options.model, "cpu"), options.scenes)
    bins = np.minimum((given.predicted * BINS).astype(int), BINS - 1)
    rows = [
        [f"{b / BINS:.1f}-{(b + 1) / BINS:.1f}", int((bins == b).sum()), float(given.predicted[bins == b].mean()),
         float(given.reached[bins == b].mean())]
        for b in np.unique(bins)
    ]  # fmt: skip
    print_table("predicted IoU", ("bin", "answers", "predicted", "reached"), rows)
    false = false_lobes(Segmenter(options.model, device="cpu"), options.empty)
    print_table("false lobes a micrograph", ("kind", "lobes"), [[name, value] for name, value in false.items()])
    error = expected_calibration_error(given.predicted, given.reached)
    bars = [
        Bar("expected calibration error of the predicted IoU", error, most=ECE_BAR),
        Bar("false lobes in a micrograph without any", float(np.mean(list(false.values()))), most=FALSE_BAR),
    ]
    print_bars("bars", bars)
    if options.json:
        write_json(options.json, {"bars": bars_as_rows(bars), "bins": rows, "false lobes": false})


if __name__ == "__main__":
    main()
