"""ImageJ's columns: figures that ImageJ tells of small masks, and relations that hold for any."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from samcolloid_edge.engine.measure import measure
from samcolloid_edge.engine.table import Table
from test_measure import adversarial, compact, disc, micrograph

Array = NDArray[Any]


def table(labels: Array, pixels: Array | None = None) -> Table:
    pixels = np.full(labels.shape, 7, np.uint8) if pixels is None else pixels
    scores = np.ones(labels.max(initial=0), np.float32)
    return measure(labels, micrograph(pixels), scores, scores, columns="imagej")


def test_one_pixel() -> None:
    pixel = table(adversarial()["one pixel"])
    assert pixel["Perim."][0] == pytest.approx(2 * math.sqrt(2))  # 4 − 2 (2 − √2)
    assert pixel["Circ."][0] == 1
    assert (pixel["X"][0], pixel["Y"][0], pixel["BX"][0], pixel["BY"][0]) == (7.5, 4.5, 7, 4)
    assert pixel["Major"][0] == pixel["Minor"][0] == pytest.approx(2 / math.sqrt(math.pi))
    assert pixel["Feret"][0] == pytest.approx(math.sqrt(2)) and pixel["MinFeret"][0] == 1
    assert pixel["Solidity"][0] == 1 and pixel["StdDev"][0] == 0


def test_a_rectangle() -> None:
    labels = np.zeros((9, 12), np.int32)
    labels[2:5, 3:9] = 1
    box = table(labels)
    assert box["Perim."][0] == pytest.approx(18 - 4 * (2 - math.sqrt(2)))
    assert (box["Width"][0], box["Height"][0], box["Angle"][0]) == (6, 3, 0)
    assert box["AR"][0] == pytest.approx(2)  # pixels are squares: 6 to 3
    assert box["Major"][0] * box["Minor"][0] * math.pi / 4 == pytest.approx(18)
    assert box["Feret"][0] == pytest.approx(math.hypot(6, 3)) and box["MinFeret"][0] == 3
    assert box["FeretX"][0] == 3 and box["FeretAngle"][0] in (
        pytest.approx(math.degrees(math.atan2(3, 6))), pytest.approx(180 - math.degrees(math.atan2(3, 6))))  # fmt: skip


def test_of_a_staircase_every_second_corner_is_cut() -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[range(2, 6), range(2, 6)] = 1
    # 16 unit sides; the wand's corners alternate between cut and kept.
    assert table(labels)["Perim."][0] == pytest.approx(16 - 8 * (2 - math.sqrt(2)))


def test_angles_count_counter_clockwise_from_the_x_axis() -> None:
    falling = table(np.eye(7, dtype=np.int32))
    rising = table(np.ascontiguousarray(np.eye(7, dtype=np.int32)[::-1]))
    for name in ("Angle", "FeretAngle"):
        assert falling[name][0] == pytest.approx(135) and rising[name][0] == pytest.approx(45)


def test_grey_values() -> None:
    labels = np.array([[1, 1, 1, 1, 0]], np.int32)
    grey = table(labels, np.array([[1, 2, 3, 10, 99]], np.uint16))
    assert (grey["Mean"][0], grey["Min"][0], grey["Max"][0], grey["Median"][0]) == (4, 1, 10, 3)
    assert grey["StdDev"][0] == pytest.approx(np.std([1, 2, 3, 10], ddof=1))
    assert grey["IntDen"][0] == grey["RawIntDen"][0] == 16
    assert grey["XM"][0] == pytest.approx(0.5 + (0 + 2 + 6 + 30) / 16)
    off = np.array([1, 2, 3, 10]) - 4
    assert grey["Skew"][0] == pytest.approx((off**3).mean() / (off**2).mean() ** 1.5)
    assert grey["Kurt"][0] == pytest.approx((off**4).mean() / (off**2).mean() ** 2 - 3)


@settings(max_examples=40, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(2, 12), st.integers(2, 13)), elements=st.integers(0, 1)))
def test_relations_that_hold_for_any_mask(labels: Array) -> None:
    from samcolloid_edge.engine.kernels import largest_parts

    labels = compact(largest_parts(labels, 1))
    if not labels.any():
        return
    lobe = {name: float(column[0]) for name, column in table(labels).items()}
    assert 0 < lobe["Circ."] <= 1 and 0 < lobe["Solidity"] <= 1 + 1e-12 and 0 < lobe["Round"] <= 1 + 1e-12
    assert lobe["MinFeret"] <= lobe["Feret"] * (1 + 1e-12)
    assert lobe["Feret"] >= max(lobe["Width"], lobe["Height"]) - 1e-9
    assert lobe["AR"] == pytest.approx(1 / lobe["Round"])
    turned = {name: float(column[0]) for name, column in table(np.ascontiguousarray(labels.T)).items()}
    for name in ("Area", "Major", "Minor", "Feret", "MinFeret", "Solidity"):
        assert turned[name] == pytest.approx(lobe[name], abs=1e-9)
    mirrored = {name: float(column[0]) for name, column in table(np.ascontiguousarray(labels[:, ::-1])).items()}
    if lobe["AR"] > 1 + 1e-9:
        assert math.isclose(math.cos(math.radians(2 * mirrored["Angle"])), math.cos(math.radians(2 * lobe["Angle"])),
                            abs_tol=1e-6)


def test_a_disc_is_round() -> None:
    lobe = table(disc(80, 90, 40, 44, 30).astype(np.int32))
    assert lobe["AR"][0] == pytest.approx(1, abs=1e-6) and lobe["Circ."][0] == pytest.approx(0.9, abs=0.03)
    assert lobe["Feret"][0] == pytest.approx(61, abs=1)
