"""From a micrograph to measured particles, with the bundled model."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from samcolloid_edge import ImageError, Segmenter, Settings, analyze
from samcolloid_edge.engine.synthetic import Scene, render
from scipy.optimize import linear_sum_assignment

SPHERES = Scene(seed=11, shape=(384, 512), particle="sphere", radius_px=18, packing=0.35, contrast_to_noise=10)
TRIMERS = Scene(
    seed=12, shape=(512, 512), particle="trimer", radius_px=22, packing=0.6, domain=0.7, lobe_ratio=(0.75, 0.9),
    fusion=(0.6, 0.8), bend=(5, 65), contrast_to_noise=12, pixel_size=4.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(device="cpu")


@pytest.fixture(scope="module")
def spheres(segmenter):
    truth = render(SPHERES)
    return truth, segmenter.analyze(truth.image, pixel_size=2.0)


def found_share(truth, labels, threshold=0.7):
    """Share of well visible true lobes that have a mask of at least this IoU, matched one to one."""
    n, m = len(truth.radii), int(labels.max())
    both = np.bincount((truth.lobes.astype(np.int64) * (m + 1) + labels).ravel(), minlength=(n + 1) * (m + 1))
    both = both.reshape(n + 1, m + 1)
    iou = both / (both.sum(1, keepdims=True) + both.sum(0, keepdims=True) - both)
    rows, columns = linear_sum_assignment(-iou[1:, 1:])
    hit = np.zeros(n, bool)
    hit[rows] = iou[1:, 1:][rows, columns] >= threshold
    return hit[truth.visible_fraction >= 0.7].mean()


def test_rendered_spheres_are_found_and_measured(spheres):
    truth, result = spheres
    labels = result.masks.labels()
    assert found_share(truth, labels) >= 0.95
    assert result.sets.n_rows >= 0.9 * result.lobes.n_rows
    whole = ~result.lobes["touches_edge"]
    median = np.median(result.lobes["equivalent_diameter_area_nm"][whole])
    assert median == pytest.approx(2 * 2.0 * np.median(truth.radii), rel=0.06)


def test_rendered_trimers_are_found_and_grouped(segmenter):
    truth = render(TRIMERS)
    result = segmenter.analyze(truth.image, pixel_size=4.0)
    assert found_share(truth, result.masks.labels(), 0.6) >= 0.85
    whole = (np.bincount(truth.particle_of_lobe[truth.visible_fraction >= 0.5]) == 3).sum()
    assert (result.sets["kind"] == "trimer").sum() >= 0.85 * whole


def test_tables_masks_and_labels_tell_the_same(spheres):
    _, result = spheres
    labels = result.masks.labels()
    assert len(result.masks) == result.lobes.n_rows == labels.max()
    assert (np.bincount(labels.ravel())[1:] == result.lobes["area"]).all()
    assert set(result.lobes["set"]) == set(result.sets["set"])


def test_two_runs_give_the_same_numbers(segmenter, spheres):
    truth, result = spheres
    again = segmenter.analyze(truth.image, pixel_size=2.0)
    for name in result.lobes:
        np.testing.assert_array_equal(again.lobes[name], result.lobes[name])


def test_the_table_follows_a_translated_analysis_area(segmenter):
    truth = render(SPHERES)
    bar = np.zeros((60, 512), np.uint8)
    cv2.putText(bar, "200 nm  EHT = 3.00 kV", (10, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 1)
    with_bar = segmenter.analyze(np.vstack([truth.image, bar]))
    alone = segmenter.analyze(truth.image)
    assert with_bar.micrograph.area == alone.micrograph.area
    np.testing.assert_array_equal(with_bar.lobes["centroid-0"], alone.lobes["centroid-0"])


def test_a_16_bit_micrograph_gives_the_lobes_of_its_8_bit_twin(segmenter, spheres):
    truth, result = spheres
    deep = segmenter.analyze(truth.image.astype(np.uint16) * 200 + 1000, pixel_size=2.0)
    assert deep.grey_range is not None
    assert deep.lobes.n_rows == pytest.approx(result.lobes.n_rows, rel=0.05)
    assert deep.lobes["intensity_mean"].max() > 255


def test_a_micrograph_larger_than_a_tile_has_no_seams(segmenter):
    truth = render(Scene(seed=13, shape=(300, 1500), radius_px=18, packing=0.3, contrast_to_noise=10))
    result = segmenter.analyze(truth.image)
    assert result.counts["tiles"] == 2
    assert found_share(truth, result.masks.labels()) >= 0.95
    assert result.lobes.n_rows <= 1.05 * len(truth.radii)


def test_particle_bounds_the_lobes_of_a_set(segmenter):
    truth = render(TRIMERS)
    for particle, most in (("sphere", 1), ("dumbbell", 2), ("trimer", 3)):
        result = segmenter.analyze(truth.image, settings=Settings(particle=particle))
        assert result.sets["lobes"].max() <= most


def test_published_grouping_takes_the_papers_rules(segmenter):
    truth = render(TRIMERS)
    result = segmenter.analyze(truth.image, settings=Settings(particle="trimer", grouping="published"))
    assert set(result.sets["lobes"].tolist()) == {3}


def test_the_published_preset_runs_every_point_of_every_crop(segmenter):
    truth = render(SPHERES)
    result = segmenter.analyze(truth.image, settings=Settings.preset("published"))
    assert result.counts["prompts"] == 36**2 + 4 * 18**2
    assert found_share(truth, result.masks.labels()) >= 0.9


def test_a_coarser_search_leaves_out_what_is_smaller(segmenter):
    truth = render(SPHERES)
    fine, coarse = (segmenter.analyze(truth.image, settings=Settings(min_radius=r)) for r in (4.0, 14.0))
    assert coarse.counts["prompts"] < fine.counts["prompts"] / 2
    assert found_share(truth, coarse.masks.labels()) >= 0.95


@pytest.mark.parametrize("image", [
    np.zeros((200, 300), np.uint8), np.zeros((1, 1), np.uint8), np.full((64, 64), 128, np.uint8),
    np.full((90, 90), 7, np.uint16), np.zeros((10, 20000), np.uint8), np.zeros((20000, 10), np.uint8),
], ids=["black", "one pixel", "grey", "flat 16 bit", "10 rows", "10 columns"])  # fmt: skip
def test_nothing_to_find_is_a_result(segmenter, image):
    result = segmenter.analyze(image)
    assert result.lobes.n_rows == result.sets.n_rows == len(result.masks) == 0
    assert "No particle was found." in result.warnings
    assert result.lobes["area"].dtype == np.int64
    assert result.masks.labels().shape == image.shape


def test_an_unknown_scale_is_said_and_gives_no_nanometres(segmenter, spheres):
    unscaled = segmenter.analyze(spheres[0].image)
    assert any("pixel size is unknown" in warning for warning in unscaled.warnings)
    assert not [name for name in unscaled.lobes if name.endswith(("_nm", "_nm2"))]


def test_progress_rises_to_one(segmenter, spheres):
    seen = []
    segmenter.analyze(spheres[0].image, progress=lambda step, done: seen.append((step, done)))
    shares = [done for _, done in seen]
    assert shares == sorted(shares)
    assert seen[-1] == ("done", 1.0)


def test_the_published_pixel_size_is_read_and_can_be_overridden(segmenter, published):
    path = published / "micrographs" / "GM 59_20.tif"
    result = segmenter.analyze(path, pixel_size=4.412)
    assert result.micrograph.pixel_size == 4.412
    assert result.micrograph.file_pixel_size == 4.466
    assert result.settings.pixel_size == 4.412
    assert result.lobes.n_rows > 300


def test_bad_input_is_one_sentence():
    with pytest.raises(ImageError, match=r"missing\.tif"):
        analyze("missing.tif")
