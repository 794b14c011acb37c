"""What the edge of a frame does to statistics, and whether edge weights undo it: rendered fields with exact truth.

Every field is a window in a larger rendered scene. The truth is every lobe, or whole particle, whose centroid lies in
the window, as the larger scene shows it; what a micrograph has is the labels that the window cuts. The labels are the
true ones, so that nothing but the edge makes a difference, and no model is needed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from bars import print_table
from numpy.typing import NDArray
from samcolloid_edge.engine import edge
from samcolloid_edge.engine.kernels_measure import label_sums
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.engine.types import Area

F64 = NDArray[np.float64]

WINDOW: Final = (256, 384)
"""(rows, columns) of a field, px: what a micrograph is at a high magnification."""
MARGIN: Final = 128
"""Rows and columns of the scene round the field, px. The longest particle of the first 60 fields has 234 px, and of
those with their centroid in a field none reaches the edge of the scene."""
DRAWS: Final = 4000
LEVEL: Final = 0.95
TERMS: Final[dict[str, Callable[[F64], F64]]] = {
    "number": lambda d: np.ones_like(d), "d": lambda d: d, "d2": lambda d: d**2, "d3": lambda d: d**3,
    "d4": lambda d: d**4,
}  # fmt: skip
"""What is added up over a field: powers of the diameter of equal area, px."""
QUANTITIES: Final[dict[str, Callable[[dict[str, F64]], F64]]] = {
    "mean diameter": lambda s: s["d"] / s["number"],
    "mean diameter by area, D[3,2]": lambda s: s["d3"] / s["d2"],
    "mean diameter by volume, D[4,3]": lambda s: s["d4"] / s["d3"],
    "number per area": lambda s: s["number"] / s["fields"],
}


@dataclass(frozen=True, slots=True)
class Found:
    """Lobes or particles of one label image."""

    diameter: F64
    boxes: NDArray[np.int64]
    centroids: F64

    @classmethod
    def of(cls, labels: NDArray[np.int32]) -> Found:
        """Those that have a pixel; ``labels`` (H, W)."""
        sums, boxes = label_sums(np.ascontiguousarray(labels), int(labels.max(initial=0)))
        there = sums[:, 0] > 0
        sums, boxes = sums[there], boxes[there]
        return cls(np.sqrt(4 * sums[:, 0] / np.pi), boxes.astype(np.int64), sums[:, 1:3] / sums[:, :1])

    def summed(self, weight: F64) -> F64:
        """(TERMS,) sums over all, weighted."""
        return np.array([(weight * term(self.diameter)).sum() for term in TERMS.values()])


def scene(seed: int) -> Scene:
    """Particles of many sizes, on a field that they do not fill."""
    rows, cols = WINDOW
    return Scene(
        seed=seed, shape=(rows + 2 * MARGIN, cols + 2 * MARGIN), particle="mixture", radius_px=18, spread=0.3,
        packing=0.3, tilted_share=0.0, contrast_to_noise=0,
    )  # fmt: skip


def field(seed: int) -> dict[str, F64]:
    """(3, TERMS) for lobes and particles: the truth, what lies whole in the window, and that with edge weights."""
    truth = render(scene(seed))
    rows, cols = WINDOW
    sums = {}
    for name, labels in (("lobes", truth.lobes), ("particles", truth.particles)):
        whole, cut = Found.of(labels), Found.of(labels[MARGIN : MARGIN + rows, MARGIN : MARGIN + cols])
        place = whole.centroids - MARGIN + 0.5
        inside = ((place >= 0) & (place < WINDOW)).all(axis=1)
        weight = edge.weights(cut.boxes, cut.centroids, Area(0, 0, rows, cols))
        sums[name] = np.stack([
            whole.summed(inside.astype(np.float64)), cut.summed((weight > 0).astype(np.float64)), cut.summed(weight)
        ])  # fmt: skip
    return sums


def biases(sums: F64, seed: int = 0) -> dict[str, F64]:
    """Quantity → (2, 3): bias ÷ truth, and the ends of its interval, without weights and with them.

    ``sums`` (F, 3, TERMS) of the fields, which are drawn again with replacement; each brings its truth along.
    """
    rng = np.random.default_rng(seed)
    count = len(sums)
    times = np.concatenate([np.ones((1, count)), rng.multinomial(count, np.full(count, 1 / count), DRAWS)])
    totals = np.einsum("bf,fkt->bkt", times, sums)
    named = {name: totals[:, :, i] for i, name in enumerate(TERMS)} | {"fields": times.sum(axis=1)[:, None]}
    found = {}
    for name, quantity in QUANTITIES.items():
        value = quantity(named)
        bias = value[:, 1:] / value[:, :1] - 1
        ends = np.quantile(bias[1:], ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
        found[name] = np.stack([bias[0], *ends], axis=1)
    return found


def main() -> None:
    """Print the biases, and whether each interval holds 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=400)
    parser.add_argument("--seed", type=int, default=5_000_000, help="of the first field")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    fields = [field(given.seed + i) for i in range(given.fields)]
    kept: dict[str, dict[str, list[list[float]]]] = {}
    for name in ("lobes", "particles"):
        sums = np.stack([found[name] for found in fields])
        of = biases(sums)
        kept[name] = {quantity: bias.tolist() for quantity, bias in of.items()}
        number = sums[:, :, 0].sum(axis=0)
        rows = []
        for quantity, (without, with_it) in of.items():
            texts = [f"{100 * bias:+.2f} % ({100 * low:+.2f} to {100 * high:+.2f})"
                     for bias, low, high in (without, with_it)]  # fmt: skip
            excludes, holds = not without[1] <= 0 <= without[2], with_it[1] <= 0 <= with_it[2]
            rows.append((quantity, *texts, "pass" if excludes and holds else "FAIL"))
        title = (f"{name}: {number[0]:.0f} with centroid in {given.fields} fields of {WINDOW[1]} x {WINDOW[0]} px, "
                 f"{number[1]:.0f} whole; bias (95 % interval)")  # fmt: skip
        print_table(title, ("quantity", "without weights", "with weights", "bar"), rows)
    print("\nbar: without weights the interval of the bias excludes 0, with them it contains 0")
    if given.json:
        given.json.write_text(json.dumps({"fields": given.fields, "seed": given.seed, "bias": kept}, indent=2), "utf-8")


if __name__ == "__main__":
    main()
