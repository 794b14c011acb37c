"""Runs an analysis over many images: one that fails is reported and the others go on."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from ..engine import report
from ..engine.files import check_folder, sha256_of, write_files
from ..engine.overlay import draw
from ..engine.pipeline import Segmenter
from ..engine.settings import Settings
from ..models.errors import ImageError, ModelError, OutputError, SamColloidError
from .display import Display
from .inputs import Input, result_folders


@dataclass(frozen=True, slots=True)
class Batch:
    """What to analyse, how, and where the results go."""

    inputs: Sequence[Input]
    out: Path
    segmenter: Segmenter
    settings: Settings
    overwrite: bool


def run(batch: Batch) -> int:
    """Analyse everything and write ``summary.csv``; 0, 1 where an image failed, 130 after Ctrl-C.

    Raises OutputError where the output folder cannot be written to, ModelError where the model is of no use.
    """
    check_folder(batch.out)
    folders = result_folders([item.path for item in batch.inputs])
    rows: list[dict[str, Any]] = []
    interrupted = False
    with Display(len(batch.inputs)) as display:
        try:
            for number, (item, folder) in enumerate(zip(batch.inputs, folders, strict=True), start=1):
                rows.append(_guarded(batch, item, folder, f"[{number}/{len(batch.inputs)}]", display))
                display.done(number)
        except KeyboardInterrupt:
            interrupted = True
            display.trouble(f"Interrupted; {len(rows)} of {len(batch.inputs)} images are done and stay.")
        finally:
            written = write_files(batch.out, {"summary.csv": report.summary_csv(rows)}) if rows else []
    _say_the_end(rows, written)
    return 130 if interrupted else int(any(row["status"] == "failed" for row in rows))


def _guarded(batch: Batch, item: Input, folder: Path, number: str, display: Display) -> dict[str, Any]:
    """The summary row of one image, whatever happens to it."""
    display.start(number, item.path)
    try:
        if item.error:
            raise SamColloidError(item.error)
        return _one(batch, item.path, folder, number, display)
    except ModelError:
        raise  # every other image would fail by it as well
    except SamColloidError as error:
        sentence = str(error)
    except Exception as error:
        display.trouble(traceback.format_exc())
        sentence = f"{item.path}: unexpected {type(error).__name__} ({error}); please report the lines above."
    display.trouble(f"{number} failed: {sentence}")
    return report.summary_row(item.path, folder, "failed", {}, sentence)


def _one(batch: Batch, path: Path, folder: Path, number: str, display: Display) -> dict[str, Any]:
    target = batch.out / folder
    if path.is_file() and not batch.overwrite:
        found = report.existing(target, _identity(batch, path))
        if found == "same":
            display.line(f"{number} {path}: skipped, the same result is in {target}")
            return report.summary_row(path, folder, "skipped", report.read_record(target))
        if found == "other":
            raise OutputError(
                f"{target}: holds another result (of another input, settings, model or version, or edited "
                "since); add --overwrite or choose another --out."
            )
    start = time.perf_counter()
    result = batch.segmenter.analyze(path, settings=batch.settings, progress=display.step)
    record = report.record(result)
    for warning in record["warnings"]:
        display.trouble(f"{number} {path}: {warning}")
    written = report.write(result, record, target, overlay=draw(result))
    for moved in (p for p, name in zip(written, report.FILES, strict=True) if p.name != name):
        display.trouble(f"{number} {path}: a file is open in another program, so it was written as {moved}")
    seconds = time.perf_counter() - start
    display.line(f"{number} {path}: {report.one_line(record)}, {seconds:.1f} s -> {target}")
    return report.summary_row(path, folder, "ok", record)


def _identity(batch: Batch, path: Path) -> report.Identity:
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}).") from None
    version = report.versions()["samcolloid-edge"]
    return report.Identity(digest, batch.settings, batch.segmenter.card.digest, version)


def _say_the_end(rows: Sequence[dict[str, Any]], written: Sequence[Path]) -> None:
    counts = {status: [row["file"] for row in rows if row["status"] == status] for status in report.STATUSES}
    if len(rows) > 1:
        typer.echo(", ".join(f"{len(files)} {status}" for status, files in counts.items() if files))
        if counts["failed"]:
            typer.echo(f"failed: {', '.join(counts['failed'])}", err=True)
    for path in written:
        typer.echo(f"summary: {path}")
