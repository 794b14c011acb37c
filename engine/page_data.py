"""One result folder → what the report page shows of it: tables, outlines, picture and record."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from ..models.errors import ImageError, OutputError
from .files import sha256_of
from .kernels_measure import label_sums
from .overlay import colour_numbers
from .preprocess import Grey
from .read import read
from .report import read_record
from .types import I32, I64, U8, Area

MAX_PIXELS: Final = 16e6
"""Pixels of one picture, px; a larger micrograph is shown smaller."""
MAX_PIXELS_OF_PAGE: Final = 64e6
"""Pixels of all pictures of a page, px, as far as each keeps ``LEAST_PIXELS``."""
LEAST_PIXELS: Final = 1e6
"""Pixels that a picture keeps in a page of many, px."""
JPEG_QUALITY: Final = 92


@dataclass(frozen=True, slots=True)
class EdgeOutlines:
    """Closed outlines along pixel edges, image px: N polygons, a hole being one of its own."""

    owner: I32
    """(N,) the label that each belongs to."""
    start: I32
    """(N, 2) (x, y) edge coordinates of its first corner."""
    count: I32
    """(N,) its number of runs, even."""
    runs: I32
    """Signed lengths from corner to corner, along x and y in turn, x first."""


@dataclass(frozen=True, slots=True)
class PageImage:
    """One micrograph of a page."""

    name: str
    """Of the file."""
    folder: str
    """Of its results, as given."""
    record: dict[str, Any]
    """``result.json``."""
    lobes: str
    """``lobes.csv`` as it is."""
    sets: str
    """``sets.csv`` as it is."""
    lobe_outlines: EdgeOutlines
    set_outlines: EdgeOutlines
    lobe_boxes: I32
    """(N, 4) half-open row0, col0, row1, col1 of the labels 1 … N, px."""
    set_colours: I64
    """(S,) number in the palette of the sets 1 … S; sets that lie close differ."""
    picture: bytes
    """JPEG, 8-bit grey; empty where the micrograph could not be read."""
    scale: float
    """Picture px per image px, at most 1."""
    note: str
    """What to know about the picture; "" where it has the file's own pixels."""


def read_results(folders: Sequence[Path], images: Sequence[Path] = ()) -> Iterator[PageImage | OutputError]:
    """What the results in ``folders`` and their micrographs say, or why a folder holds no whole result; in order.

    A micrograph is looked for under the path that the record has, beside the results, and in the folders
    ``images``; only the very file counts (sha256).
    """
    budget = max(LEAST_PIXELS, min(MAX_PIXELS, MAX_PIXELS_OF_PAGE / max(1, len(folders))))
    for folder in folders:
        try:
            yield _read_result(folder, images, budget)
        except OutputError as error:
            yield error


def _read_result(folder: Path, images: Sequence[Path], budget: float) -> PageImage:
    record = read_record(folder)
    if not record:
        raise OutputError(f"{folder}: holds no result (result.json) of this version; analyse the micrograph again.")
    lobes, sets = (_file(folder, name, record).decode("utf-8") for name in ("lobes.csv", "sets.csv"))
    labels = np.ascontiguousarray(tifffile.imread(io.BytesIO(_file(folder, "labels.tif", record))), np.int32)
    members = _column(lobes, "set")
    n, n_sets = len(members), max(members, default=0)
    groups = np.concatenate((np.zeros(1, np.int32), np.array(members, np.int32)))[labels]
    _, boxes = label_sums(labels, n)
    picture, scale, note = _picture(folder, record["input"], images, budget)
    return PageImage(
        name=Path(record["input"]["path"]).name,
        folder=folder.as_posix(),
        record=record,
        lobes=lobes,
        sets=sets,
        lobe_outlines=outlines(labels, n),
        set_outlines=outlines(groups, n_sets),
        lobe_boxes=boxes,
        set_colours=colour_numbers(groups, n_sets),
        picture=picture,
        scale=scale,
        note=note,
    )


