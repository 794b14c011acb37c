"""What an analysis, a truth or a published table says of micrographs, read back from files, to compare it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..models.errors import ImageError
from . import kernels, set_table
from .files import sha256_of
from .matching import F64
from .report import KINDS, read_record
from .scale import pixel_sizes
from .types import I32, I64, Bool

Texts = NDArray[np.str_]

HIDDEN: Final = 0.5
"""A true lobe of which less than this share is visible need not be found."""
_LABEL_FOLDER: Final = "labels"
_SUFFIXES: Final = (".tif", ".tiff")
_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "row0": ("bbox_min_row", "bbox-0"),
    "col0": ("bbox_min_col", "bbox-1"),
    "row1": ("bbox_max_row", "bbox-2"),
    "col1": ("bbox_max_col", "bbox-3"),
    "row": ("centroid_row", "centroid-0"),
    "col": ("centroid_col", "centroid-1"),
    "area": ("area",),
}
"""What a column of lobes may be called: as in the published table, and as in scikit-image's and ours."""


@dataclass(frozen=True, slots=True)
class Findings:
    """N lobes of one micrograph; coordinates (row, col) in px of the file, as scikit-image has them."""

    numbers: I64
    """(N,) the lobe's label, or its line in a table, from 1."""
    boxes: F64
    """(N, 4) row0, col0, row1, col1, half-open."""
    centroids: F64
    """(N, 2)."""
    areas: F64
    """(N,) px²."""
    roles: Texts
    """(N,) role in the set; "" where unknown."""
    sets: I64
    """(N,) set number from 1; 0 in no set."""
    cut: Bool
    """(N,) reaches the border of the analysed area: its diameter is not the lobe's."""
    ignored: Bool
    """(N,) need not be found, and is not wrong: mostly hidden, or excluded by a filter."""
    labels: I32 | None = None
    """(H, W) lobe i's pixels are i + 1; None where there are boxes alone."""

    @property
    def diameters(self) -> F64:
        """(N,) diameters of the circle of the same area, px."""
        return np.sqrt(4 * self.areas / np.pi)

    def of_sets(self) -> Findings:
        """The sets as particles: their pixels together, number and role being the set's number and lobe count."""
        inside = self.sets > 0
        numbers, of = np.unique(self.sets[inside], return_inverse=True)
        n = len(numbers)
        areas: F64 = np.bincount(of, weights=self.areas[inside], minlength=n).astype(np.float64)
        boxes = np.tile([np.inf, np.inf, -np.inf, -np.inf], (n, 1))
        np.minimum.at(boxes[:, :2], of, self.boxes[inside, :2])
        np.maximum.at(boxes[:, 2:], of, self.boxes[inside, 2:])
        weighted = [np.bincount(of, weights=self.areas[inside] * c, minlength=n) for c in self.centroids[inside].T]
        labels = None
        if self.labels is not None:
            of_label = np.zeros(len(self.sets) + 1, np.int32)
            of_label[1:][inside] = of + 1
            labels = of_label[self.labels]
        return Findings(
            numbers=numbers,
            boxes=boxes,
            centroids=np.column_stack(weighted) / areas[:, None],
            areas=areas,
            roles=np.array(list(KINDS))[np.minimum(np.bincount(of, minlength=n), len(KINDS)) - 1],
            sets=numbers,
            cut=np.bincount(of, weights=self.cut[inside], minlength=n) > 0,
            ignored=np.bincount(of, weights=self.ignored[inside], minlength=n) > 0,
            labels=labels,
        )


@dataclass(frozen=True, slots=True)
class Source:
    """One micrograph of one side, before its lobes are read."""

    image: str
    """Its name."""
    path: Path
    """The folder or file that speaks of it."""
    sha256: str
    """Of the micrograph's bytes; "" where the side does not know."""
    pixel_size: float | None
    """nm per px; None where the side does not know."""
    made_by: str
    """The model, method, truth or table behind it, in words."""
    load: Callable[[], Findings]
    """Reads the lobes; ImageError where the files are damaged."""


