"""The zoom follows the size of what is there, is reported, and can be given."""

from __future__ import annotations

import numpy as np
import pytest
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine import zoom
from samcolloid_edge.engine.preprocess import Grey
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.engine.types import Area


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


@pytest.mark.parametrize(("seen", "value"), [
    ({1.0: 400, 2.0: 400}, 1.75), ({1.0: 400, 2.0: 800}, 1.75), ({1.0: 400, 2.0: 260}, 1.75),
    ({1.0: 400, 2.0: 220}, 1.0), ({1.0: 400}, 1.0),  # drowned in noise
    ({1.0: 20, 2.0: 2, 4.0: 60}, 1.75),  # a finer look saw most
])  # fmt: skip
def test_nothing_is_enlarged_where_twice_the_zoom_shows_much_less(segmenter, monkeypatch, seen, value):
    def look(_session, _grey, _area, at, _settings, _timings):
        radii, ious = (np.full(seen.get(at, 0), number, np.float32) for number in (8, 0.8))
        return zoom._Look(at, 0, {}, radii, ious, 500 * 500, 0.62)

    monkeypatch.setattr(zoom, "_look", look)
    grey, area = Grey(np.zeros((500, 500), np.uint8)), Area(0, 0, 500, 500)
    found = zoom.choose(segmenter.session, grey, area, Settings(), {})
    assert found.value == pytest.approx(value)
    assert found.source == "lobes of 8 px median radius were seen"


def test_one_doubtful_blob_does_not_outweigh_many_lobes(segmenter, monkeypatch):
    seen = {1 / 16: (1, 288, 0.74), 1.0: (180, 10, 0.91), 2.0: (240, 10, 0.92)}

    def look(_session, _grey, _area, at, _settings, _timings):
        n, radius, iou = seen.get(at, (0, 1, 1))
        return zoom._Look(at, 0, {}, np.full(n, radius, np.float32), np.full(n, iou, np.float32), 768 * 1024, 0.62)

    monkeypatch.setattr(zoom, "_look", look)
    grey, area = Grey(np.zeros((768, 1024), np.uint8)), Area(0, 0, 768, 1024)
    found = zoom.choose(segmenter.session, grey, area, Settings(), {})
    assert found.value == pytest.approx(1.4) and found.source == "lobes of 10 px median radius were seen"
    seen[1 / 16] = (1, 288, 0.93)  # a lobe for sure, and what is on it small
    assert zoom.choose(segmenter.session, grey, area, Settings(), {}).value == pytest.approx(45 / 288)


def test_a_zoom_that_is_given_is_taken(segmenter):
    truth = spheres(15, (300, 300))
    result = segmenter.analyze(truth.image, settings=Settings(zoom=2.0))
    assert (result.zoom, result.zoom_source) == (2.0, "given")
    assert "The model saw the micrograph at 2 times its size, as it was told to." in result.warnings
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
