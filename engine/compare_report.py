"""A comparison as plain JSON values, and as lines to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from .bland_altman import REPLICATES, Agreement
from .compare import Comparison, Pairing
from .findings import Source
from .matching import Score
from .report import plain, versions

SCHEMA_VERSION: Final = 1
FILES: Final = ("compare.csv", "bland-altman.png", "compare.json")
"""What a comparison leaves behind."""


def record(comparison: Comparison, pairing: Pairing, paths: tuple[Path, Path]) -> dict[str, Any]:
    """Everything that was found, with its units, as plain JSON values; ``paths`` are the two sides as given."""
    sides = zip(paths, zip(*pairing.pairs, strict=True), (pairing.only_first, pairing.only_second), strict=True)
    values: dict[str, Any] = plain({
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        **{name: _side(path, sources, only) for name, (path, sources, only) in zip("ab", sides, strict=True)},
        "images": [
            {"image": a.image, "a": str(a.path), "b": str(b.path),
             "pixel_size_a": a.pixel_size, "pixel_size_b": b.pixel_size}
            for a, b in pairing.pairs
        ],
        "matched_by": f"{comparison.by} IoU",
        "lobes": {f"{iou:g}": _counts(score) for iou, score in comparison.lobes.items()},
        "sets": {f"{iou:g}": _counts(score) for iou, score in comparison.sets.items()},
        "sets_of_the_same_lobes": _counts(comparison.same_sets) if comparison.sets else None,
        "lobes_of_the_same_role": dict(zip(("same", "of"), comparison.same_roles, strict=True)),
        "diameters": {name: _figures(agreement) for name, agreement in comparison.agreements.items()},
        "units": {"diameters": comparison.unit, "pixel_size_a": "nm/px", "pixel_size_b": "nm/px",
                  "compare.csv": dict(comparison.table.units)},
        "intervals": f"95 %, {REPLICATES} resamplings of micrographs, then of the sets in each",
        "notes": [*pairing.notes, *comparison.notes],
    })
    return values


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What a record says, to be read on a terminal."""
    for name in "ab":
        side = found[name]
        yield f"{name.upper()}  {side['path']} ({', '.join(side['made_by'])})"
    yield f"{len(found['images'])} micrographs, matched one to one by {found['matched_by']}; A is held against B"
    yield from (f"note: {note}" for note in found["notes"])
    yield ""
    yield f"{'':24}{'found':>8}{'missed':>8}{'extra':>8}{'recall':>8}{'prec.':>8}{'F1':>8}"
    for what in ("lobes", "sets"):
        for iou, counts in found[what].items():
            yield _count_line(f"{what}, IoU >= {iou}", counts)
    if found["sets_of_the_same_lobes"]:
        yield _count_line("sets of the same lobes", found["sets_of_the_same_lobes"])
    roles = found["lobes_of_the_same_role"]
    if roles["of"]:
        yield f"{roles['same']} of {roles['of']} matched lobes have the same role"
    unit = found["units"]["diameters"]
    yield ""
    means = f"{'mean A':>9}{'mean B':>9}{'A / B':>8}"
    yield f"{f'diameter, {unit}':24}{'n':>8}{means}  {'A - B (95 %)':24}{'SD':>8}  limits of agreement"
    for name, figures in found["diameters"].items():
        yield _figure_line(name, figures)


def _side(path: Path, sources: Sequence[Source], only: Sequence[str]) -> dict[str, Any]:
    return {"path": str(path), "made_by": sorted({source.made_by for source in sources}), "only_here": list(only)}


def _counts(score: Score) -> dict[str, Any]:
    return {
        "found": score.found, "missed": score.truth - score.found, "extra": score.predicted - score.found,
        "recall": score.recall, "precision": score.precision, "f1": score.f1,
    }  # fmt: skip


def _figures(agreement: Agreement) -> dict[str, Any]:
    figures = asdict(agreement)
    names = {"mean_first": "mean_a", "mean_second": "mean_b"}
    return {names.get(name, name): value for name, value in figures.items()} | {"ratio_of_means": agreement.ratio}


def _count_line(name: str, counts: Mapping[str, Any]) -> str:
    shares = "".join(f"{_number(counts[share], '.3f'):>8}" for share in ("recall", "precision", "f1"))
    return f"{name:24}{counts['found']:>8}{counts['missed']:>8}{counts['extra']:>8}{shares}"


def _figure_line(name: str, figures: Mapping[str, Any]) -> str:
    means = "".join(f"{_number(figures[mean], '.2f'):>9}" for mean in ("mean_a", "mean_b"))
    low, high = (_number(end, "+.2f") for end in figures["bias_interval"])
    bias = f"{_number(figures['bias'], '+.2f')} ({low} to {high})"
    limits = " to ".join(_number(limit, "+.2f") for limit in figures["limits"])
    return (f"{name:24}{figures['n']:>8}{means}{_number(figures['ratio_of_means'], '.3f'):>8}  {bias:24}"
            f"{_number(figures['sd'], '.2f'):>8}  {limits}")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
