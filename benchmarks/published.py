"""The published table, and how one of our results agrees with the rows of one image.

The table (``published/lobes.csv``) gives boxes and moments, no outlines: where an outline is needed, the
ellipse with the same second moments stands for it (scikit-image: ``axis_major_length``, ``eccentricity``,
``orientation``), cut to the lobe's box.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from samcolloid_edge.engine.matching import F64, Overlaps, box_overlaps, match, same_sets, sets_of_size
from samcolloid_edge.engine.types import I64, Bool

SAMPLES: Final = {"spheres": 1, "dumbbells": 2, "trimers": 3}
"""Sample → lobes in one particle."""
MATCHED: Final = 0.5
"""Box IoU from which a lobe counts as matched for diameters and sets."""
SPLIT_SHARE: Final = 0.1
"""A lobe of ours takes part in a split where it covers at least this share of the published outline."""


@dataclass(frozen=True, slots=True)
class Published:
    """The N published lobes of one image; coordinates (row, col) in px of the file."""

    name: str
    sample: str
    path: Path
    """The micrograph."""
    boxes: F64
    """(N, 4) row0, col0, row1, col1, half-open."""
    centroids: F64
    """(N, 2)."""
    areas: F64
    """(N,) px²."""
    ellipses: F64
    """(N, 3) major axis, minor axis (px, full lengths), orientation (radians, from the row axis)."""
    sets: I64
    """(N,) set number from 1."""
    roles: NDArray[Any]
    """(N,) str: role of the lobe in its set; ``sphere`` for spheres."""

    @property
    def diameters(self) -> F64:
        """(N,) diameters of equal area, px."""
        return np.sqrt(4 * self.areas / np.pi)

    @property
    def n_sets(self) -> int:
        """Number of published sets in the image."""
        return len(np.unique(self.sets))


@dataclass(frozen=True, slots=True)
class Agreement:
    """What one image's comparison found; N published lobes, M of ours."""

    found: dict[float, Bool]
    """Box IoU threshold → (N,) whether a lobe of ours matches."""
    pairs: I64
    """(P, 2) (published, ours) matched at box IoU ≥ ``MATCHED``."""
    split: Bool
    """(N,) see ``split_lobes``."""
    merged: Bool
    """(N,) see ``merged_lobes``."""
    same: I64
    """(S, 2) (published set, our set) with the same members."""
    ours: I64
    """Numbers of our sets of the sample's kind: as many lobes as its particles have."""


def shared_folder(argument: Path | None) -> Path:
    """The folder that holds ``micrographs`` and ``published``: as given, or from SAMCOLLOID_PUBLISHED.

    The micrographs' own folder is understood as well.
    """
    given = argument or Path(os.environ.get("SAMCOLLOID_PUBLISHED", "../shared"))
    for folder in (given, given.resolve().parent):
        if (folder / "micrographs").is_dir() and (folder / "published" / "lobes.csv").is_file():
            return folder
    raise SystemExit(f"{given}: there is no micrographs folder with published/lobes.csv beside it.")


