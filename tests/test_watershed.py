"""The traditional method: its steps are what they are called, and its results go the way of all others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from handmade import discs
from program import Program
from samcolloid_edge import Segmenter, Settings, SettingsError
from samcolloid_edge.engine import compare, kernels_watershed, report
from samcolloid_edge.engine import watershed as traditional
from samcolloid_edge.engine.findings import sources
from samcolloid_edge.engine.report_coco import coco_json
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.models.errors import ModelError
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction

SETTINGS = Settings(method="watershed")
SHAPE = (150, 190)
DUMBBELL_AND_SPHERE = [(40, 40, 18, 0), (40, 60, 15, 0), (105, 140, 20, 1)]


def bright(lobes: list[tuple[int, int, int, int]] = DUMBBELL_AND_SPHERE) -> np.ndarray:
    """Lobes of 180 on 60, blurred, with noise of 4."""
    labels, _ = discs(SHAPE, lobes)
    blurred = ndimage.gaussian_filter(np.where(labels > 0, 180.0, 60.0), 1)
    return np.clip(blurred + np.random.default_rng(0).normal(0, 4, SHAPE), 0, 255).astype(np.uint8)


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ModelError("a model was loaded")

    monkeypatch.setattr("samcolloid_edge.engine.pipeline.open_model", refuse)


def test_lobes_and_the_particles_that_hold_them_are_found_without_a_model(no_model: None) -> None:
    result = Segmenter().analyze(bright(), 2.0, settings=SETTINGS)
    assert result.sets["kind"].tolist() == ["sphere", "dumbbell"]
    assert sorted(result.lobes["lobe"].tolist()) == ["large", "small", "sphere"]
    labels, _ = discs(SHAPE, DUMBBELL_AND_SPHERE)
    areas = [np.isin(labels, lobes).sum() for lobes in ([3], [1, 2])]
    assert result.sets["area_nm2"] == pytest.approx([4 * area for area in areas], rel=0.05)
    assert result.model is None and result.found_by == "watershed"


def test_dark_particles_are_found_as_well_and_told_from_bright_ones() -> None:
    image = bright()
    for pixels, is_bright in ((image, 1), (255 - image, 0)):
        result = Segmenter().analyze(pixels, settings=SETTINGS)
        assert result.counts["particles_are_bright"] == is_bright
        assert result.sets.n_rows == 2
    wrong = Segmenter().analyze(image, settings=replace(SETTINGS, watershed_particles="dark"))
    assert wrong.counts["particles_are_bright"] == 0


def test_the_record_names_the_method_its_parameters_and_no_model(no_model: None) -> None:
    result = Segmenter().analyze(bright(), settings=SETTINGS)
    found = report.record(result)
    assert (found["method"], found["model"], found["providers"]) == ("watershed", None, [])
    assert found["zoom"]["model_px_per_px"] is None
    assert found["settings"]["watershed_tolerance"] == 0.5
    assert found["counts"]["watershed_threshold"] > 0
    assert all("score" not in a for a in json.loads(coco_json(result))["annotations"])


def test_the_command_skips_what_is_there_and_compares_with_it(
    no_model: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Program(capsys, monkeypatch, "analyze", "a.tif", "--method", "watershed")
    tifffile.imwrite("a.tif", bright())
    assert run("--out", "out").code == 0
    assert "skipped" in run("--out", "out").out
    assert run("--out", "out", "--watershed-tolerance", "2").code == 1
    assert run("--out", "other", "--watershed-set-tolerance", "0.5").code == 0
    found = compare.compare(compare.pair(sources(Path("out")), sources(Path("other"))).pairs)
    assert found.lobes[0.7].f1 == 1
    assert found.same_sets.found == 1, "with the lobes' own tolerance every lobe is a particle"
    assert sources(Path("out"))[0].made_by == "watershed"


def test_an_empty_micrograph_is_a_result() -> None:
    for pixels in (np.zeros((40, 50), np.uint8), np.full((40, 50), 255, np.uint8)):
        result = Segmenter().analyze(pixels, settings=SETTINGS)
        assert result.lobes.n_rows == result.sets.n_rows == 0
        assert "No particle was found." in result.warnings


def test_a_particle_of_more_lobes_than_asked_for_is_no_set() -> None:
    chain = [(40, 40, 15, 0), (40, 56, 15, 0), (40, 72, 15, 0), (105, 140, 20, 1)]
    image = bright(chain)
    assert sorted(Segmenter().analyze(image, settings=SETTINGS).sets["lobes"]) == [1, 3]
    result = Segmenter().analyze(image, settings=replace(SETTINGS, particle="dumbbell"))
    assert result.lobes.n_rows == 4 and result.sets["lobes"].tolist() == [1]


def test_the_moments_threshold_keeps_the_moments() -> None:
    """Tsai's: the shares on both sides are those of the two values whose image has the same three moments."""
    rng = np.random.default_rng(1)
    dark, light = rng.normal(70, 8, 7000), rng.normal(170, 12, 3000)
    image = np.clip(np.rint(np.concatenate([dark, light])), 0, 255).astype(np.uint8).reshape(100, 100)
    share = (image > traditional.moments_threshold(image)).mean()
    values = image.astype(float)
    m1, m2, m3 = ((values**k).mean() for k in (1, 2, 3))
    # With the grey values z of the shares 1 - p and p: p z1^k + (1 - p) z0^k = m_k.
    c1, c0 = np.linalg.solve([[m1, 1], [m2, m1]], [-m2, -m3])
    low, high = np.sort(np.roots([1, c1, c0]))
    assert share == pytest.approx((m1 - low) / (high - low), abs=0.005)
    assert traditional.moments_threshold(np.full((5, 5), 7, np.uint8)) == 255


