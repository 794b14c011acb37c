"""What one analysis leaves behind: tables, label image, overlay and the record of how they came about."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from .files import sha256_of, write_files
from .settings import Settings
from .types import U8, Result, Table

SCHEMA_VERSION: Final = 1
FILES: Final = ("lobes.csv", "sets.csv", "labels.tif", "overlay.png", "result.json")
"""The files of one result, in the order they are written: the record of the others comes last."""
KINDS: Final = {"sphere": "spheres", "dumbbell": "dumbbells", "trimer": "trimers", "chain": "chains"}
QUANTITIES: Final = (
    "diameter", "diameter_sphere", "diameter_large", "diameter_small",
    "diameter_a", "diameter_b", "diameter_c", "distance", "angle_max",
)
"""What a summary averages; all but the first two are columns of the set table."""
UNITS: Final = {quantity: ("",) if quantity == "angle_max" else ("", "_nm") for quantity in QUANTITIES}
"""Suffixes under which a quantity is averaged; angles are in degrees."""
STATUSES: Final = ("ok", "skipped", "failed")
SUMMARY_COLUMNS: Final = (
    "file", "folder", "status", "error", "lobes", "sets", *KINDS.values(),
    *(f"{q}_{of}{unit}" for q in QUANTITIES for unit in UNITS[q] for of in ("mean", "sd")),
    "pixel_size_nm", "pixel_size_source", "model", "warnings",
)
_PACKAGES: Final = ("samcolloid-edge", "onnxruntime-gpu", "onnxruntime", "numpy", "opencv-python", "numba")


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two analyses the same: the input, the settings, the weights and the program."""

    sha256: str
    """Of the input file's bytes."""
    settings: Settings
    model_digest: str
    version: str


def versions() -> dict[str, str]:
    """Versions of this package and of those whose change may change a number; only what is installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write(result: Result, found: Mapping[str, Any], folder: Path, *, overlay: U8) -> list[Path]:
    """Write ``FILES`` into ``folder``, all or none; the paths written, in that order.

    ``found`` is the result's record, ``overlay`` an (H, W, 3) uint8 RGB picture. A file that another program
    holds open is written beside itself under a new name, which is in the list then. Raises OutputError where
    nothing can be written.
    """
    contents = {
        "lobes.csv": table_csv(result.lobes),
        "sets.csv": table_csv(result.sets),
        "labels.tif": labels_tiff(result),
        "overlay.png": _png(overlay),
    }
    # The record vouches for the other files by their digests, so "the same result is there" means all of it.
    digests = {name: _sha256(data) for name, data in contents.items()}
    contents["result.json"] = json_bytes({**found, "files": digests})
    return write_files(folder, contents)


def existing(folder: Path, identity: Identity) -> Literal["same", "other"] | None:
    """What ``folder`` holds: this very result, whole; another, damaged or edited one; None where nothing."""
    if not any((folder / name).exists() for name in FILES):
        return None
    found = read_record(folder)
    try:
        there = (found["input"]["sha256"], found["settings"], found["model"]["digest"],
                 found["versions"]["samcolloid-edge"])
        whole = all(sha256_of(folder / name) == digest for name, digest in found["files"].items())
    except (KeyError, TypeError, AttributeError, OSError):
        return "other"
    wanted = (identity.sha256, _plain(identity.settings.to_dict()), identity.model_digest, identity.version)
    return "same" if whole and there == wanted else "other"


def read_record(folder: Path) -> dict[str, Any]:
    """``result.json`` of a folder; empty where there is none of this schema."""
    try:
        found = json.loads((folder / "result.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    ours = isinstance(found, dict) and found.get("schema_version") == SCHEMA_VERSION
    return dict(found) if ours else {}


def record(result: Result) -> dict[str, Any]:
    """Everything it takes to read, check and repeat an analysis, as plain JSON values."""
    micrograph, model = result.micrograph, result.model
    values: dict[str, Any] = _plain({
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": {
            "path": micrograph.source,
            "sha256": micrograph.sha256,
            "shape": micrograph.pixels.shape,
            "dtype": micrograph.pixels.dtype.name,
            "analysed_area": asdict(micrograph.area),
            "mapped_to_8_bit": result.grey_range,
        },
        "pixel_size": {
            "nm_per_px": micrograph.pixel_size,
            "uncertainty_nm_per_px": micrograph.pixel_size_uncertainty,
            "source": micrograph.pixel_size_source,
            "file_nm_per_px": micrograph.file_pixel_size,
        },
        "zoom": {"model_px_per_px": result.zoom, "source": result.zoom_source},
        "settings": result.settings.to_dict(),
        "model": {"name": model.name, "digest": model.digest, "files": model.files},
        "providers": result.providers,
        "versions": versions(),
        "counts": result.counts,
        "summary": summary(result),
        "units": {"lobes": result.lobes.units, "sets": result.sets.units},
        "timings": result.timings,
        "warnings": [*micrograph.warnings, *(w for w in result.warnings if w not in micrograph.warnings)],
    })
    return values


def summary(result: Result) -> dict[str, Any]:
    """Counts of lobes and sets, and mean and standard deviation (N − 1) of ``QUANTITIES``.

    Counts are of all; means leave out what touches the border of the analysed area and so is cut.
    """
    lobes, sets = result.lobes, result.sets
    kinds = sets["kind"]
    values: dict[str, Any] = {"lobes": lobes.n_rows, "sets": sets.n_rows}
    values |= {plural: int((kinds == kind).sum()) for kind, plural in KINDS.items()}
    whole_lobes, whole_sets = ~lobes["touches_edge"], ~sets["touches_edge"]
    sources = {
        "diameter": (lobes, "equivalent_diameter_area", whole_lobes),
        "diameter_sphere": (sets, "equivalent_diameter_area", whole_sets & (kinds == "sphere")),
    }
    for quantity in QUANTITIES:
        table, name, rows = sources.get(quantity, (sets, quantity, whole_sets))
        for unit in UNITS[quantity]:
            column = table.get(name + unit)
            mean, deviation = (None, None) if column is None else _mean_and_deviation(column[rows])
            values[f"{quantity}_mean{unit}"], values[f"{quantity}_sd{unit}"] = mean, deviation
    return values


def summary_row(
    file: Path, folder: Path, status: str, found: Mapping[str, Any], error: str = ""
) -> dict[str, Any]:
    """One image's row of ``summary.csv``; ``found`` is its record, empty where it failed."""
    row = {"file": str(file), "folder": folder.as_posix(), "status": status, "error": error}
    if not found:
        return row
    scale = found["pixel_size"]
    row |= {"pixel_size_nm": scale["nm_per_px"], "pixel_size_source": scale["source"]}
    row |= {"model": found["model"]["digest"], "warnings": " ".join(found["warnings"])}
    return {**row, **found["summary"]}