def read_published(shared: Path) -> list[Published]:
    """One record an image, in the order of the table."""
    with (shared / "published" / "lobes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    images: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        images.setdefault(row["image"], []).append(row)

    def columns(rows: list[dict[str, str]], *names: str) -> F64:
        return np.array([[float(row[name]) for name in names] for row in rows])

    records = []
    for name, lobes in images.items():
        major, eccentricity, orientation = columns(
            lobes, "axis_major_length", "eccentricity", "orientation"
        ).T
        records.append(
            Published(
                name=name,
                sample=lobes[0]["sample"],
                path=shared / "micrographs" / f"{name.replace('_', ' ', 1)}.tif",
                boxes=columns(lobes, "bbox_min_row", "bbox_min_col", "bbox_max_row", "bbox_max_col"),
                centroids=columns(lobes, "centroid_row", "centroid_col"),
                areas=columns(lobes, "area")[:, 0],
                ellipses=np.column_stack([major, major * np.sqrt(1 - eccentricity**2), orientation]),
                sets=columns(lobes, "set")[:, 0].astype(np.int64) + 1,
                roles=np.array([lobe["lobe"] for lobe in lobes]),
            )
        )
    return records


def outline(published: Published, i: int, shape: tuple[int, int]) -> tuple[tuple[slice, slice], Bool]:
    """Slices of lobe ``i``'s box in an image of ``shape``, and the bool pixels of its ellipse there."""
    row0, col0, row1, col1 = published.boxes[i].astype(int)
    rows, cols = slice(max(row0, 0), min(row1, shape[0])), slice(max(col0, 0), min(col1, shape[1]))
    major, minor, angle = published.ellipses[i]
    y = np.arange(rows.start, rows.stop)[:, None] - published.centroids[i, 0]
    x = np.arange(cols.start, cols.stop)[None, :] - published.centroids[i, 1]
    along, across = y * np.cos(angle) + x * np.sin(angle), x * np.cos(angle) - y * np.sin(angle)
    return (rows, cols), (2 * along / major) ** 2 + (2 * across / max(minor, 1.0)) ** 2 <= 1


def outline_overlaps(published: Published, labels: NDArray[Any]) -> tuple[Overlaps, F64]:
    """Overlaps of the published outlines with our lobes, and the (N,) areas of the outlines, px²."""
    areas = np.bincount(labels.ravel())
    rows, sizes = [], np.zeros(len(published.boxes))
    for lobe in range(len(published.boxes)):
        where, inside = outline(published, lobe, labels.shape)
        numbers, counts = np.unique(labels[where][inside], return_counts=True)
        rows.append(np.column_stack([np.full(len(numbers), lobe), numbers - 1, counts]))
        sizes[lobe] = inside.sum()
    table = np.concatenate(rows).astype(np.int64)
    first, second, shared = table[table[:, 1] >= 0].T
    union = sizes[first] + areas[second + 1] - shared
    return Overlaps(
        first, second, shared.astype(np.float64), shared / union, (len(sizes), len(areas) - 1)
    ), sizes


def split_lobes(published: Published, labels: NDArray[Any]) -> Bool:
    """(N,) published lobes split over two or more of ours.

    Each of our lobes belongs to the one published outline that holds most of it, if that is more than half of
    its pixels; a published lobe is split where two or more that belong to it cover ``SPLIT_SHARE`` of it or
    more each. Belonging to one only keeps a neighbour apart whose outline reaches into this one, as in fused
    particles.
    """
    overlaps, sizes = outline_overlaps(published, labels)
    areas = np.bincount(labels.ravel())
    share = overlaps.intersection / areas[overlaps.second + 1]
    largest = np.zeros(overlaps.lengths[1])
    np.maximum.at(largest, overlaps.second, share)
    belongs = (share > 0.5) & (share == largest[overlaps.second])
    large = overlaps.intersection >= SPLIT_SHARE * sizes[overlaps.first]
    return np.bincount(overlaps.first[belongs & large], minlength=len(sizes)) >= 2


def merged_lobes(published: Published, labels: NDArray[Any]) -> Bool:
    """(N,) published lobes whose centroid lies in a lobe of ours in which another one's lies as well."""
    rows, cols = np.rint(published.centroids).astype(int).T
    under = labels[rows, cols]
    numbers, counts = np.unique(under[under > 0], return_counts=True)
    return np.isin(under, numbers[counts > 1])


def compare(
    published: Published,
    labels: NDArray[Any],
    boxes: NDArray[Any],
    sets: NDArray[Any],
    thresholds: tuple[float, ...] = (0.5, 0.6, 0.7),
) -> Agreement:
    """Our (H, W) labels, (M, 4) boxes and (M,) set numbers (0: none) against the published lobes."""
    overlaps = box_overlaps(published.boxes, boxes)
    found = {}
    for threshold in thresholds:
        hit = np.zeros(len(published.boxes), bool)
        hit[match(overlaps, threshold)[:, 0]] = True
        found[threshold] = hit
    pairs = match(overlaps, MATCHED)
    return Agreement(
        found=found,
        pairs=pairs,
        split=split_lobes(published, labels),
        merged=merged_lobes(published, labels),
        same=same_sets(pairs, published.sets, sets),
        ours=sets_of_size(sets, SAMPLES[published.sample]),
    )
