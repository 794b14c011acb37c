"""Every kind by name, the mixture of all, and the sheet that shows them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from samcolloid_edge import SettingsError
from samcolloid_edge.engine import synthetic_gallery
from samcolloid_edge.engine.synthetic import render
from samcolloid_edge.engine.synthetic_kinds import KINDS, everything, kind


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_renders_and_its_truth_belongs_together(name):
    truth = render(kind(name, seed=2, shape=(96, 140)))
    n = len(truth.radii)
    assert truth.image.shape == truth.lobes.shape == (96, 140)
    assert set(np.unique(truth.lobes)) - {0} == set(range(1, n + 1))
    assert set(truth.particle_of_lobe) == set(range(1, int(truth.particles.max()) + 1))
    assert n == 0 if name.startswith("empty") or name == "noise" else n > 0 or name == "isolated"
    assert (truth.visible_fraction <= 1).all()


def test_fields_that_are_given_go_over_those_of_the_kind():
    assert kind("large", radius_px=50.0).radius_px == 50
    assert kind("large").radius_px == 120


def test_a_kind_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(SettingsError, match="raspberry"):
        kind("cat")


def test_the_mixture_has_every_kind_often_enough():
    scenes = [everything(1_000_000 + i) for i in range(2000)]
    for field, count in (("particle", 9), ("surface", 6), ("style", 6), ("support", 7), ("sizes", 3), ("layers", 3)):
        drawn = Counter(getattr(s, field) for s in scenes)
        assert len(drawn) == count
        assert min(drawn.values()) >= 0.03 * len(scenes)
    assert np.mean([s.max_particles == 0 for s in scenes]) == pytest.approx(0.08, abs=0.02)
    radii = np.array([s.radius_px for s in scenes])
    assert (radii < 5).mean() > 0.05
    assert (radii > 60).mean() > 0.08
    assert everything(7) == everything(7) != everything(8)


def test_shares_of_the_mixture_are_as_asked_for():
    plain = [everything(1_000_000 + i) for i in range(4000)]
    shares = [everything(1_000_000 + i, empty=0.3, noise=0.01, porous=0.2, webs=0.25, rough_ground=0.7)
              for i in range(4000)]  # fmt: skip
    empty = [s for s in shares if s.max_particles == 0]
    others = [s for s in shares if s.max_particles != 0]
    assert len(empty) / len(shares) == pytest.approx(0.3, abs=0.03)
    assert np.mean([s.surface == "porous" for s in shares]) == pytest.approx(0.2, abs=0.04)
    assert np.mean([s.support != "plain" for s in empty]) == pytest.approx(0.8, abs=0.04)
    webs = [s for s in others if s.support == "lacey" and s.style in ("tem", "dark_field")]
    assert np.mean([s.surface == "porous" for s in plain]) == pytest.approx(0.07, abs=0.025)
    # Some lie on lacey carbon in transmission anyway.
    anyway = np.mean([s.support == "lacey" and s.style in ("tem", "dark_field") for s in plain])
    assert len(webs) / len(others) - anyway == pytest.approx(0.25, abs=0.04)
    assert anyway < 0.05


def test_scenes_of_the_mixture_render():
    for seed in range(10):
        truth = render(everything(seed, (128, 128), 40.0))
        assert truth.image.shape == (128, 128)


def test_the_sheet_shows_every_kind_beside_its_truth(monkeypatch):
    monkeypatch.setattr(synthetic_gallery, "KINDS", {"sphere": KINDS["sphere"], "empty": KINDS["empty"]})
    sheet = synthetic_gallery.gallery(3)
    height, width = synthetic_gallery.TILE
    assert sheet.shape == (height + synthetic_gallery.LINE, synthetic_gallery.COLUMNS * 2 * width, 3)
    truth = render(kind("sphere", seed=3, shape=(height, width)))
    assert (sheet[:height, :width, 0] == truth.image).all()
    shown = sheet[:height, width : 2 * width].any(2)
    assert (shown == (truth.lobes > 0)).mean() > 0.9  # but for the white outlines
    assert not sheet[:height, 3 * width : 4 * width].any()
