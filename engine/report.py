"""What one analysis leaves behind: tables, label image, overlay and the record of how they came about."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from operator import itemgetter
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np

from . import quantities, statistics
from .files import sha256_of, write_files
from .overlay import draw
from .report_coco import coco_json
from .report_csv import cell, json_bytes, rows_csv, table_csv
from .report_formats import ALWAYS, chosen, files_of
from .report_parquet import table_parquet
from .report_roi import roi_zip
from .report_tiff import lobes_tiff, sets_tiff
from .report_xlsx import workbook
from .sample import Sample
from .settings import Settings
from .types import Particle, Result

SCHEMA_VERSION: Final = 1
FILES: Final = files_of(ALWAYS)
"""The files that every result has, in the order they are written: the record of the others comes last."""
KINDS: Final = {"sphere": "spheres", "dumbbell": "dumbbells", "trimer": "trimers", "chain": "chains"}
_DIAMETER: Final = "equivalent_diameter_area"
QUANTITIES: Final = {
    "diameter": ("lobes", "all", _DIAMETER, "px"),
    "diameter_sphere": ("lobes", "sphere", _DIAMETER, "px"),
    "diameter_large": ("lobes", "dumbbell large", _DIAMETER, "px"),
    "diameter_small": ("lobes", "dumbbell small", _DIAMETER, "px"),
    "diameter_a": ("lobes", "trimer a", _DIAMETER, "px"),
    "diameter_b": ("lobes", "trimer b", _DIAMETER, "px"),
    "diameter_c": ("lobes", "trimer c", _DIAMETER, "px"),
    "distance": ("sets", "dumbbell", "distance", "px"),
    "angle_max": ("sets", "trimer", "angle_max", "°"),
}
"""What a summary averages: table, group and quantity of the statistics, and unit; of lengths in nm as well."""
STATUSES: Final = ("ok", "skipped", "failed")
SUMMARY_COLUMNS: Final = (
    "file", "folder", "status", "error", "lobes", "sets", *KINDS.values(), "lobes_excluded",
    *(f"{name}_{of}{end}" for name, (*_, unit) in QUANTITIES.items()
      for end in (("", "_nm") if unit == "px" else ("",)) for of in ("mean", "sd")),
    "pixel_size_nm", "pixel_size_source", "model", "warnings",
)
_PACKAGES: Final = ("samcolloid-edge", "onnxruntime-gpu", "onnxruntime", "numpy", "opencv-python", "numba")


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two analyses the same: the input, the settings, the weights and the program."""

    sha256: str
    """Of the input file's bytes."""
    settings: Settings
    model_digest: str | None
    """None where no model takes part."""
    version: str
    exclusions: tuple[Particle, ...] = ()
    """Of this input, by the user."""
    side_files: Mapping[str, str] = field(default_factory=dict)
    """Name and sha256 of the microscope's text files beside it."""


def versions() -> dict[str, str]:
    """Versions of this package and of those whose change may change a number; only what is installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def save(result: Result, folder: str | PathLike[str], formats: Iterable[str] = ()) -> list[Path]:
    """Write a result's files into ``folder``, all or none, over those of a result that is there; the paths written.

    ``formats`` are asked for beside the tables (CSV), label images (TIFF), overlay and record: ``xlsx``, ``parquet``,
    ``coco``, ``roi``, or ``all``. SettingsError where one does not exist or its library is missing, OutputError where
    nothing can be written.
    """
    formats = chosen(formats)
    return write(Path(folder), contents(result, record(result), formats))


def contents(result: Result, found: Mapping[str, Any], formats: Iterable[str] = ALWAYS) -> dict[str, bytes]:
    """What the files of ``formats``, as from ``chosen``, hold, by name; ``found`` is the result's record."""
    writers: dict[str, Callable[[], bytes]] = {
        "lobes.csv": lambda: table_csv(result.lobes),
        "sets.csv": lambda: table_csv(result.sets),
        "statistics.csv": lambda: statistics_csv(found["statistics"]["rows"]),
        "labels.tif": lambda: lobes_tiff(result),
        "sets.tif": lambda: sets_tiff(result),
        "overlay.png": lambda: cv2.imencode(".png", draw(result)[:, :, ::-1])[1].tobytes(),
        "coco.json": lambda: coco_json(result),
        "rois.zip": lambda: roi_zip(result),
        "result.xlsx": lambda: workbook(result, found),
        "lobes.parquet": lambda: table_parquet(result.lobes, found),
        "sets.parquet": lambda: table_parquet(result.sets, found),
    }
    files = {name: writers[name]() for name in files_of(formats) if name != "result.json"}
    # The record vouches for the other files by their digests, so "the same result is there" means all of it.
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return {**files, "result.json": json_bytes({**found, "files": digests})}


