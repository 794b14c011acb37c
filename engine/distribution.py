"""Weighted moments and quantiles of a distribution, of all that was found and of what is drawn from it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .types import Bool

F64 = NDArray[np.float64]

N_SUMS: Final = 6
"""Sums that ``terms`` has before those of the distribution function."""
_NOTHING: Final = 1e-12
"""A share of the weight that is no more than rounding."""


def quantiles(x: F64, weight: F64, at: Sequence[float] | F64) -> F64:
    """(P,) weighted quantiles: the distribution function rises by half a weight up to each value and half behind it.

    Between values it is linear, beyond the ends they are the least and the greatest value. With equal weights that is
    Hazen's rule, type 5 of Hyndman and Fan, Am. Stat. 50, 361 (1996). NaN where there are no values.
    """
    if not len(x):
        return np.full(len(at), np.nan)
    order = np.argsort(x, kind="stable")
    behind = np.cumsum(weight[order])
    found: F64 = np.interp(at, (behind - weight[order] / 2) / behind[-1], x[order])
    return np.where(np.isnan(at), np.nan, found)


def terms(x: F64, weight: F64, centre: float, log_centre: float, cuts: Sequence[float] | F64) -> F64:
    """(n, N_SUMS + P) what each value adds to the sums of which ``moments`` and ``shares`` are made.

    They are taken about a centre near the mean, and one near the mean logarithm, so that nothing is lost by rounding.
    """
    deviation = x - centre
    logarithm = np.full(len(x), np.nan)
    np.log(x, out=logarithm, where=x > 0)
    logarithm -= log_centre
    sums = [weight, weight**2, weight * deviation, weight * deviation**2, weight * logarithm, weight * logarithm**2]
    return np.stack([*sums, *(weight * (x <= cut) for cut in cuts)], axis=1)


def moments(sums: NDArray[Any], centre: float, log_centre: float) -> dict[str, F64]:
    """Mean, standard deviation, coefficient of variation, geometric mean and geometric standard deviation.

    ``sums`` (B, N_SUMS + P) of ``terms``. With w for weights, mean = Σwx / Σw and variance = Σw(x − mean)² / (Σw −
    Σw² / Σw), which is that with n − 1 where weights are equal; the geometric ones are exp of those of ln x. NaN where
    they are not defined.
    """
    total = np.asarray(sums[:, 0], np.float64)
    mean = divided(sums[:, 2], total)
    log_mean = divided(sums[:, 4], total)
    left = 1 - divided(sums[:, 1], total**2)  # of the weight, once a mean is taken
    deviation = np.sqrt(divided(np.maximum(divided(sums[:, 3], total) - mean**2, 0), left))
    log_deviation = np.sqrt(divided(np.maximum(divided(sums[:, 5], total) - log_mean**2, 0), left))
    mean = mean + centre
    return {
        "mean": mean,
        "sd": deviation,
        "cv": divided(deviation, np.abs(mean)),
        "geometric_mean": np.exp(log_mean + log_centre),
        "geometric_sd": np.exp(log_deviation),
    }


def shares(sums: NDArray[Any]) -> F64:
    """(B, P) share of the weight up to each of the cuts that ``terms`` had, from its sums."""
    return np.stack([divided(column, sums[:, 0]) for column in sums[:, N_SUMS:].T], axis=1)


def intervals(drawn: F64, level: float) -> F64:
    """(2, S): between what the middle ``level`` of (B, S) values lies, column by column; NaN where half or more are.

    Quantiles as NumPy's, of those that are defined.
    """
    ordered = np.sort(drawn, axis=0)  # NaN comes last
    defined = np.isfinite(ordered).sum(axis=0)
    at = np.array([[(1 - level) / 2], [(1 + level) / 2]]) * np.maximum(defined - 1, 0)
    below = at.astype(np.int64)
    above = np.minimum(below + 1, np.maximum(defined - 1, 0))
    one, other = np.take_along_axis(ordered, below, 0), np.take_along_axis(ordered, above, 0)
    return np.where(2 * defined > len(drawn), one + (at - below) * (other - one), np.nan)


def divided(numerator: NDArray[Any], denominator: NDArray[Any]) -> F64:
    """NaN where the denominator is nothing."""
    enough: Bool = denominator > _NOTHING
    quotient = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=enough)
    return quotient
