"""Statistics of one micrograph or of many together, with 95 % intervals. ``docs/statistics.md`` has every formula."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import distribution
from .quantities import (
    ALWAYS,
    AREA_FRACTION,
    COLUMNS,
    DIAMETERS,
    NUMBER_DENSITY,
    QUANTILES,
    QUANTITIES,
    WEIGHTINGS,
    WITH_UNIT,
)  # fmt: skip
from .sample import KINDS, Sample
from .table import Table

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LEVEL: Final = 0.95
"""Of the intervals."""
COVERAGE: Final = 1.96
"""Standard uncertainties in half such an interval of a normal distribution (JCGM 100:2008, 6.3)."""
REPLICATES: Final = 1000
"""Times that micrographs and sets are drawn again."""
SEED: Final = 0
METHOD: Final = {"level": LEVEL, "replicates": REPLICATES, "seed": SEED, "drawn_again": "micrographs, then their sets"}
_POWER: Final = {"nm": 1, "nm²": 2, "µm⁻²": -2}


def describe(samples: Iterable[Sample], replicates: int = REPLICATES, seed: int = SEED) -> Table:
    """The table of statistics, ``COLUMNS``, of one sample or of several together: one row a group and quantity.

    Of several the micrographs are drawn again, then the sets of each; of one its sets. Lengths of images without a
    scale have rows of their own, in px. NaN is what so few particles cannot tell. The order of samples is of no
    matter.
    """
    ordered = sorted(samples, key=lambda sample: sample.key)
    rows = sorted(_rows(ordered), key=lambda row: row.place)
    drawn, areas = _drawn(ordered, rows, replicates, seed)
    found, start = [], 0
    for row in rows:
        end = start + row.n_terms
        found.append(row.described(drawn[:, start:end], areas))
        start = end
    table: dict[str, NDArray[Any]] = {
        name: np.array([row.get(name, math.nan) for row in found], dtype) for name, dtype in COLUMNS.items()
    }
    return Table(table, dict.fromkeys(table, ""))


def records(table: Table) -> list[dict[str, Any]]:
    """The rows of a table of statistics as plain JSON values, without what is not defined."""
    columns = {name: column.tolist() for name, column in table.items()}
    return [{name: column[i] for name, column in columns.items() if column[i] == column[i]}
            for i in range(table.n_rows)]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Part:
    """The values of one micrograph."""

    image: int
    x: F64
    """(n,) without NaN."""
    weight: F64
    """(n,) edge weight."""
    unit: I64
    """(n,) what is drawn again, see ``Population``."""


class _Row:
    """One quantity of one group: a distribution."""

    def __init__(self, table: str, group: str, quantity: str, weighting: str, unit: str) -> None:
        self.table, self.group, self.quantity, self.weighting, self.unit = table, group, quantity, weighting, unit
        self.parts: list[_Part] = []
        self.areas: dict[int, float] = {}
        self.scales: list[float | None] = []
        """Relative standard uncertainty of the pixel size of each micrograph; None where unknown."""

    def add(self, part: _Part, scale: float | None, area: float = 0.0) -> None:
        """Take in a micrograph, which has ``area`` in the row's unit."""
        self.parts.append(part)
        self.scales.append(scale)
        self.areas[part.image] = area

    @property
    def place(self) -> tuple[Any, ...]:
        """To sort rows by."""
        known = {"all": 0, **{kind: 1 + i for i, kind in enumerate(KINDS)}}
        quantities = [*QUANTITIES[self.table], NUMBER_DENSITY, AREA_FRACTION]
        return (self.table, known[self.group.split()[0]], self.group, quantities.index(self.quantity),
                list(WEIGHTINGS).index(self.weighting), self.unit)  # fmt: skip

    @property
    def n(self) -> int:
        """Lobes or sets."""
        return sum(len(part.x) for part in self.parts)

    @property
    def is_always(self) -> bool:
        """Whether it is told where there is none, too."""
        return (self.group, self.weighting) == ("all", "number") and self.quantity in ALWAYS

    @property
    def n_terms(self) -> int:
        """Columns of ``terms``."""
        return distribution.N_SUMS + len(QUANTILES)

    @cached_property
    def _x(self) -> F64:
        return np.concatenate([part.x for part in self.parts])

    @cached_property
    def _weight(self) -> F64:
        weight = np.concatenate([part.weight for part in self.parts])
        return weight * self._power(self._x)

    @cached_property
    def _centres(self) -> tuple[float, float]:
        """The mean, and the mean logarithm of what has one; 0 where there is none."""
        positive = self._x > 0
        logarithms = np.log(self._x[positive])
        return (float(np.average(self._x, weights=self._weight)) if len(self._x) else 0.0,
                float(np.average(logarithms, weights=self._weight[positive])) if len(logarithms) else 0.0)  # fmt: skip

    @cached_property
    def _cuts(self) -> F64:
        return distribution.quantiles(self._x, self._weight, list(QUANTILES.values()))

    def terms(self, part: _Part) -> F64:
        """(n, n_terms) what each value adds to the row's sums."""
        return distribution.terms(part.x, part.weight * self._power(part.x), *self._centres, self._cuts)

    def described(self, sums: F64, _drawn: I64) -> dict[str, Any]:
        """The row; ``sums`` (1 + B, n_terms) of what there is and of what is drawn."""
        found = distribution.moments(sums, *self._centres)
        values = {name: float(of[0]) for name, of in found.items()}
        values |= dict(zip(QUANTILES, self._cuts.tolist(), strict=True))
        share = distribution.shares(sums)
        drawn = np.concatenate([np.stack(list(found.values()), axis=1), share], axis=1)[1:]
        ends = distribution.intervals(drawn, LEVEL) if self.n > 1 else np.full((2, drawn.shape[1]), np.nan)
        ends, (low, high) = ends[:, : len(found)], ends[:, len(found) :]
        # A quantile moves against the share up to it, as far as the distribution function says (Woodruff 1952).
        at = np.array(list(QUANTILES.values())) + np.stack([share[0] - high, share[0] - low])
        cuts = distribution.quantiles(self._x, self._weight, at.ravel()).reshape(at.shape)
        return self._with_scale(values, dict(zip(values, np.concatenate([ends, cuts], axis=1).T.tolist(), strict=True)))

    def _power(self, x: F64) -> F64:
        """(n,) weight of a particle of diameter x, in units of the mean diameter to that power."""
        power = WEIGHTINGS[self.weighting]
        return (x / self._x.mean()) ** power if power and len(x) else np.ones(len(x))

    def _with_scale(self, values: dict[str, float], ends: dict[str, list[float]]) -> dict[str, Any]:
        """The row with its intervals, and with those that have the uncertainty of the scale in them."""
        row: dict[str, Any] = {
            "table": self.table, "group": self.group, "quantity": self.quantity, "weighting": self.weighting,
            "unit": self.unit, "images": len(self.scales), "n": self.n, "scale_relative": self._scale_relative(),
        }  # fmt: skip
        for name, value in values.items():
            low, high = ends[name]
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
            if name in WITH_UNIT:
                scale = row["scale_relative"] * abs(value)
                row[f"{name}_combined_low"] = value - math.hypot(value - low, scale)
                row[f"{name}_combined_high"] = value + math.hypot(high - value, scale)
        return row

    def _scale_relative(self) -> float:
        """Half the interval that the scale's uncertainty alone leaves ÷ the value; NaN where it is not known.

        One microscope's error is the same in all its images, so it does not average out: the largest counts.
        """
        power = abs(_POWER.get(self.unit, 0))
        known = [scale for scale in self.scales if scale is not None]
        if not power:
            return 0.0
        return COVERAGE * power * max(known) if known and len(known) == len(self.scales) else math.nan


