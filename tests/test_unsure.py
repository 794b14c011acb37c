"""A warning where the model is unsure of most of what it found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from samcolloid_edge import Segmenter
from samcolloid_edge.engine import unsure
from samcolloid_edge.engine.synthetic import render
from samcolloid_edge.engine.synthetic_kinds import kind

SAYS = "The model is unsure of what it found"


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(device="cpu")


def said(segmenter: Segmenter, source: object) -> list[str]:
    return [warning for warning in segmenter.analyze(source).warnings if warning.startswith(SAYS)]  # type: ignore[arg-type]


def test_each_lobe_counts_as_large_as_it_is() -> None:
    iou, area = np.array([0.95, 0.7, 0.65], np.float32), np.array([100, 10, 20])
    assert list(unsure.remarks(iou, area)) == []
    (sentence,) = unsure.remarks(iou, area[::-1])
    assert "below 0.66 (0.9 is usual)" in sentence
    assert list(unsure.remarks(iou[:0], area[:0])) == []


def test_grains_without_particles_are_told(segmenter: Segmenter) -> None:
    assert len(said(segmenter, render(kind("empty-grains", seed=72001, shape=(480, 640))).image)) == 1


@pytest.mark.parametrize("name", ["dumbbell", "low-dose", "grains"])
def test_particles_are_not(segmenter: Segmenter, name: str) -> None:
    assert said(segmenter, render(kind(name, seed=73000, shape=(480, 640))).image) == []


def test_nor_are_published_micrographs(segmenter: Segmenter, published: Path) -> None:
    paths = sorted((published / "micrographs").glob("*.tif"))
    assert len(paths) >= 15
    assert [warning for path in paths[::5] for warning in said(segmenter, path)] == []
