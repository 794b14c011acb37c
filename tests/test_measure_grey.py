"""The background of a lobe is what lies near it, is analysed, and is no lobe."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from samcolloid_edge.engine.columns import FAR, NEAR
from samcolloid_edge.engine.types import Area
from skimage.morphology import dilation
from test_measure import compact, disc, table

Array = NDArray[Any]


def test_background_is_what_lies_near_in_the_analysed_area() -> None:
    pixels = np.full((40, 60), 500, np.uint16)
    labels = disc(40, 60, 20, 20, 6).astype(np.int32)
    labels[disc(40, 60, 20, 33, 5)] = 2
    pixels[8:32, 8:45], pixels[labels > 0] = 100, 180
    lobe = table(labels, pixels)
    assert lobe["background_mean"].tolist() == [100, 100] and lobe["contrast"].tolist() == [80, 80]
    assert lobe["background_std"].tolist() == [0, 0]
    full = table(np.ones((6, 7), np.int32))
    assert math.isnan(full["background_mean"][0]) and math.isnan(full["contrast"][0])


@settings(max_examples=40, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(8, 30), st.integers(8, 30)), elements=st.sampled_from([0] * 30 + [1, 2])),
       st.integers(0, 4))
def test_background_lies_in_the_square_round_any_pixel_of_a_lobe(labels: Array, rim: int) -> None:
    labels, pixels = compact(labels), np.arange(labels.size, dtype=np.uint16).reshape(labels.shape)
    area = Area(rim, 0, labels.shape[0], labels.shape[1] - rim)
    analysed = np.zeros(labels.shape, bool)
    analysed[area.slices] = True
    lobe = table(labels, pixels, area=area)
    for i in range(lobe.n_rows):
        near, far = (dilation(labels == i + 1, np.ones((2 * reach + 1,) * 2)) for reach in (NEAR, FAR))
        values = pixels[far & ~near & (labels == 0) & analysed]
        told = (lobe["background_mean"][i], lobe["background_std"][i])
        expected = (values.mean(), values.std()) if len(values) else (math.nan, math.nan)
        assert told == pytest.approx(expected, abs=1e-9, nan_ok=True)