def test_the_rolling_ball_takes_a_slope_away_and_leaves_particles() -> None:
    labels, _ = discs(SHAPE, DUMBBELL_AND_SPHERE)
    slope = np.linspace(20, 110, SHAPE[1])[None, :]
    image = np.rint(slope + 90 * (labels > 0)).astype(np.uint8)
    level = traditional.subtract_background(image, 50)
    assert level[labels == 0].mean() < 6
    assert np.median(level[labels > 0]) == pytest.approx(90, abs=9)
    flat = np.full((30, 40), 80, np.uint8)
    assert not traditional.subtract_background(flat, 50).any()


def test_the_ball_reaches_what_grey_opening_with_a_ball_reaches() -> None:
    rng = np.random.default_rng(2)
    image = rng.uniform(0, 20, (14, 17)).astype(np.float32)
    y, x = np.mgrid[-3:4, -3:4]
    ball = np.sqrt(np.maximum(16 - x**2 - y**2, 0)).astype(np.float32)
    reached = kernels_watershed.roll_ball(image, ball)
    opened = ndimage.grey_opening(image, structure=ball, mode="constant", cval=1e6)
    np.testing.assert_allclose(reached[3:-3, 3:-3], opened[3:-3, 3:-3], rtol=1e-5)
    assert (reached <= image + 1e-4).all()


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 3.0])
def test_as_many_basins_as_maxima_of_that_height(tolerance: float) -> None:
    mask = render(Scene(seed=3, shape=(200, 220), particle="mixture", radius_px=12, packing=0.7)).lobes > 0
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1].astype(np.float32)
    basins = traditional.watershed(depth, tolerance)
    assert ((basins > 0) == (depth > 0)).all()
    # The background as a pit, so that the shallowest part has a maximum of its own.
    heights = np.where(depth > 0, depth, -1e3).astype(np.float64)
    lowered = reconstruction(heights - tolerance, heights, footprint=np.ones((3, 3)))
    maxima, n = ndimage.label(local_maxima(lowered, connectivity=2), np.ones((3, 3)))
    assert basins.max() == n
    assert len(np.unique(basins[maxima > 0])) == n, "each holds one maximum"


def test_a_tolerance_of_nothing_parts_all_and_a_large_one_nothing() -> None:
    labels, _ = discs(SHAPE, DUMBBELL_AND_SPHERE)
    depth = ndimage.distance_transform_edt(labels > 0).astype(np.float32)
    assert traditional.watershed(depth, 0.5).max() == 3
    assert traditional.watershed(depth, 50).max() == 2


def test_settings_of_the_method_are_checked() -> None:
    for wrong in ({"method": "otsu"}, {"watershed_particles": "grey"}, {"watershed_tolerance": -1},
                  {"watershed_min_area": 0}):  # fmt: skip
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            Settings(**wrong)