def write(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write a result's ``contents`` into ``folder``, all or none; the paths written, in that order.

    A file that another program holds open is written beside itself under a new name, which is in the list then. What
    an earlier result left there beyond these files is removed, unless somebody edited it: no file of another result
    lies beside this one. Raises OutputError where nothing can be written.
    """
    before = read_record(folder).get("files")
    written = write_files(folder, files)
    for name, digest in before.items() if isinstance(before, dict) else ():
        left = folder / Path(name).name
        with suppress(OSError):  # gone, or open in another program
            if name not in files and sha256_of(left) == digest:
                left.unlink()
    return written


def existing(
    folder: Path, identity: Identity, formats: Iterable[str] = ALWAYS
) -> Literal["same", "fewer", "other"] | None:
    """What ``folder`` holds: this very result, whole; the same with fewer files than ``formats`` have; another,
    damaged or edited one; None where nothing.
    """
    if not any((folder / name).exists() for name in FILES):
        return None
    found = read_record(folder)
    try:
        there = (found["input"]["sha256"], found["input"]["side_files"], found["settings"],
                 (found["model"] or {}).get("digest"), found["versions"]["samcolloid-edge"], found["exclusions"])
        whole = all(sha256_of(folder / name) == digest for name, digest in found["files"].items())
        lacks = {*files_of(formats)} - {*found["files"], "result.json"}
    except (KeyError, TypeError, AttributeError, OSError):
        return "other"
    wanted = (identity.sha256, dict(identity.side_files), plain(identity.settings.to_dict()), identity.model_digest,
              identity.version, plain(identity.exclusions))  # fmt: skip
    if not whole or there != wanted:
        return "other"
    return "fewer" if lacks else "same"


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
    described = statistics.records(statistics.describe([Sample.of(result)]))
    values: dict[str, Any] = plain({
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": {
            "path": micrograph.source,
            "sha256": micrograph.sha256,
            "side_files": micrograph.side_files,
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
            "found": [{"nm_per_px": size.x, "source": size.source} for size in micrograph.pixel_sizes],
            "scale_bar_px": micrograph.scale_bar,
        },
        "zoom": {"model_px_per_px": result.zoom if model else None, "source": result.zoom_source},
        "method": result.settings.method,
        "settings": result.settings.to_dict(),
        "filters": [asdict(applied) for applied in result.filters],
        "exclusions": result.exclusions,
        "model": None if model is None else {
            "name": model.name, "digest": model.digest, "files": model.files,
            "outline": model.outline, "edge_profile": model.edge_profile,
        },
        "edge_profile": None if result.edge is None else result.edge.described,
        "providers": result.providers,
        "versions": versions(),
        "counts": result.counts,
        "summary": summary(result, described),
        "statistics": {**statistics.METHOD, "rows": described},
        "units": {"lobes": result.lobes.units, "sets": result.sets.units},
        "timings": result.timings,
        "warnings": [*micrograph.warnings, *(w for w in result.warnings if w not in micrograph.warnings)],
    })
    return values


def summary(result: Result, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of what no filter left out, and mean and standard deviation of ``QUANTITIES``.

    ``rows`` are the image's statistics, ``statistics.records``: what touches the edge of the analysed area is in the
    counts but not in the means, in which the others have their edge weights.
    """
    lobes, sets = result.lobes["excluded_by"] == "", result.sets["excluded_by"] == ""
    values: dict[str, Any] = {"lobes": int(lobes.sum()), "sets": int(sets.sum())}
    values |= {plural: int((sets & (result.sets["kind"] == kind)).sum()) for kind, plural in KINDS.items()}
    values["lobes_excluded"] = int((~lobes).sum())
    key = itemgetter("table", "group", "quantity", "unit")
    found: dict[tuple[str, ...], Mapping[str, Any]] = {key(row): row for row in rows if row["weighting"] == "number"}
    size = result.micrograph.pixel_size
    for name, (*quantity, unit) in QUANTITIES.items():
        for of in ("mean", "sd"):
            if unit == "px":
                in_nm = found.get((*quantity, "nm"), {}).get(of)
                in_px = found.get((*quantity, "px"), {}).get(of) if size is None else in_nm and in_nm / size
                values |= {f"{name}_{of}": in_px, f"{name}_{of}_nm": in_nm}
            else:
                values[f"{name}_{of}"] = found.get((*quantity, unit), {}).get(of)
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
    row |= {"model": found["model"]["digest"] if found["model"] else found["method"]}
    row |= {"warnings": " ".join(found["warnings"])}
    return {**row, **found["summary"]}


def summary_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """``summary.csv``: one row an image; what a failed one lacks is empty."""
    return rows_csv(SUMMARY_COLUMNS, ([cell(row.get(name)) for name in SUMMARY_COLUMNS] for row in rows))


def statistics_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """``statistics.csv``: one row a group and quantity; what is not defined is empty."""
    return rows_csv(quantities.COLUMNS, ([cell(row.get(name)) for name in quantities.COLUMNS] for row in rows))


def one_line(found: Mapping[str, Any]) -> str:
    """What a record says, in a few words."""
    counts, size = found["summary"], found["pixel_size"]
    scale = f"{size['nm_per_px']:.4g} nm/px ({size['source']})" if size["nm_per_px"] else "no pixel size"
    left_out = f" ({counts['lobes_excluded']} left out)" if counts["lobes_excluded"] else ""
    return f"{counts['lobes']} lobes{left_out}, {counts['sets']} sets, {scale}"


def plain(value: Any) -> Any:
    """Plain JSON values: numbers for NumPy's, lists for tuples, None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
