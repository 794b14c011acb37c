"""The zoom follows the size of what is there, is reported, and can be given."""

from __future__ import annotations

import numpy as np
import pytest
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine import zoom
from samcolloid_edge.engine.synthetic import Scene, render


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(device="cpu")


def spheres(radius, shape):
    return render(Scene(seed=71, shape=shape, particle="sphere", radius_px=radius, packing=0.5, contrast_to_noise=12))


@pytest.mark.parametrize(("radius", "shape", "low", "high"), [
    (3.2, (260, 300), 1.8, 5.0), (5, (400, 500), 1.3, 2.2), (15, (400, 500), 1, 1), (110, (800, 1000), 0.3, 0.6),
])  # fmt: skip
def test_lobes_get_a_size_that_the_model_resolves(segmenter, radius, shape, low, high):
    truth = spheres(radius, shape)
    result = segmenter.analyze(truth.image)
    assert low <= result.zoom <= high
    whole = ~result.lobes["touches_edge"]
    diameter = np.median(result.lobes["equivalent_diameter_area"][whole])
    assert diameter == pytest.approx(2 * np.median(truth.radii), rel=0.1)
    assert result.lobes.n_rows == pytest.approx(len(truth.radii), rel=0.2)
    assert any("times its size" in warning for warning in result.warnings) == (result.zoom != 1)
    assert "median radius" in result.zoom_source


def test_lobes_that_drown_in_noise_where_enlarged_are_seen_as_they_are(segmenter, monkeypatch):
    truth = spheres(10, (300, 400))
    monkeypatch.setattr(zoom, "WORSE", 0.0)
    usual = segmenter.analyze(truth.image)
    monkeypatch.setattr(zoom, "WORSE", 5.0)  # more than a finer look can see
    drowned = segmenter.analyze(truth.image)
    assert usual.zoom > 1.2
    assert drowned.zoom == 1.0 and "median radius" in drowned.zoom_source
    assert drowned.lobes.n_rows == pytest.approx(usual.lobes.n_rows, rel=0.1)


def test_a_zoom_that_is_given_is_taken(segmenter):
    truth = spheres(15, (300, 300))
    result = segmenter.analyze(truth.image, settings=Settings(zoom=2.0))
    assert (result.zoom, result.zoom_source) == (2.0, "given")
    diameter = np.median(result.lobes["equivalent_diameter_area"])
    assert diameter == pytest.approx(2 * np.median(truth.radii), rel=0.1)


def test_exact_takes_the_usual_zoom(segmenter):
    result = segmenter.analyze(spheres(5, (90, 120)).image, settings=Settings(schedule="exact"))
    assert (result.zoom, result.zoom_source) == (1.0, "the model's usual one")


def test_where_nothing_is_seen_the_usual_zoom_stays(segmenter):
    rng = np.random.default_rng(0)
    result = segmenter.analyze(rng.normal(120, 1, (200, 300)).astype(np.uint8), settings=Settings(pred_iou_thresh=0.9))
    assert result.zoom == 1.0
    assert "no lobe" in result.zoom_source
