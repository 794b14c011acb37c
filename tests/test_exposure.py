"""Edges that the range of the detector cuts off are named, for they come out in the wrong place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from samcolloid_edge import Segmenter
from samcolloid_edge.engine.exposure import remarks
from samcolloid_edge.engine.read import read
from samcolloid_edge.engine.synthetic import render
from samcolloid_edge.engine.types import Area
from samcolloid_edge.export.outline import compare, scenes


def squares():
    labels = np.zeros((60, 80), np.int32)
    labels[10:30, 10:30], labels[10:30, 30:50], labels[35:60, 60:80] = 1, 2, 3
    rng = np.random.default_rng(0)
    return labels, np.where(labels > 0, rng.integers(100, 200, labels.shape), rng.integers(30, 60, labels.shape))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(("side", "low", "high", "value"), [
    ("outside", 50, 255, "lowest grey value, 50"), ("outside", 0, 40, "highest grey value, 40"),
    ("inside", 170, 255, "lowest grey value, 170"), ("inside", 0, 130, "highest grey value, 130"),
])  # fmt: skip
def test_the_side_and_the_end_that_are_cut_off_are_named(dtype, side, low, high, value):
    labels, grey = squares()
    where = (labels > 0) == (side == "inside")
    grey[where] = np.clip(grey[where], low, high)
    if side == "outside" and high == 40:  # the particles are the darker ones
        grey[labels > 0] = np.clip(grey[labels > 0] - 100, 0, 20)
    if side == "inside" and low == 170:
        grey[labels == 0] += 150
    found = list(remarks(labels, read(grey.astype(dtype))))
    assert any(sentence.startswith(f"Just {side} the particles") and value in sentence for sentence in found)
    assert all(side in sentence for sentence in found)


def test_grey_values_that_end_elsewhere_are_not():
    labels, grey = squares()
    assert list(remarks(labels, read(grey.astype(np.uint8)))) == []
    grey[15:25, 15:25], grey[0:6] = 255, 0  # far from every outline
    assert list(remarks(labels, read(grey.astype(np.uint8)))) == []
    flat = read(np.full(labels.shape, 7, np.uint8))
    assert list(remarks(labels, flat)) == list(remarks(np.zeros_like(labels), flat)) == []


def test_only_the_analysed_area_counts():
    labels, grey = squares()
    grey[:, :5] = 0  # a bar that is not analysed
    micrograph = replace(read(grey.astype(np.uint8)), area=Area(0, 5, 60, 80))
    grey[labels == 0] = np.maximum(grey[labels == 0], 55)
    clipped = replace(micrograph, pixels=grey.astype(np.uint8))
    assert list(remarks(labels, micrograph)) == []
    assert "lowest grey value, 55" in next(remarks(labels, clipped))


def test_a_black_level_in_the_middle_of_the_edge_makes_spheres_small_and_is_named():
    _, scene = next(iter(scenes(882_000, [0, 1, 0, 0])))
    truth = render(replace(scene, style="bse"))
    grey = truth.image.astype(float)
    dark, bright = np.median(grey[truth.lobes == 0]), np.median(grey[truth.lobes > 0])
    cut = np.clip((grey - (dark + bright) / 2) * 1.5, 0, 255).astype(np.uint8)
    segmenter = Segmenter(device="cpu")
    whole, clipped = (segmenter.analyze(image) for image in (truth.image, cut))
    excess = [(part := compare(truth, result)).excess[~part.astray].mean() for result in (whole, clipped)]
    assert excess[1] < -0.8 < excess[0] - 0.3
    assert not any(sentence.startswith("Just ") for sentence in whole.warnings)
    assert any(s.startswith("Just outside the particles") and "lowest grey value, 0" in s for s in clipped.warnings)