def summary_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """``summary.csv``: one row an image; what a failed one lacks is empty."""
    return rows_csv(SUMMARY_COLUMNS, ([_cell(row.get(name)) for name in SUMMARY_COLUMNS] for row in rows))


def table_csv(table: Table) -> bytes:
    """UTF-8 CSV: one header line, no unit row; an undefined value is an empty cell."""
    return rows_csv(table, zip(*(_cells(column) for column in table.values()), strict=True))


def rows_csv(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """UTF-8 CSV of plain Python values."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def labels_tiff(result: Result) -> bytes:
    """The label image as TIFF with its pixel size: uint16 as ImageJ has it, OME's uint32 above 65,535."""
    labels, size = result.masks.labels(), result.micrograph.pixel_size
    if len(result.masks) <= np.iinfo(np.uint16).max:
        return gray_tiff(labels.astype(np.uint16), size)
    names = ("PhysicalSizeX", "PhysicalSizeY")
    scale = {} if size is None else dict.fromkeys(names, size) | {f"{name}Unit": "nm" for name in names}
    file = io.BytesIO()
    tifffile.imwrite(file, labels.astype(np.uint32), ome=True, metadata={"axes": "YX", **scale})
    return file.getvalue()


def gray_tiff(image: NDArray[np.uint8] | NDArray[np.uint16], pixel_size: float | None) -> bytes:
    """An (H, W) image as ImageJ's TIFF, with the pixel size (nm/px) where it is known."""
    file = io.BytesIO()
    scale = None if pixel_size is None else (1 / pixel_size, 1 / pixel_size)
    metadata = None if pixel_size is None else {"unit": "nm"}
    tifffile.imwrite(file, image, imagej=True, resolution=scale, metadata=metadata)
    return file.getvalue()


def one_line(found: Mapping[str, Any]) -> str:
    """What a record says, in a few words."""
    counts, size = found["summary"], found["pixel_size"]
    scale = f"{size['nm_per_px']:.4g} nm/px ({size['source']})" if size["nm_per_px"] else "no pixel size"
    return f"{counts['lobes']} lobes, {counts['sets']} sets, {scale}"


def json_bytes(values: Mapping[str, Any]) -> bytes:
    """Readable UTF-8 JSON."""
    return (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def _png(picture: U8) -> bytes:
    return cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes()


def _cells(column: NDArray[Any]) -> list[Any]:
    digits = 10 if column.dtype.itemsize > 4 else 7  # float32 has no more
    return [_cell(value, digits) for value in column.tolist()]


def _cell(value: Any, digits: int = 10) -> Any:
    """A float as text of so many significant digits; nothing for None and NaN."""
    if value is None or value != value:
        return ""
    return format(value, f".{digits}g") if isinstance(value, float) else value


def _mean_and_deviation(values: NDArray[Any]) -> tuple[float | None, float | None]:
    """Of the values that are defined; None where there are too few."""
    defined = values[~np.isnan(values)]
    mean = float(defined.mean()) if len(defined) else None
    return mean, float(defined.std(ddof=1)) if len(defined) > 1 else None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any) -> Any:
    """Plain JSON values: numbers for NumPy's, lists for tuples, None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
