"""Agreement of two measurements of the same lobes: bias, scatter and limits of agreement, with their uncertainty.

J. M. Bland and D. G. Altman, Lancet 327, 307 (1986); Stat. Methods Med. Res. 8, 135 (1999).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .matching import F64

NORMAL: Final = 1.96
"""Limits of agreement lie so many SDs from the bias: 95 % of normally distributed differences lie between them."""
REPLICATES: Final = 1000
INTERVAL: Final = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Agreement:
    """N differences first − second; lengths in the unit of what was compared, NaN where too few are there."""

    n: int
    mean_first: float
    mean_second: float
    bias: float
    """Mean difference."""
    sd: float
    """Of the differences, N − 1."""
    limits: tuple[float, float]
    """Limits of agreement: bias ∓ ``NORMAL`` SD."""
    bias_interval: tuple[float, float]
    """95 % interval, as of all below: from resampling micrographs, then sets."""
    sd_interval: tuple[float, float]
    limit_intervals: tuple[tuple[float, float], tuple[float, float]]

    @property
    def ratio(self) -> float:
        """Ratio of the means, first ÷ second."""
        return self.mean_first / self.mean_second


class Resampled:
    """Weights of clusters in ``REPLICATES`` samples: micrographs drawn with replacement, then clusters in each.

    Where all come from one micrograph, clusters alone are drawn. The same data give the same intervals.
    """

    def __init__(self, images: Sequence[str], clusters: Sequence[object]) -> None:
        """Of each of N differences the micrograph, and within it the cluster: what is not independent of each other."""
        rng = np.random.default_rng(0)
        keys: dict[tuple[str, object], int] = {}
        self._of = np.array([keys.setdefault(key, len(keys)) for key in zip(images, clusters, strict=True)], np.int64)
        names, image_of = np.unique([image for image, _ in keys] or [""], return_inverse=True)
        self._weights = np.zeros((REPLICATES, len(keys)), np.int32)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), REPLICATES)
        for i, times in enumerate(drawn.T):
            members = np.flatnonzero(image_of[: len(keys)] == i)
            if len(members):
                chances = np.full(len(members), 1 / len(members))
                self._weights[:, members] = rng.multinomial(times * len(members), chances)

    def agreement(self, first: F64, second: F64, chosen: NDArray[np.bool_]) -> Agreement:
        """Of the ``chosen`` (N,) of all differences ``first`` − ``second``, both (N,) of one unit."""
        difference = (first - second)[chosen]
        n = len(difference)
        middle = float(difference.mean()) if n else 0.0
        powers = np.stack([np.ones(n), difference - middle, (difference - middle) ** 2])
        size = self._weights.shape[1]
        sums = np.stack([np.bincount(self._of[chosen], weights=power, minlength=size) for power in powers])
        count, total, square = (self._weights @ sums.T).T
        enough = count > 1
        count, total, square = count[enough], total[enough], square[enough]
        bias = total / count + middle
        sd = np.sqrt(np.maximum(square - total**2 / count, 0) / (count - 1))
        spread = float(difference.std(ddof=1)) if n > 1 else np.nan
        mean = float(difference.mean()) if n else np.nan
        return Agreement(
            n=n,
            mean_first=float(first[chosen].mean()) if n else np.nan,
            mean_second=float(second[chosen].mean()) if n else np.nan,
            bias=mean,
            sd=spread,
            limits=(mean - NORMAL * spread, mean + NORMAL * spread),
            bias_interval=_interval(bias),
            sd_interval=_interval(sd),
            limit_intervals=(_interval(bias - NORMAL * sd), _interval(bias + NORMAL * sd)),
        )


def _interval(values: NDArray[Any]) -> tuple[float, float]:
    """The middle 95 % of resampled values; NaN where there are none."""
    if not len(values):
        return np.nan, np.nan
    low, high = np.quantile(values, INTERVAL)
    return float(low), float(high)