def sources(path: Path) -> list[Source]:
    """Every micrograph that a side speaks of, by name.

    ``path`` is a result folder or one of several (as ``analyze --out`` makes it), a folder of label images (as
    ``simulate --out`` makes it, or one TIFF named after each micrograph), or a CSV table of lobes with the columns
    ``image``, box and area. Raises ImageError, one sentence, where it is none of these.
    """
    if path.is_file() and path.suffix.lower() == ".csv":
        return list(_of_table(path))
    if not path.is_dir():
        what = "neither a folder nor a CSV table" if path.exists() else "there is no such file or folder"
        raise ImageError(f"{path}: {what}; name a result folder, a folder of label images, or a table of lobes.")
    found = [_of_result(record.parent) for record in sorted(path.rglob("result.json"))]
    found = found or list(_of_labels(path))
    if not found:
        raise ImageError(f"{path}: holds neither a result (result.json) nor label images ({' '.join(_SUFFIXES)}).")
    return found


def _of_result(folder: Path) -> Source:
    record = read_record(folder)
    try:
        model = record["model"]
        made_by = f"{model['name']} {model['digest']}" if model else record["method"]
        image, scale = record["input"], record["pixel_size"]["nm_per_px"]
        name = folder.name if image["path"] == "array" else Path(image["path"].replace("\\", "/")).stem
        return Source(name, folder, image["sha256"], scale, made_by, lambda: _result(folder))
    except (KeyError, TypeError):
        raise ImageError(f"{folder}: result.json is not that of a result of this version; analyse again.") from None


def _result(folder: Path) -> Findings:
    table, lines = folder / "lobes.csv", list(_rows(folder / "lobes.csv"))
    labels = _label_image(folder / "labels.tif").astype(np.int32)
    numbers = _numbers(table, lines, "label").astype(np.int64)
    if not np.array_equal(numbers, np.arange(1, int(labels.max(initial=0)) + 1)):
        raise ImageError(f"{folder}: lobes.csv and labels.tif do not belong together; analyse again.")
    return Findings(
        numbers=numbers,
        **_measures(table, lines),
        sets=_numbers(table, lines, "set").astype(np.int64),
        roles=np.array([line["lobe"] for line in lines], np.str_),
        cut=np.array([line["touches_edge"] == "True" for line in lines], bool),
        ignored=np.array([bool(line.get("excluded_by")) for line in lines], bool),
        labels=labels,
    )


def _of_labels(folder: Path) -> Iterator[Source]:
    """Label images in ``folder/labels``, the micrographs and what is true of them beside; else in ``folder``."""
    inner = folder / _LABEL_FOLDER
    for path in sorted((inner if inner.is_dir() else folder).iterdir()):
        if path.suffix.lower() not in _SUFFIXES or path.name.startswith("."):
            continue
        image, truth = folder / path.name, folder / f"{path.stem}_truth.csv"
        digest = sha256_of(image) if inner.is_dir() and image.is_file() else ""
        with _opened(path) as tiff:
            stated, _ = pixel_sizes(tiff)
        made_by = "truth" if truth.is_file() else "label images"
        yield Source(path.stem, path, digest, stated[0].x if stated else None, made_by, _labels_loader(path, truth))


def _labels_loader(path: Path, truth: Path) -> Callable[[], Findings]:
    return lambda: _labels(path, truth if truth.is_file() else None)


def _labels(path: Path, truth: Path | None) -> Findings:
    image = _label_image(path)
    numbers, inverse = np.unique(image, return_inverse=True)
    first = int(np.count_nonzero(numbers == 0))
    labels = (inverse.reshape(image.shape) + (1 - first)).astype(np.int32)
    n = len(numbers) - first
    rows, cols = np.nonzero(labels)
    of = labels[rows, cols] - 1
    areas = np.bincount(of, minlength=n).astype(np.float64)
    centroids = np.column_stack([np.bincount(of, weights=at, minlength=n) / areas for at in (rows, cols)])
    boxes = kernels.label_boxes(labels, n)[0][:, [1, 0, 3, 2]].astype(np.float64)
    sets, visible = np.zeros(n, np.int64), np.ones(n)
    if truth is not None:
        lines = list(_rows(truth))
        if not np.isin(numbers[first:], _numbers(truth, lines, "label")).all():
            raise ImageError(f"{truth}: names not all labels of {path}; render again.")
        line_of = np.searchsorted(_numbers(truth, lines, "label"), numbers[first:])
        sets = _numbers(truth, lines, "particle")[line_of].astype(np.int64)
        visible = _numbers(truth, lines, "visible_fraction")[line_of]
    return Findings(
        numbers=numbers[first:].astype(np.int64),
        boxes=boxes,
        centroids=centroids,
        areas=areas,
        roles=_roles(sets, centroids, areas),
        sets=sets,
        cut=(boxes[:, :2] == 0).any(1) | (boxes[:, 2:] == image.shape).any(1),
        ignored=visible < HIDDEN,
        labels=labels,
    )


