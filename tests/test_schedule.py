"""The adaptive orders ask a fraction of the points and find what all points find."""

from __future__ import annotations

import numpy as np
import pytest
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine import schedule
from samcolloid_edge.engine.synthetic import Scene, render

SCENES = (
    Scene(seed=51, shape=(384, 512), particle="sphere", radius_px=18, packing=0.5),
    Scene(seed=52, shape=(384, 512), particle="dumbbell", radius_px=14, packing=0.6),
    Scene(seed=53, shape=(300, 420), particle="trimer", radius_px=20, packing=0.3),
)


def same(one, two, least=0.9):
    """Labels of one image that have a mask of at least this IoU in the other."""
    n, m = one.max(), two.max()
    shared = np.bincount((one.astype(np.int64) * (m + 1) + two).ravel(), minlength=(n + 1) * (m + 1)).reshape(n + 1, -1)
    union = shared.sum(1, keepdims=True) + shared.sum(0, keepdims=True) - shared
    return int((shared / union)[1:, 1:].max(1, initial=0).__ge__(least).sum())


@pytest.mark.parametrize("scene", SCENES, ids=lambda s: s.particle)
def test_best_first_finds_what_all_points_find(scene):
    segmenter = Segmenter(device="cpu")
    image = render(scene).image
    exact, adaptive = (segmenter.analyze(image, settings=Settings(schedule=s, zoom=1.0)) for s in ("exact", "adaptive"))
    assert adaptive.counts["prompts"] < exact.counts["prompts"] / 6
    n = exact.lobes.n_rows
    assert adaptive.lobes.n_rows == pytest.approx(n, abs=0.02 * n)
    assert same(exact.masks.labels(), adaptive.masks.labels()) >= 0.98 * n


class Discs:
    """A lattice on which discs are to be found: every point in one gives its disc."""

    def __init__(self, side, discs):
        self.points = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2).astype(np.float32)
        apart = np.linalg.norm(self.points[:, None] - np.array([d[:2] for d in discs], float), axis=2)
        self.inside = apart <= np.array([d[2] for d in discs])
        self.scores = np.where(self.inside, 0.95 - 0.01 * apart, 0).max(1).astype(np.float32)
        self.asked, self.scored, self.found = [], [], set()

    def score(self, index):
        self.scored += index.tolist()
        return self.scores[index]

    def ask(self, index):
        self.asked += index.tolist()
        before = len(self.found)
        self.found |= set(np.nonzero(self.inside[index])[1].tolist())
        return len(self.found) - before

    def held(self, index):
        return self.inside[index][:, sorted(self.found)].any(1)


DISCS = [(5, 5, 3), (30, 8, 6), (20, 30, 9), (36, 37, 1)]


def test_the_best_point_of_every_disc_is_asked_and_hardly_any_other():
    discs = Discs(40, DISCS)
    schedule.best_first(discs.score, (40, 40), 0.5, discs.ask, discs.held)
    # The last disc is a point and its four neighbours.
    assert discs.found == {0, 1, 2, 3}
    assert set(discs.asked) == {5 * 40 + 5, 8 * 40 + 30, 30 * 40 + 20, 37 * 40 + 36}
    assert len(discs.asked) == len(set(discs.asked))
    assert len(discs.scored) == len(set(discs.scored)) < 1200


def test_every_point_above_the_threshold_is_asked_where_nothing_holds_it():
    discs = Discs(12, [(6, 6, 4)])
    schedule.best_first(discs.score, (12, 12), 0.5, discs.ask, lambda index: np.zeros(len(index), bool))
    assert sorted(discs.asked) == np.flatnonzero(discs.scores > 0.5).tolist()


def test_waves_skip_what_is_held_and_where_there_is_no_structure():
    discs = Discs(40, DISCS)
    structure = discs.inside.any(1)
    schedule.coarse_to_fine((40, 40), structure, discs.ask, discs.held)
    assert discs.found == {0, 1, 2, 3}
    assert len(discs.asked) == len(set(discs.asked)) < 250
    everywhere = Discs(40, DISCS)
    schedule.coarse_to_fine((40, 40), np.ones(1600, bool), everywhere.ask, everywhere.held)
    assert everywhere.found == discs.found
    assert len(everywhere.asked) > len(discs.asked)


def test_waves_end_where_a_finer_one_finds_nothing():
    nothing = Discs(40, [(-9, -9, 1)])
    schedule.coarse_to_fine((40, 40), np.ones(1600, bool), nothing.ask, nothing.held)
    assert len(nothing.asked) == 400


def test_structure_is_where_a_particle_could_be():
    truth = render(Scene(seed=54, shape=(256, 384), particle="sphere", radius_px=20, packing=0.1))
    points = np.stack(np.meshgrid(np.arange(4, 384, 8), np.arange(4, 256, 8)), -1).reshape(-1, 2).astype(np.float32)
    structure = schedule.structured(truth.image, points, 8.0)
    x, y = points.astype(int).T
    around = [truth.lobes[max(b - 8, 0) : b + 9, max(a - 8, 0) : a + 9] > 0 for a, b in zip(x, y, strict=True)]
    near, inside = (np.array([test(piece) for piece in around]) for test in (np.any, np.all))
    edge = near & ~inside
    assert structure[edge].mean() > 0.9
    assert structure[~near].mean() < 0.35
    assert not schedule.structured(np.full((64, 64), 80, np.uint8), points[:5], 8.0).any()
