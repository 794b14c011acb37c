"""The benchmarks' own arithmetic, on labels and boxes made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def published_module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    import published

    return published


def dumbbell_table(published_module: ModuleType) -> Any:
    """Two published discs of 20 px diameter, side by side, as one set."""
    centroids = np.array([[29.5, 29.5], [29.5, 49.5]])
    return published_module.Published(
        name="hand_made",
        sample="dumbbells",
        path=Path("hand made.tif"),
        boxes=np.column_stack([centroids - 9.5, centroids + 10.5]),
        centroids=centroids,
        areas=np.full(2, np.pi * 100),
        ellipses=np.tile([20.0, 20.0, 0.0], (2, 1)),
        sets=np.array([1, 1]),
        roles=np.array(["large", "small"]),
    )


def disc_labels(*discs: tuple[float, float, float]) -> np.ndarray:
    """A 60×80 label image of discs (row, col, radius); later ones lie on top."""
    rows, cols = np.mgrid[:60, :80]
    labels = np.zeros((60, 80), np.int32)
    for number, (row, col, radius) in enumerate(discs, start=1):
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = number
    return labels


def boxes_of(labels: np.ndarray) -> np.ndarray:
    where = [np.nonzero(labels == i) for i in range(1, labels.max() + 1)]
    return np.array([[r.min(), c.min(), r.max() + 1, c.max() + 1] for r, c in where])


def test_a_perfect_answer_agrees_in_everything(published_module: ModuleType) -> None:
    table = dumbbell_table(published_module)
    labels = disc_labels((29.5, 29.5, 10), (29.5, 49.5, 10))
    agreement = published_module.compare(table, labels, boxes_of(labels), np.array([8, 8]))
    assert all(found.all() for found in agreement.found.values())
    assert not agreement.split.any() and not agreement.merged.any()
    assert agreement.same.tolist() == [[1, 8]] and agreement.ours.tolist() == [8]


def test_a_lobe_in_two_halves_is_split(published_module: ModuleType) -> None:
    labels = disc_labels((29.5, 29.5, 10), (29.5, 49.5, 10))
    labels[:28][labels[:28] == 1] = 3
    assert published_module.split_lobes(dumbbell_table(published_module), labels).tolist() == [True, False]


def test_a_speck_inside_a_lobe_does_not_split_it(published_module: ModuleType) -> None:
    labels = disc_labels((29.5, 29.5, 10), (29.5, 49.5, 10), (29.5, 29.5, 2))
    assert not published_module.split_lobes(dumbbell_table(published_module), labels).any()


def test_a_neighbour_that_reaches_in_does_not_split_a_lobe(published_module: ModuleType) -> None:
    labels = disc_labels((29.5, 26, 10), (29.5, 45, 10))
    assert not published_module.split_lobes(dumbbell_table(published_module), labels).any()


def test_two_lobes_in_one_of_ours_are_merged(published_module: ModuleType) -> None:
    table = dumbbell_table(published_module)
    labels = (disc_labels((29.5, 29.5, 10), (29.5, 49.5, 10)) > 0).astype(np.int32)
    agreement = published_module.compare(table, labels, boxes_of(labels), np.array([1]))
    assert agreement.merged.all()
    assert len(agreement.same) == 0


def test_the_outline_follows_scikit_images_orientation(published_module: ModuleType) -> None:
    from skimage.measure import regionprops

    labels = np.zeros((60, 80), np.int32)
    for k in range(25):
        labels[10 + k, 20 + 2 * k : 32 + 2 * k] = 1
    lobe = regionprops(labels)[0]
    table = replace(
        dumbbell_table(published_module),
        boxes=np.array([lobe.bbox], float),
        centroids=np.array([lobe.centroid]),
        areas=np.array([lobe.area]),
        ellipses=np.array([[lobe.axis_major_length, lobe.axis_minor_length, lobe.orientation]]),
        sets=np.array([1]),
    )
    where, inside = published_module.outline(table, 0, labels.shape)
    own = labels[where] == 1
    assert (own & inside).sum() / (own | inside).sum() > 0.8


def test_the_published_table_is_read_whole(published_module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "micrographs").mkdir()
    (tmp_path / "published").mkdir()
    head = (
        "image,sample,set,lobe,centroid_row,centroid_col,bbox_min_row,bbox_min_col,bbox_max_row,bbox_max_col,"
        "area,axis_major_length,orientation,eccentricity\n"
    )
    rows = (
        "GM_1_07,dumbbells,0,large,5,6,0,1,10,11,80,10,0.5,0.6\n"
        "GM_1_07,dumbbells,0,small,5,16,0,11,10,21,80,10,0,0\n"
    )
    (tmp_path / "published" / "lobes.csv").write_text(head + rows, encoding="utf-8")
    (image,) = published_module.read_published(published_module.shared_folder(tmp_path / "micrographs"))
    assert image.path.name == "GM 1_07.tif" and image.sample == "dumbbells" and image.n_sets == 1
    assert image.boxes.tolist() == [[0, 1, 10, 11], [0, 11, 10, 21]]
    assert image.ellipses[0] == pytest.approx([10, 8, 0.5])


def test_a_figure_that_is_not_a_number_fails_its_bar(published_module: ModuleType) -> None:
    from bars import Bar

    assert [Bar("", v, least=0.9).verdict for v in (0.9, 0.89, float("nan"))] == ["pass", "FAIL", "FAIL"]
    assert Bar("", 0.5, most=0.25).verdict == "FAIL" and Bar("", 0.1).verdict == "reported"
    assert Bar("", 1.0, 0.96, 1.03).verdict == "pass"


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    import rendered

    return rendered


def hand_made_scene() -> Any:
    """Three discs: two of one particle, of which the second is hidden for the most part, and one alone."""
    from samcolloid_edge.engine.synthetic import Rendered, Scene
    from samcolloid_edge.engine.types import Area

    lobes = disc_labels((20, 20, 10), (20, 32, 4), (40, 60, 12))
    return Rendered(
        scene=Scene(shape=lobes.shape),
        image=np.zeros(lobes.shape, np.uint8),
        lobes=lobes,
        particles=np.array([0, 1, 1, 2], np.int32)[lobes],
        particle_of_lobe=np.array([1, 1, 2], np.int32),
        centres=np.zeros((3, 2)),
        radii=np.array([10.0, 10.0, 12.0]),
        visible_fraction=np.array([1.0, 0.2, 1.0]),
        contrast_to_noise=10.0,
        area=Area(0, 0, *lobes.shape),
    )


def test_the_truth_itself_scores_one_and_hidden_lobes_do_not_count(rendered: ModuleType) -> None:
    scene = hand_made_scene()
    for score in rendered.score_lobes(scene, scene.lobes).values():
        assert (score.found, score.truth, score.predicted) == (2, 2, 2)
    without_hidden = np.array([0, 1, 0, 2])[scene.lobes]
    assert rendered.score_lobes(scene, without_hidden)[0.7].f1 == 1


def test_a_set_of_a_partly_hidden_particle_counts_only_when_wrong(rendered: ModuleType) -> None:
    scene = hand_made_scene()
    right = rendered.score_sets(scene, scene.lobes, np.array([1, 1, 2]), 2)
    wrong = rendered.score_sets(scene, scene.lobes, np.array([1, 2, 1]), 2)
    assert (right.found, right.truth, right.predicted) == (0, 0, 0)
    assert (wrong.found, wrong.truth, wrong.predicted) == (0, 0, 1)


def test_circles_part_a_particle_along_their_chord_and_leave_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    import ceiling

    rows, cols = np.indices((60, 120))
    left, right, other = ((cols - x) ** 2 + (rows - 30) ** 2 <= r * r for x, r in ((30, 20), (52, 12), (100, 15)))
    lobes = np.select([right, left, other], [2, 1, 3]).astype(np.int32)  # the smaller one in front
    centres, radii = np.array([[30.0, 30.0], [52.0, 30.0], [100.0, 30.0]]), np.array([20.0, 12.0, 15.0])
    truth = replace(hand_made_scene(), lobes=lobes, particles=np.array([0, 1, 1, 2], np.int32)[lobes], centres=centres,
                    radii=radii, visible_fraction=np.ones(3))  # fmt: skip
    labels = ceiling.of_circles(truth)
    chord = (52**2 - 30**2 - 12**2 + 20**2) / (2 * 22)
    np.testing.assert_array_equal(labels[30, 11:64], 1 + (np.arange(11, 64) > chord))
    np.testing.assert_array_equal(labels == 3, other)
    np.testing.assert_array_equal(labels > 0, lobes > 0)


def test_the_rendered_scenes_are_what_the_bar_says(rendered: ModuleType) -> None:
    cases = [case for case in rendered.read_cases() if case.group == "bar"]
    assert len(cases) == 40 and len({case.scene.seed for case in cases}) == 40
    for scene in (case.scene for case in cases):
        assert scene.shape == (768, 1024) and scene.contrast_to_noise >= 2
        assert scene.radius_px * scene.lobe_ratio[0] >= 8 and scene.radius_px <= 60
        assert 0.5 <= scene.fusion[0] <= scene.fusion[1] <= 1


def test_the_bias_of_edges_is_that_of_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    import edge_weights

    rng = np.random.default_rng(0)
    truth = rng.uniform(90, 110, (200, 1)) * np.array([1.0, 20.0, 420.0, 9000.0, 2e5])
    noise = rng.normal(1, 0.02, (200, 1))
    found = edge_weights.biases(np.stack([truth, truth * [0.8, 0.76, 0.7, 0.65, 0.6], truth * noise], axis=1))
    without, with_it = found["mean diameter"]
    assert without[0] == pytest.approx(0.76 / 0.8 - 1)
    assert with_it == pytest.approx([0, 0, 0], abs=1e-9)
    without, with_it = found["number per area"]
    assert without == pytest.approx([-0.2] * 3)
    assert with_it[1] < noise.mean() - 1 < with_it[2]


def test_a_field_has_its_truth_and_what_the_edge_leaves_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    import edge_weights

    for sums in edge_weights.field(7).values():
        number = sums[:, 0]
        assert number[1] < number[0]
        assert number[1] < number[2]
        assert number[0] == int(number[0])


def test_a_prediction_that_means_what_it_says_has_no_calibration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    import calibration

    predicted = np.array([0.81, 0.89, 0.95, 1.0, 0.0])
    error = calibration.expected_calibration_error
    assert error(predicted, np.array([0.89, 0.81, 1.0, 0.95, 0.0])) == pytest.approx(0)
    assert error(predicted, predicted - 0.1) == pytest.approx(0.1)
    assert error(np.array([0.9, 0.9]), np.array([1.0, 0.8])) == pytest.approx(0)
    assert "noise" in calibration.EMPTY and "sphere" not in calibration.EMPTY


def test_changed_images_have_labels_changed_alike_and_the_border_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    import equivariance

    labels = disc_labels((3, 3, 12), (29.5, 29.5, 10), (29.5, 55.5, 8))
    image = np.where(labels > 0, 200, 50).astype(np.uint8)
    for name, (change, of_labels) in equivariance.CHANGES.items():
        seen, expected = change(image).astype(float), of_labels(labels)
        assert seen.shape == expected.shape, name
        inside, outside = seen[expected > 0], seen[expected == 0]
        assert (inside.mean() > outside.mean()) == (name != "inverted"), name
        found = equivariance.agreement(expected, expected)[0.7]
        assert (found.found, found.truth, found.predicted) == (2, 2, 2), name
    lost = equivariance.agreement(labels, np.where(labels == 3, 0, labels).astype(np.int32))[0.5]
    assert (lost.found, lost.truth, lost.predicted) == (1, 2, 1)


def test_every_kind_is_shown_in_three_sizes_or_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    import kinds

    assert [case.scene.radius_px for case in kinds.scenes_of("rod", 3)] == [14.0, 24.0, 40.0]
    assert {case.scene.radius_px for case in kinds.scenes_of("small", 4)} == {3.0}
    seeds = [case.scene.seed for number, name in enumerate(kinds.KINDS) for case in kinds.scenes_of(name, number)]
    assert len(set(seeds)) == len(seeds)


def test_outlines_are_drawn_where_labels_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    import kinds

    picture = np.zeros((12, 16, 3), np.uint8)
    labels = np.zeros((6, 8), np.int32)
    labels[2:4, 3:5] = 1
    kinds.outlined(picture, labels, (1, 2, 3))
    drawn = (picture == (1, 2, 3)).all(2)
    assert drawn[4:8, 6].all() and drawn[4, 6:10].all() and drawn[4:8, 10].all() and drawn[8, 6:10].all()
    assert not drawn[5:8, 7:10].any() and not drawn[:4].any()
