"""The renderer's truth is true."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rendered_golden
from samcolloid_edge import SettingsError
from samcolloid_edge.engine.synthetic import PARTICLES, Scene, render
from samcolloid_edge.engine.synthetic_shapes import SOLIDS
from samcolloid_edge.engine.synthetic_support import SUPPORTS
from skimage.measure import regionprops

ISOLATED = Scene(
    shape=(128, 160), radius_px=30, spread=0, ellipticity=0, isolated=True, unevenness=0, contrast_to_noise=0, blur=0.5
)


def test_an_isolated_sphere_has_the_area_and_centroid_of_a_circle():
    truth = render(ISOLATED)
    rows, columns = np.nonzero(truth.lobes)
    assert len(truth.radii) == 1
    assert truth.radii[0] == pytest.approx(30)
    assert len(rows) == pytest.approx(np.pi * 30**2, rel=0.01)
    assert (columns.mean(), rows.mean()) == pytest.approx((80, 64), abs=0.02)
    assert truth.centres[0] == pytest.approx((80, 64))
    assert truth.visible_fraction[0] == 1


def test_the_image_shows_the_sphere_where_the_label_says():
    truth = render(ISOLATED)
    assert abs(truth.image[truth.lobes > 0].mean() - truth.image[truth.lobes == 0].mean()) > 20


def test_the_same_scene_gives_the_same_pixels_and_another_seed_gives_others():
    scene = Scene.random(3, (128, 128))
    one, two = render(scene), render(scene)
    assert (one.image == two.image).all()
    assert (one.lobes == two.lobes).all()
    assert (render(replace(scene, seed=4)).image != one.image).any()


@pytest.mark.parametrize("particle", ["dumbbell", "trimer", "chain"])
def test_lobes_of_one_particle_touch(particle):
    scene = Scene(seed=5, particle=particle, shape=(300, 300), radius_px=25, isolated=True, tilted_share=0, bulge=0)
    truth = render(replace(scene, fusion=(0.6, 0.9)))
    n = {"dumbbell": 2, "trimer": 3}.get(particle, len(truth.radii))
    assert len(truth.radii) == n >= 2
    beside = ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1]))
    pairs = {
        tuple(sorted(pair))
        for a, b in beside
        for pair in zip(truth.lobes[a].ravel().tolist(), truth.lobes[b].ravel().tolist(), strict=True)
    }
    touching = {label for pair in pairs if 0 not in pair and pair[0] != pair[1] for label in pair}
    assert touching == set(range(1, n + 1))


def test_fusion_is_the_centre_distance_over_the_sum_of_the_radii():
    scene = Scene(particle="dumbbell", isolated=True, tilted_share=0, shape=(256, 256), fusion=(0.7, 0.7))
    truth = render(scene)
    distance = np.linalg.norm(truth.centres[0] - truth.centres[1])
    assert distance / truth.radii.sum() == pytest.approx(0.7, rel=0.06)  # a slight tilt foreshortens it


def test_truth_arrays_belong_together():
    for seed in range(12):
        truth = render(Scene.random(seed, (160, 200)))
        n = len(truth.radii)
        assert truth.image.shape == truth.lobes.shape == truth.particles.shape == (160, 200)
        assert truth.image.dtype == np.uint8
        assert set(np.unique(truth.lobes)) - {0} == set(range(1, n + 1))
        assert ((truth.particles > 0) == (truth.lobes > 0)).all()
        assert (truth.particle_of_lobe[truth.lobes[truth.lobes > 0] - 1] == truth.particles[truth.lobes > 0]).all()
        assert (truth.visible_fraction > 0).all()
        assert (truth.visible_fraction <= 1).all()
        assert truth.truth().n_rows == n


def test_particles_run_over_the_border_and_lie_on_others():
    crowded = Scene(seed=1, shape=(256, 256), radius_px=20, packing=0.8, on_top_share=0.2)
    truth = render(crowded)
    assert (truth.lobes[0] > 0).any()
    assert (truth.visible_fraction < 0.9).sum() > 3


def test_a_data_bar_carries_no_labels_and_is_left_out_of_the_area():
    truth = render(Scene(seed=2, data_bar=True, packing=0.8))
    assert truth.area.row1 < 768
    assert (truth.lobes[truth.area.row1 :] == 0).all()


def test_contrast_to_noise_is_what_was_asked_for():
    truth = render(Scene(seed=0, contrast_to_noise=5.0, packing=0.4))
    assert truth.contrast_to_noise == pytest.approx(5)


def test_particles_are_bright_in_sem_and_dark_in_tem():
    for style, sign in (("sem", 1), ("tem", -1)):
        truth = render(Scene(seed=7, style=style, packing=0.3, shape=(256, 256)))
        assert sign * (truth.image[truth.lobes > 0].mean() - truth.image[truth.lobes == 0].mean()) > 0


def test_every_particle_type_can_be_asked_for_by_name_and_size():
    for particle in PARTICLES:
        scene = Scene(particle=particle, shape=(200, 200), radius_px=15, spread=0.02)
        assert render(scene).radii.max() == pytest.approx(15, rel=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"particle": "cat"},
        {"style": "xray"},
        {"surface": "fur"},
        {"support": "wood"},
        {"shape": (0, 5)},
        {"radius_px": 0},
        {"pixel_size": -1},
    ],
)
def test_a_senseless_scene_is_refused(wrong):
    with pytest.raises(SettingsError):
        Scene(**wrong)


@pytest.mark.parametrize("crystalline", [False, True])
def test_an_empty_scene_is_a_scene(crystalline):
    truth = render(Scene(packing=0, max_particles=0, shape=(64, 64), crystalline=crystalline))
    assert truth.truth().n_rows == 0
    assert not truth.lobes.any()


def test_what_was_rendered_yesterday_is_rendered_today():
    """Thumbnails of scenes as they were when the bundled model was trained; see the script beside the file."""
    for entry in json.loads((Path(__file__).parent / "data" / "rendered.json").read_text("utf-8")):
        truth = render(rendered_golden.SCENES[entry["scene"]])
        assert len(truth.radii) == entry["lobes"]
        np.testing.assert_allclose(rendered_golden.thumbnail(truth.image), entry["thumbnail"], atol=1.0)


@pytest.mark.parametrize("particle", SOLIDS)
def test_a_solid_is_one_lobe_of_the_area_asked_for(particle):
    scene = Scene(
        particle=particle, shape=(160, 160), radius_px=30, spread=0, tilted_share=0, isolated=True, contrast_to_noise=0
    )
    for seed in range(3):
        truth = render(replace(scene, seed=seed))
        assert len(truth.radii) == 1
        assert truth.radii[0] == pytest.approx(30, rel=0.06)
        assert (truth.lobes > 0).sum() == pytest.approx(np.pi * truth.radii[0] ** 2)


def test_rods_are_longer_than_wide_and_keep_to_themselves():
    truth = render(Scene(particle="rod", shape=(400, 400), radius_px=18, packing=0.4, tilted_share=0, seed=3))
    whole = [p for p in regionprops(truth.lobes) if truth.visible_fraction[p.label - 1] > 0.99]
    assert np.median([p.axis_major_length / p.axis_minor_length for p in whole]) > 1.4
    assert np.median(truth.visible_fraction) > 0.95  # of rods that run over the border too


@pytest.mark.parametrize("particle", ["sphere", "dumbbell"])
def test_grains_belong_to_the_lobe_that_carries_them(particle):
    scene = Scene(particle=particle, shape=(160, 160), radius_px=25, isolated=True, spread=0, fusion=(0.8, 0.9))
    bare, covered = render(scene), render(replace(scene, surface="raspberry"))
    assert len(bare.radii) == len(covered.radii) == {"sphere": 1, "dumbbell": 2}[particle]
    assert 1.0 < covered.radii.max() / bare.radii.max() < 1.35
    assert covered.lobes[bare.lobes > 0].all()


@pytest.mark.parametrize("surface", ["rough", "porous", "janus", "core_shell"])
def test_what_a_lobe_carries_changes_its_look_but_not_its_truth(surface):
    scene = Scene(shape=(120, 160), radius_px=18, style="tem")
    bare, other = render(scene), render(replace(scene, surface=surface))
    assert (bare.lobes == other.lobes).all()
    assert (bare.image != other.image)[bare.lobes > 0].mean() > 0.5


@pytest.mark.parametrize("support", SUPPORTS[1:])
def test_nothing_of_a_support_is_a_lobe(support):
    empty = Scene(shape=(160, 200), max_particles=0, support=support, contrast_to_noise=0, brightness=0.3)
    for style in ("sem", "tem", "dark_field"):
        truth, plain = render(replace(empty, style=style)), render(replace(empty, style=style, support="plain"))
        assert not truth.lobes.any()
        assert np.abs(truth.image.astype(float) - plain.image).max() > 5


def test_particles_on_a_web_hang_on_its_threads():
    scene = Scene(shape=(300, 400), radius_px=5, packing=0.3, seed=1)
    held = render(replace(scene, support="lacey"))
    assert 0 < len(held.radii) < len(render(scene).radii)
    assert set(np.unique(held.particle_of_lobe)) == set(range(1, held.particles.max() + 1))


def test_truth_drifts_with_the_picture():
    scene = Scene(shape=(200, 200), radius_px=20, packing=0.4, contrast_to_noise=0, seed=2)
    still, moved = render(scene), render(replace(scene, drift=5.0))
    assert (still.lobes != moved.lobes).mean() > 0.02
    inside = moved.image[moved.lobes > 0].mean() - moved.image[moved.lobes == 0].mean()
    assert inside == pytest.approx(still.image[still.lobes > 0].mean() - still.image[still.lobes == 0].mean(), rel=0.2)
    for label, (x, _) in enumerate(moved.centres, 1):
        if moved.visible_fraction[label - 1] > 0.99:
            assert np.nonzero(moved.lobes == label)[1].mean() == pytest.approx(x, abs=3)


def test_layers_hide_what_lies_below():
    flat = Scene(shape=(200, 200), radius_px=16, packing=0.7)
    for particle in ("sphere", "cube"):
        one, three = (render(replace(flat, particle=particle, layers=n)) for n in (1, 3))
        assert len(three.radii) > len(one.radii)
        assert (three.visible_fraction < 0.9).mean() > (one.visible_fraction < 0.9).mean() + 0.1


def test_two_sizes_are_two_and_broad_ones_are_broad():
    scene = Scene(shape=(400, 400), radius_px=14, packing=0.5)
    two = render(replace(scene, sizes="bimodal")).radii
    assert ((two < 8) | (two > 11)).all()
    assert 0.4 < (two < 8).mean() < 0.8
    assert render(replace(scene, sizes="lognormal", spread=0.4)).radii.std() / 14 > 0.25


@pytest.mark.parametrize("artefact", [{"astigmatism": 3.0}, {"charging": 0.3}, {"vignetting": 0.8}, {"dose": 10.0}])
def test_artefacts_spoil_the_picture_and_not_the_truth(artefact):
    scene = Scene(shape=(160, 200), radius_px=15, packing=0.4)
    good, spoilt = render(scene), render(replace(scene, **artefact))
    assert (good.lobes == spoilt.lobes).all()
    assert np.abs(good.image.astype(float) - spoilt.image).mean() > 2
