"""How much of the truth of ``rendered.toml`` circles tell: ``python benchmarks/ceiling.py``.

The outline of every particle and the circle of each of its lobes are taken from the truth, and a pixel goes to the
circle over whose rim it lies least (the power diagram, whose borders are the chords of two circles that cross). Which
lobe bulges over the other, which the truth knows and an image may not show, is all that is missing; what this reaches
is about what can be asked for where a bar is about fused lobes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from bars import print_table
from rendered import THRESHOLDS, pooled, read_cases, score_lobes
from samcolloid_edge.engine.matching import Score
from samcolloid_edge.engine.synthetic import Rendered, render
from samcolloid_edge.engine.types import I32


def of_circles(truth: Rendered) -> I32:
    """(H, W) labels as of ``truth.lobes``: each pixel of a particle to one of its lobes, by their circles alone."""
    labels = np.zeros_like(truth.lobes)
    for particle in np.unique(truth.particle_of_lobe):
        lobes = np.flatnonzero(truth.particle_of_lobe == particle)
        row, col = np.nonzero(truth.particles == particle)
        x, y = (truth.centres[lobes].T[:, :, None] - np.stack([col, row])[:, None]) ** 2
        labels[row, col] = lobes[(x + y - truth.radii[lobes, None] ** 2).argmin(0)] + 1
    return labels


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=1000, help="at most so many of each group")
    options = parser.parse_args(arguments)
    groups: dict[str, list[dict[float, Score]]] = {}
    for case in read_cases():
        scored = groups.setdefault(case.group, [])
        if len(scored) < options.scenes:
            truth = render(case.scene)
            scored.append(score_lobes(truth, of_circles(truth)))
    print_table("F1 of lobes, by mask IoU", ("group", "scenes", *(str(t) for t in THRESHOLDS)), [
        [group, len(scored), *(pooled(lobes[t] for lobes in scored).f1 for t in THRESHOLDS)]
        for group, scored in groups.items()
    ])  # fmt: skip


if __name__ == "__main__":
    main()
