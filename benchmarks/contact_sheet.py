"""Random sets that the published table does not have, on one sheet for a person to count the wrong ones:
``python benchmarks/contact_sheet.py ../shared sheet.png --count 50 --seed 0``.

Each cell shows the bare micrograph above and our lobes below, outlined and numbered within the set.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from agreement import GREEN, as_grey, compare_result, lobe_edges, our_extra_sets, write_png
from numpy.typing import NDArray
from published import SAMPLES, read_published, shared_folder
from samcolloid_edge import Segmenter
from samcolloid_edge.engine.types import Result

MARGIN: Final = 30
"""Surroundings shown on each side of a set, px of the micrograph."""
SIDE: Final = 240
"""Side of one picture on the sheet, px; a cell is two pictures high."""
CAPTION: Final = 16
COLUMNS: Final = 10
YELLOW: Final = (0, 230, 255)
GREY_GREEN: Final = (90, 130, 90)


@dataclass(frozen=True, slots=True)
class Extra:
    """One set of ours that the table does not have."""

    image: str
    result: Result
    number: int
    """Of the set in its result."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of its lobes in the lobe table."""
        return np.flatnonzero(self.result.lobes["set"] == self.number)


def crop_of(extra: Extra) -> tuple[int, int, int]:
    """(row0, col0, side) of the square that holds the set with its margin, in the micrograph, px."""
    boxes = np.column_stack([extra.result.lobes[f"bbox-{k}"][extra.rows] for k in range(4)])
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    side = int((high - low).max()) + 2 * MARGIN
    row0, col0 = ((low + high - side) // 2).astype(int).tolist()
    return row0, col0, side


def padded_crop(image: NDArray[Any], row0: int, col0: int, side: int) -> NDArray[Any]:
    """(side, side) part of an (H, W) image, zeros where it reaches over the border."""
    crop = np.zeros((side, side), image.dtype)
    top, left = max(row0, 0), max(col0, 0)
    part = image[top : max(row0 + side, 0), left : max(col0 + side, 0)]
    crop[top - row0 : top - row0 + part.shape[0], left - col0 : left - col0 + part.shape[1]] = part
    return crop


def picture_of(extra: Extra, grey: NDArray[np.uint8], labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """(2 SIDE, SIDE, 3) uint8: the bare crop above, the same with outlines below."""
    where = crop_of(extra)
    bare = cv2.resize(padded_crop(grey, *where), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    drawn = cv2.cvtColor(bare, cv2.COLOR_GRAY2BGR)
    around = cv2.resize(padded_crop(labels, *where), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST_EXACT)
    drawn[lobe_edges(around, 1)] = GREY_GREEN
    own = np.where(np.isin(around, extra.rows + 1), around, 0)
    drawn[lobe_edges(own, 1)] = GREEN
    for number, row in enumerate(extra.rows, start=1):
        centre = [
            (extra.result.lobes[f"centroid-{k}"][row] - where[k] + 0.5) * SIDE / where[2] for k in (0, 1)
        ]
        cv2.putText(
            drawn,
            str(number),
            (int(centre[1]) - 4, int(centre[0]) + 4),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4,
            YELLOW,
            1,
            cv2.LINE_AA,
        )
    return np.vstack([cv2.cvtColor(bare, cv2.COLOR_GRAY2BGR), drawn])


def draw_sheet(extras: Sequence[Extra]) -> NDArray[np.uint8]:
    """All cells in rows of ``COLUMNS``, each with its number and image above."""
    height, width = CAPTION + 2 * SIDE + 4, SIDE + 4
    sheet = np.zeros((-(-len(extras) // COLUMNS) * height, COLUMNS * width, 3), np.uint8)
    drawn: dict[str, tuple[NDArray[np.uint8], NDArray[np.int32]]] = {}
    for cell, extra in enumerate(extras):
        if extra.image not in drawn:
            drawn[extra.image] = as_grey(extra.result.micrograph), extra.result.masks.labels()
        row, col = cell // COLUMNS * height, cell % COLUMNS * width
        cv2.putText(
            sheet,
            f"{cell + 1}: {extra.image} set {extra.number}",
            (col + 2, row + CAPTION - 4),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4,
            (255, 255, 255),
            1,
            cv2.LINE_AA,
        )
        sheet[row + CAPTION : row + CAPTION + 2 * SIDE, col : col + SIDE] = picture_of(
            extra, *drawn[extra.image]
        )
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path, help="PNG to write")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled one)")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)

    segmenter = Segmenter(options.model, device="cpu", threads=options.threads)
    extras: list[Extra] = []
    for published in read_published(shared_folder(options.shared)):
        if SAMPLES[published.sample] == 1:
            continue
        result = segmenter.analyze(published.path)
        numbers = our_extra_sets(compare_result(published, result))
        extras += [Extra(published.name, result, int(number)) for number in numbers]
    chosen = np.random.default_rng(options.seed).permutation(len(extras))[: options.count]
    sheet = [extras[i] for i in sorted(chosen)]
    print(
        f"{len(extras)} sets are not in the published table, {len(sheet)} of them drawn (seed {options.seed})"
    )
    if sheet:
        write_png(options.out, draw_sheet(sheet))
        print(options.out)


if __name__ == "__main__":
    main()
