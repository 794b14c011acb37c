"""Runs an analysis over many images: one that fails is reported and the others go on."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Final

import typer

from ..engine import report
from ..engine.exclusions import NO_EXCLUSIONS, Exclusions, exclude
from ..engine.files import check_folder, sha256_of, write_files
from ..engine.page_html import NAME as PAGE
from ..engine.page_html import write_page
from ..engine.pipeline import Segmenter
from ..engine.report_formats import ALWAYS, chosen, formats_of
from ..engine.sample import Sample
from ..engine.scale import side_digests
from ..engine.settings import Settings
from ..engine.statistics import describe, records
from ..models.errors import ImageError, ModelError, OutputError, SamColloidError
from .display import Display
from .inputs import Input, result_folders
from .overlap import Overlap, Turn, ctrl_c_sets

AHEAD: Final = ("read",)
"""Steps of an analysis that are done while other images are computed."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What to analyse, how, and where the results go."""

    inputs: Sequence[Input]
    out: Path
    segmenter: Segmenter
    settings: Settings
    overwrite: bool
    workers: int = 1
    """Images computed at once."""
    formats: Sequence[str] = ALWAYS
    """Of the files of each result, as from ``report_formats.chosen``."""
    page: bool = True
    """Whether to write the report page of the run."""
    exclusions: Exclusions = NO_EXCLUSIONS
    """Particles that the user has excluded."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one image."""

    row: dict[str, Any]
    """Of the summary."""
    said: list[tuple[Callable[[str], None], str]] = field(default_factory=list)
    """Lines, and how each is said."""
    sample: Sample | None = None
    """What it gives to the statistics of all images."""
    useless: ModelError | None = None
    """What every other image would fail by as well."""
    sha256: str = ""
    """Of the file, where it could be analysed."""


def run(batch: Batch) -> int:
    """Analyse everything and write ``summary.csv``; 0, 1 where an image failed, 130 after Ctrl-C.

    Raises OutputError where the output folder cannot be written to, ModelError where the model is of no use.
    """
    check_folder(batch.out)
    count = len(batch.inputs)
    folders = result_folders([item.path for item in batch.inputs])
    rows: list[dict[str, Any]] = []
    samples: list[Sample] = []
    analysed: set[str] = set()
    useless: ModelError | None = None
    with Display(count) as display:

        def work(at: int, turn: Turn) -> _Outcome:
            return _Image(batch, batch.inputs[at], folders[at], f"[{at + 1}/{count}]", display, turn).outcome()

        images = Overlap(count, work, batch.workers)
        with ctrl_c_sets(images.stop):
            for outcome in images.results():
                if outcome.useless is not None:
                    useless = outcome.useless
                    images.stop.set()
                    continue
                for say, text in outcome.said:
                    say(text)
                rows.append(outcome.row)
                samples += [outcome.sample] if outcome.sample else []
                analysed.add(outcome.sha256)
                display.done(len(rows))
            for sentence in batch.exclusions.beside(analysed):
                display.trouble(sentence)
            if not useless and len(rows) < count:
                display.trouble(f"Interrupted; {len(rows)} of {count} images are done and stay.")
            written = write_files(batch.out, _of_all(rows, samples)) if rows else []
            if batch.page and not useless:
                written += _page(batch.out, rows, images.stop, display)
    if useless:
        raise useless
    _say_the_end(rows, written)
    if images.is_stuck:
        # A model that runs cannot be stopped, and Python cannot end in order beneath it.
        sys.stdout.flush()
        os._exit(130)
    return 130 if len(rows) < count else int(any(row["status"] == "failed" for row in rows))


