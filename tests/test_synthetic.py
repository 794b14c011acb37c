"""The renderer's truth is true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from samcolloid_edge import SettingsError
from samcolloid_edge.engine.synthetic import PARTICLES, Scene, of_size, render

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
        scene = of_size(Scene(particle=particle, shape=(200, 200), pixel_size=4.0, spread=0.02), radius_nm=60)
        assert render(scene).radii.max() == pytest.approx(15, rel=0.1)


@pytest.mark.parametrize("wrong", [{"particle": "cube"}, {"shape": (0, 5)}, {"radius_px": 0}, {"pixel_size": -1}])
def test_a_senseless_scene_is_refused(wrong):
    with pytest.raises(SettingsError):
        Scene(**wrong)


def test_an_empty_scene_is_a_scene():
    truth = render(Scene(packing=0, max_particles=0, shape=(64, 64)))
    assert truth.truth().n_rows == 0
    assert not truth.lobes.any()
