"""What the model makes of every kind of micrograph that can be rendered: ``python benchmarks/kinds.py``.

Every kind of ``synthetic_kinds.KINDS`` in its own look, seeds that no training saw. ``--picture FILE`` draws the kinds
that come out worst, truth in green and what was found in red: where it fails.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from bars import print_software, print_table, software, write_json
from numpy.typing import NDArray
from rendered import Case, evaluate, pooled
from samcolloid_edge import Segmenter
from samcolloid_edge.engine.files import write_files
from samcolloid_edge.engine.synthetic import render
from samcolloid_edge.engine.synthetic_kinds import KINDS, kind

FIRST_SEED: Final = 8_000
SHAPE: Final = (480, 640)
RADII: Final = (14.0, 24.0, 40.0)
"""px; of kinds that do not say theirs."""
WORST: Final = 6
"""Kinds in the picture."""
ZOOM: Final = 2
"""px of the picture a px of the micrograph."""
TRUTH, OURS = (0, 200, 0), (0, 0, 255)


def scenes_of(name: str, number: int) -> list[Case]:
    """A scene of a kind for each of ``RADII``; ``number`` is the kind's."""
    made = (kind(name, seed=FIRST_SEED + 10 * number + i, shape=SHAPE) for i in range(len(RADII)))
    stated = "radius_px" in KINDS[name]
    return [Case(name, "", scene if stated else replace(scene, radius_px=radius))
            for scene, radius in zip(made, RADII, strict=True)]  # fmt: skip


def outlined(image: NDArray[np.uint8], labels: NDArray[np.int32], colour: tuple[int, int, int]) -> None:
    """Draw where labels (H, W) change into a picture ``ZOOM`` times as large, in place."""
    large = np.repeat(np.repeat(labels, ZOOM, 0), ZOOM, 1)
    edge = np.zeros(large.shape, bool)
    edge[:, 1:] |= large[:, 1:] != large[:, :-1]
    edge[1:] |= large[1:] != large[:-1]
    image[edge] = colour


def picture(case: Case, segmenter: Segmenter, f1: float) -> NDArray[np.uint8]:
    """The middle of a scene with both outlines, and a line of text."""
    truth = render(case.scene)
    found = segmenter.analyze(truth.image, truth.scene.pixel_size).masks.labels()
    large = cv2.cvtColor(truth.image, cv2.COLOR_GRAY2BGR)
    large = np.asarray(cv2.resize(large, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC), np.uint8)
    outlined(large, truth.lobes, TRUTH)
    outlined(large, found, OURS)
    height, width = (ZOOM * side for side in SHAPE)
    large = np.ascontiguousarray(large[height // 4 : height // 4 * 3, width // 4 : width // 4 * 3])
    cv2.putText(large, f"{case.group}: F1 {f1:.2f}", (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 255, 255), 1,
                cv2.LINE_AA)  # fmt: skip
    return large


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled one)")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--picture", type=Path, help="JPEG or PNG of the kinds that come out worst")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    segmenter = Segmenter(options.model, device="cpu", threads=options.threads)
    rows: list[list[object]] = []
    worst: list[tuple[float, Case]] = []
    for number, name in enumerate(KINDS):
        scored, (*_, result) = zip(*(evaluate(case, segmenter, None) for case in scenes_of(name, number)), strict=True)
        lobes = {threshold: pooled(s.lobes[threshold] for s in scored) for threshold in scored[0].lobes}
        f1 = [found.f1 for found in lobes.values()]
        rows.append([name, lobes[0.5].truth, lobes[0.5].predicted, *f1, pooled(s.sets for s in scored).f1])
        if lobes[0.5].truth:
            worst.append((lobes[0.7].f1, min(scored, key=lambda s: s.lobes[0.7].f1).case))
    print_software(software(result))
    print_table("by kind", ("kind", "lobes", "ours", "F1 at 0.5", "0.7", "0.9", "sets, F1"), rows)
    if options.json:
        write_json(options.json, {"software": software(result), "rows": rows})
    if options.picture:
        worst.sort(key=lambda pair: pair[0])
        tiles = [picture(case, segmenter, f1) for f1, case in worst[:WORST]]
        half = len(tiles) // 2
        sheet = np.vstack([np.hstack(tiles[:half]), np.hstack(tiles[half : 2 * half])])
        coded, data = cv2.imencode(options.picture.suffix, sheet)
        assert coded
        write_files(options.picture.parent, {options.picture.name: data.tobytes()})


if __name__ == "__main__":
    main()