class _PerArea(_Row):
    """A sum over what was found, per area looked at: ``parts`` have what is added up as their weights."""

    @property
    def n_terms(self) -> int:
        """One."""
        return 1

    def terms(self, part: _Part) -> F64:
        """(n, 1)"""
        return part.weight[:, None]

    def described(self, sums: F64, drawn: I64) -> dict[str, Any]:
        """The row; ``drawn`` (1 + B, K) says how often each micrograph is among what was added up."""
        areas = np.array([self.areas.get(image, 0.0) for image in range(drawn.shape[1])])
        of = distribution.divided(sums[:, 0], drawn @ areas)
        ends = distribution.intervals(of[1:, None], LEVEL)[:, 0] if self.n > 1 else np.full(2, np.nan)
        return self._with_scale({"mean": float(of[0])}, {"mean": ends.tolist()})


def _rows(samples: Sequence[Sample]) -> list[_Row]:
    """The rows that there is something to say in, filled."""
    distributions: dict[tuple[str, ...], _Row] = {}
    sums: dict[tuple[str, ...], _PerArea] = {}
    for image, sample in enumerate(samples):
        size, uncertainty = sample.pixel_size, sample.pixel_size_uncertainty
        scale = None if size is None or uncertainty is None else uncertainty / size
        pixels = math.prod(sample.area.shape)
        unit, area = ("px⁻²", 1.0 * pixels) if size is None else ("µm⁻²", pixels * (size / 1000) ** 2)
        for group in sample.populations():
            table = sample.lobes if group.table == "lobes" else sample.sets
            for quantity in QUANTITIES[group.table]:
                column = next((quantity + end for end in ("_nm", "_nm2", "") if quantity + end in table), None)
                if column is None:
                    continue
                x = np.asarray(table[column][group.rows], np.float64)
                defined = np.isfinite(x)
                part = _Part(image, x[defined], group.weight[defined], group.unit[defined])
                for weighting in WEIGHTINGS if group.table == "lobes" and quantity in DIAMETERS else ("number",):
                    key = (group.table, group.group, quantity, weighting, table.units[column])
                    distributions.setdefault(key, _Row(*key)).add(part, scale)
            key = (group.table, group.group, NUMBER_DENSITY, "number", unit)
            each = _Part(image, group.weight, group.weight, group.unit)
            sums.setdefault(key, _PerArea(*key)).add(each, scale, area)
        counts = sample.lobes["excluded_by"] == ""
        covered = np.asarray(sample.lobes["area"][counts], np.float64)
        key = ("lobes", "all", AREA_FRACTION, "number", "")
        each = _Part(image, covered, covered, sample.unit_of_lobe[counts])
        sums.setdefault(key, _PerArea(*key)).add(each, scale, pixels)
    return [row for row in (*distributions.values(), *sums.values()) if row.n or row.is_always]