class _Image:
    """The work at one image."""

    def __init__(
        self, batch: Batch, item: Input, folder: Path, number: str, display: Display, turn: Turn
    ) -> None:
        self.batch, self.item, self.folder, self.number = batch, item, folder, number
        self.display, self.turn = display, turn
        self.formats = batch.formats
        self.said: list[tuple[Callable[[str], None], str]] = []

    def outcome(self) -> _Outcome:
        """Analyse it and write the result, whatever happens."""
        try:
            if self.item.error:
                raise SamColloidError(self.item.error)
            return self._skipped() or self._analysed()
        except ModelError as error:
            return _Outcome({}, useless=error)
        except SamColloidError as error:
            sentence = str(error)
        except Exception as error:
            self._trouble(traceback.format_exc())
            sentence = f"{self.item.path}: unexpected {type(error).__name__} ({error}); please report the lines above."
        finally:
            self.display.leave()
        self._trouble(f"{self.number} failed: {sentence}")
        return self._is("failed", {}, sentence)

    def _skipped(self) -> _Outcome | None:
        """Where this very result is there already."""
        path, target = self.item.path, self.batch.out / self.folder
        if self.batch.overwrite or not path.is_file():
            return None
        found = report.existing(target, _identity(self.batch, path), self.formats)
        if found == "other":
            raise OutputError(
                f"{target}: holds another result (of another input, settings, exclusions, model or version, or edited "
                "since); add --overwrite or choose another --out."
            )
        if found is None:
            return None
        if found == "fewer":  # made again with what it has and what it lacks
            self.formats = chosen({*self.formats, *formats_of(report.read_record(target)["files"])})
            return None
        self._line(f"{self.number} {path}: skipped, the same result is in {target}")
        record = report.read_record(target)
        return self._is("skipped", record, sample=Sample.from_files(target, record))

    def _analysed(self) -> _Outcome:
        batch, path, target = self.batch, self.item.path, self.batch.out / self.folder
        _ = _model_digest(batch)  # loads the model, before several images want it
        result = batch.segmenter.analyze(path, settings=batch.settings, progress=self._step)
        start = self.turn.since
        self.turn.take("finish")
        result = exclude(result, batch.exclusions.of(result.micrograph.sha256))
        record = report.record(result)
        for warning in record["warnings"]:
            self._trouble(f"{self.number} {path}: {warning}")
        files = report.contents(result, record, self.formats)
        self.turn.take("write")
        written = report.write(target, files)
        for moved in (p for p, name in zip(written, files, strict=True) if p.name != name):
            self._trouble(f"{self.number} {path}: a file is open in another program, so it was written as {moved}")
        seconds = time.perf_counter() - start
        self._line(f"{self.number} {path}: {report.one_line(record)}, {seconds:.1f} s -> {target}")
        return self._is("ok", record, sample=Sample.of(result))

    def _step(self, name: str, share: float) -> None:
        if name not in AHEAD:
            self.turn.take("compute")
            self.display.start(self.number, self.item.path)
            self.display.step(name, share)

    def _line(self, text: str) -> None:
        self.said.append((Display.line, text))

    def _trouble(self, text: str) -> None:
        self.said.append((Display.trouble, text))

    def _is(
        self, status: str, found: dict[str, Any], error: str = "", sample: Sample | None = None
    ) -> _Outcome:
        row = report.summary_row(self.item.path, self.folder, status, found, error)
        return _Outcome(row, self.said, sample, sha256=found["input"]["sha256"] if found else "")


def _of_all(rows: Sequence[dict[str, Any]], samples: Sequence[Sample]) -> dict[str, bytes]:
    """The files of the run as a whole, by name."""
    files = {"summary.csv": report.summary_csv(rows)}
    if samples:
        files["statistics.csv"] = report.statistics_csv(records(describe(samples)))
    return files


def _identity(batch: Batch, path: Path) -> report.Identity:
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}).") from None
    version = report.versions()["samcolloid-edge"]
    return report.Identity(
        digest, batch.settings, _model_digest(batch), version, batch.exclusions.of(digest), side_digests(path)
    )


def _model_digest(batch: Batch) -> str | None:
    """None where the settings' method needs no model: it is not loaded then."""
    return batch.segmenter.card.digest if batch.settings.method == "sam" else None


def _page(out: Path, rows: Sequence[dict[str, Any]], stop: Event, display: Display) -> list[Path]:
    """Write the report page of the images that are done, skipped ones too; nothing once the run is stopped."""
    done = [out / row["folder"] for row in rows if row["status"] != "failed"]
    failed = [row["error"] for row in rows if row["status"] == "failed"]
    written, troubles = write_page(done, out / PAGE, failed=failed, is_wanted=lambda: not stop.is_set())
    for trouble in troubles:
        display.trouble(f"not in {PAGE}: {trouble}")
    return [] if written is None else [written]


def _say_the_end(rows: Sequence[dict[str, Any]], written: Sequence[Path]) -> None:
    counts = {status: [row["file"] for row in rows if row["status"] == status] for status in report.STATUSES}
    if len(rows) > 1:
        typer.echo(", ".join(f"{len(files)} {status}" for status, files in counts.items() if files))
        if counts["failed"]:
            typer.echo(f"failed: {', '.join(counts['failed'])}", err=True)
    for path in written:
        typer.echo(f"{path.stem.split(' ')[0]}: {path}")