def outlines(labels: I32, n: int) -> EdgeOutlines:
    """Outlines of the labels 1 … ``n`` of an (H, W) int32 image; inside by the even-odd rule is the label."""
    _, boxes = label_sums(labels, n)
    polygons: list[NDArray[np.int32]] = []
    owner: list[int] = []
    for label, (row0, col0, row1, col1) in enumerate(boxes.tolist(), start=1):
        inside = (labels[row0:row1, col0:col1] == label).astype(np.uint8)
        # Doubled, both sides of every pixel are border pixels: 2 c and 2 c + 1 tell the edges c and c + 1.
        doubled = inside.repeat(2, axis=0).repeat(2, axis=1)
        for polygon in cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]:
            polygons.append((polygon[:, 0, :] + 1) // 2 + np.array([col0, row0], np.int32))
            owner.append(label)
    if not polygons:
        none = np.zeros(0, np.int32)
        return EdgeOutlines(none, none.reshape(0, 2), none, none)
    points = np.concatenate(polygons).astype(np.int32)
    of = np.repeat(np.arange(len(polygons)), [len(p) for p in polygons])
    moves = (_next(points, of) != points).any(axis=1)
    points, of = points[moves], of[moves]
    along_y = _next(points, of)[:, 0] == points[:, 0]
    turns = along_y != along_y[_previous(of)]
    points, of = points[turns], of[turns]
    step = _next(points, of) - points
    count = np.bincount(of, minlength=len(polygons))
    first = np.cumsum(count) - count
    first_is_y = step[first, 0] == 0
    # Start one corner later where the first run goes along y.
    order = np.arange(len(points))
    order = np.where(first_is_y[of], first[of] + (order - first[of] + 1) % count[of], order)
    points, step = points[order], step[order]
    runs = step.sum(axis=1, dtype=np.int32)
    return EdgeOutlines(np.array(owner, np.int32), points[first], count.astype(np.int32), runs)


def base64_of(array: NDArray[Any]) -> str:
    """The bytes of an array, little-endian, as base64."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def _next(points: I32, of: NDArray[Any]) -> I32:
    """Of each point of a polygon the one that follows."""
    following = np.roll(points, -1, axis=0)
    last = np.flatnonzero(np.append(of[1:] != of[:-1], True))
    following[last] = points[np.concatenate(([0], last[:-1] + 1))]
    return following


def _previous(of: NDArray[Any]) -> NDArray[np.intp]:
    """Index of the point before each point of a polygon."""
    index = np.arange(len(of)) - 1
    last = np.flatnonzero(np.append(of[1:] != of[:-1], True))
    index[np.concatenate(([0], last[:-1] + 1))] = last
    return index


def _file(folder: Path, name: str, record: dict[str, Any]) -> bytes:
    """A file of a result, as the record vouches for it."""
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        reason = error.strerror
        raise OutputError(f"{folder / name}: cannot be read ({reason}); analyse the micrograph again.") from None
    if hashlib.sha256(data).hexdigest() != record["files"].get(name):
        raise OutputError(f"{folder / name}: was changed since the analysis; analyse the micrograph again.")
    return data


def _column(table: str, name: str) -> list[int]:
    return [int(row[name]) for row in csv.DictReader(io.StringIO(table, newline=""))]


def _picture(folder: Path, source: dict[str, Any], images: Sequence[Path], budget: float) -> tuple[bytes, float, str]:
    """The micrograph as the model saw its grey values, picture px per image px, and what to know about it."""
    path = Path(source["path"])
    places = (path, folder / path.name, folder.parent / path.name, *(p / path.name for p in images))
    found = next((place for place in dict.fromkeys(places) if _is(place, source["sha256"])), None)
    if found is None:
        there = "has changed since it was analysed" if path.is_file() else "is not there any longer"
        return b"", 1.0, f"The micrograph {there} ({path}), so the outlines are shown without it."
    try:
        pixels = read(found).pixels
    except ImageError as error:
        return b"", 1.0, f"The micrograph cannot be read, so the outlines are shown without it ({error})"
    mapped = source["mapped_to_8_bit"]
    picture = Grey(pixels, None if mapped is None else tuple(mapped)).of(Area(0, 0, *pixels.shape))
    scale = min(1.0, (budget / picture.size) ** 0.5)
    note = ""
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in picture.shape)
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
        note = (f"The picture is shown at {width} × {height} px of {pixels.shape[1]} × {pixels.shape[0]} px; "
                "outlines and measures are those of the file.")  # fmt: skip
    return _jpeg(picture), scale, note


def _is(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and sha256_of(path) == sha256
    except OSError:
        return False


def _jpeg(picture: U8) -> bytes:
    return cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes()