def _drawn(samples: Sequence[Sample], rows: Sequence[_Row], replicates: int, seed: int) -> tuple[F64, I64]:
    """The sums of all rows, (1 + B, sum of n_terms), and how often each micrograph is in them, (1 + B, K).

    The first of each is what there is, the others are drawn: as many micrographs as there are, with replacement, and
    of each that is drawn m times every set a number of times that is Poisson's with mean m. So the number of sets
    varies as that of points that know nothing of each other.
    """
    rng = np.random.default_rng(seed)
    count = len(samples)
    images = np.ones((1 + replicates, count), np.int64)
    if count > 1:
        images[1:] = rng.multinomial(count, np.full(count, 1 / count), replicates)
    starts = np.cumsum([0, *(row.n_terms for row in rows)])
    sums = np.zeros((1 + replicates, starts[-1]))
    parts: list[list[tuple[int, _Row, _Part]]] = [[] for _ in samples]
    for start, row in zip(starts.tolist(), rows, strict=False):
        for part in row.parts:
            parts[part.image].append((start, row, part))
    for image, sample in enumerate(samples):
        n = sample.n_units
        of_unit = np.zeros((n, starts[-1]))
        for start, row, part in parts[image]:
            for column, term in enumerate(row.terms(part).T, start):
                of_unit[:, column] = np.bincount(part.unit, term, n)
        times = rng.poisson(images[1:, image, None], (replicates, n))
        sums[0] += of_unit.sum(axis=0)
        sums[1:] += times.astype(np.float32) @ of_unit.astype(np.float32)
    return sums, images
