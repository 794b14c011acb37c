"""Weighted moments and quantiles against NumPy, and against what a weight means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from samcolloid_edge.engine import distribution

VALUES = arrays.arrays(np.float64, st.integers(2, 30), elements=st.floats(1, 100))


def of(x: np.ndarray, weight: np.ndarray, centre: float = 7.0) -> dict[str, float]:
    sums = distribution.terms(x, weight, centre, 2.0, [20.0]).sum(0)[None]
    return {name: value[0] for name, value in distribution.moments(sums, centre, 2.0).items()}


@given(VALUES)
def test_equal_weights_give_the_moments_everybody_knows(x: np.ndarray) -> None:
    found = of(x, np.full(len(x), 1.7))
    assert found["mean"] == pytest.approx(x.mean())
    assert found["sd"] == pytest.approx(x.std(ddof=1), abs=1e-5)
    assert found["geometric_mean"] == pytest.approx(np.exp(np.log(x).mean()))
    assert found["geometric_sd"] == pytest.approx(np.exp(np.log(x).std(ddof=1)), abs=1e-5)
    assert found["cv"] == pytest.approx(x.std(ddof=1) / x.mean(), abs=1e-5)


@given(VALUES, st.floats(0.05, 0.95))
def test_equal_weights_give_hazens_quantiles(x: np.ndarray, p: float) -> None:
    assert distribution.quantiles(x, np.ones(len(x)), [p])[0] == pytest.approx(np.quantile(x, p, method="hazen"))


@given(VALUES, st.integers(0, 99))
def test_a_weight_of_three_counts_a_value_three_times(x: np.ndarray, seed: int) -> None:
    times = np.random.default_rng(seed).integers(1, 4, len(x))
    weighted, repeated = of(x, times.astype(float)), of(np.repeat(x, times), np.ones(times.sum()))
    assert weighted["mean"] == pytest.approx(repeated["mean"])
    assert weighted["geometric_mean"] == pytest.approx(repeated["geometric_mean"])
    share = [distribution.shares(distribution.terms(*values, 0.0, 0.0, [x[0]]).sum(0)[None])[0, 0]
             for values in ((x, times.astype(float)), (np.repeat(x, times), np.ones(times.sum())))]  # fmt: skip
    assert share[0] == pytest.approx(share[1])


@given(VALUES, st.floats(0.1, 10))
def test_only_the_ratio_of_weights_matters(x: np.ndarray, factor: float) -> None:
    weight = np.linspace(1, 2, len(x))
    assert of(x, factor * weight) == pytest.approx(of(x, weight), abs=1e-5)
    assert distribution.quantiles(x, factor * weight, [0.3]) == pytest.approx(distribution.quantiles(x, weight, [0.3]))


def test_what_is_not_defined_is_nan_without_a_warning() -> None:
    nothing, one = np.zeros(0), np.array([5.0])
    assert np.isnan(list(of(nothing, nothing).values())).all()
    assert np.isnan(distribution.quantiles(nothing, nothing, [0.1, 0.9])).tolist() == [True, True]
    found = of(one, np.array([1.3]))
    assert (found["mean"], found["geometric_mean"]) == (pytest.approx(5), pytest.approx(5))
    assert np.isnan([found["sd"], found["cv"], found["geometric_sd"]]).all()
    assert distribution.quantiles(one, one, [0.1, 0.9]).tolist() == [5, 5]
    zero = of(np.array([0.0, 4.0]), np.ones(2))
    assert zero["mean"] == pytest.approx(2)
    assert np.isnan(zero["geometric_mean"])  # there is no logarithm of 0


def test_an_interval_needs_more_than_half_of_what_was_drawn() -> None:
    drawn = np.random.default_rng(0).permutation(np.stack([np.arange(101.0), np.arange(101.0), np.arange(101.0)], 1))
    drawn[:50, 1] = drawn[:51, 2] = np.nan
    found = distribution.intervals(drawn, 0.9)
    assert found[:, 0] == pytest.approx((5, 95))
    assert found[:, 1] == pytest.approx(np.nanquantile(drawn[:, 1], (0.05, 0.95)))
    assert np.isnan(found[:, 2]).all()