def _of_table(path: Path) -> Iterator[Source]:
    lines = list(_rows(path))
    if not lines or "image" not in lines[0]:
        raise ImageError(f"{path}: a table of lobes needs a column image and at least one row.")
    images: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for number, line in enumerate(lines, start=1):
        images.setdefault(line["image"], []).append((number, line))
    for name, numbered in images.items():
        yield Source(name, path, "", None, "table", _table_loader(path, numbered))


def _table_loader(path: Path, numbered: list[tuple[int, dict[str, str]]]) -> Callable[[], Findings]:
    return lambda: _table(path, numbered)


def _table(path: Path, numbered: list[tuple[int, dict[str, str]]]) -> Findings:
    lines = [line for _, line in numbered]
    measures = _measures(path, lines)
    names = [line.get("set", "") for line in lines]
    ranks = {name: rank for rank, name in enumerate(dict.fromkeys(name for name in names if name), start=1)}
    sets = np.array([ranks.get(name, 0) for name in names], np.int64)
    given = np.array([line.get("lobe", "") for line in lines], np.str_)
    return Findings(
        numbers=np.array([number for number, _ in numbered], np.int64),
        **measures,
        roles=np.where(given == "", _roles(sets, measures["centroids"], measures["areas"]), given),
        sets=sets,
        cut=np.zeros(len(lines), bool),
        ignored=np.zeros(len(lines), bool),
    )


def _roles(sets: I64, centroids: F64, areas: F64) -> Texts:
    """(N,) roles as ``set_table.roles`` has them; ``sets`` from 1, 0 for none."""
    numbers, index = np.unique(sets, return_inverse=True)
    return set_table.roles((index - np.count_nonzero(numbers == 0)).astype(np.int32), centroids, areas)


def _measures(path: Path, lines: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """``boxes``, ``centroids`` and ``areas`` of a table's lines, under whichever of their ``_NAMES``."""
    column = {}
    for what, names in _NAMES.items():
        name = next((name for name in names if not lines or name in lines[0]), None)
        if name is None:
            raise ImageError(f"{path}: has no column {' or '.join(names)}.")
        column[what] = _numbers(path, lines, name)
    return {
        "boxes": np.column_stack([column[name] for name in ("row0", "col0", "row1", "col1")]),
        "centroids": np.column_stack([column["row"], column["col"]]),
        "areas": column["area"],
    }


def _numbers(path: Path, lines: Sequence[Mapping[str, str]], name: str) -> F64:
    try:
        return np.array([float(line[name]) for line in lines], np.float64)
    except KeyError:
        raise ImageError(f"{path}: has no column {name}.") from None
    except (ValueError, TypeError):
        raise ImageError(f"{path}: column {name} holds something that is no number.") from None


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImageError(f"{path}: cannot be read as a table ({error}).") from None


def _label_image(path: Path) -> NDArray[Any]:
    with _opened(path) as tiff:
        image = tiff.pages.first.asarray()
    if image.ndim != 2 or image.dtype.kind not in "ui" or image.min(initial=0) < 0:
        raise ImageError(f"{path}: is no label image (one channel of whole numbers, 0 for background).")
    return image


def _opened(path: Path) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(path)
    except (OSError, tifffile.TiffFileError) as error:
        raise ImageError(f"{path}: cannot be read as a TIFF ({error}).") from None
