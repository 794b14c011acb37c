"""A lobe on the border of tiles comes out once and whole, and hangs together with those of the other tile."""

from __future__ import annotations

import numpy as np
import pytest
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine import mosaic
from samcolloid_edge.engine.crop import NOTHING, Found
from samcolloid_edge.engine.preprocess import Tile
from samcolloid_edge.engine.ragged import Patches
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.engine.types import Area

LEFT = Tile(Area(0, 0, 40, 60), Area(0, 0, 40, 50))
RIGHT = Tile(Area(0, 40, 40, 100), Area(0, 50, 40, 100))


def boxes(*places, iou=0.9, particle=None):
    """Found lobes that fill their boxes (x0, y0, x1, y1), and the particle masks of all of them in ``particle``."""

    def patches(where, roles):
        where = np.array(where, np.int32).reshape(-1, 4)
        sizes = np.prod(where[:, 2:] - where[:, :2], 1)
        n = len(where)
        return Patches(
            points=where[:, :2].astype(np.float32), boxes=where, offsets=np.cumsum([0, *sizes]).astype(np.int64),
            logits=np.full(sizes.sum(), 5, np.float32), iou=np.full(n, iou, np.float32),
            stability=np.full(n, 0.8, np.float32), role=np.full(n, roles, np.uint8),
            zoom=np.ones(n, np.float32),
        )  # fmt: skip

    n = len(places)
    particles = patches([particle] * n if particle else [], 1)
    return Found(patches(places, 0), particles, np.arange(n if particle else 0), 1)


def test_a_lobe_in_two_tiles_is_one():
    whole = mosaic.Mosaic((40, 100), 0.5)
    whole.add(LEFT, boxes((5, 5, 15, 15), (44, 10, 54, 20)))
    whole.add(RIGHT, boxes((44, 11, 55, 21), (80, 5, 90, 15)))
    found = whole.finish()
    assert found.labels.max() == len(found.iou) == 3
    assert (found.labels[10:20, 44:54] == found.labels[15, 49]).all()
    assert np.bincount(found.labels.ravel())[1:].tolist() == [100, 100, 100]


def test_a_tile_places_only_what_lies_in_its_core():
    whole = mosaic.Mosaic((40, 100), 0.5)
    whole.add(RIGHT, boxes((40, 5, 43, 9)))
    assert whole.finish().labels.max() == 0


def test_the_lobes_of_a_particle_on_the_border_hang_together():
    whole = mosaic.Mosaic((40, 100), 0.5)
    particle = (41, 10, 59, 20)
    lobes = (41, 10, 49, 20), (51, 10, 59, 20)
    # The middle of one lobe lies in the core of the left tile, that of the other in the right one's.
    whole.add(LEFT, boxes(*lobes, particle=particle))
    whole.add(RIGHT, boxes(*lobes, particle=particle))
    found = whole.finish()
    assert found.labels.max() == 2
    yes, no = found.votes.of(np.array([0]), np.array([1]))
    assert yes[0] > 1.8 and no[0] < 0.1


def test_nothing_is_a_result():
    whole = mosaic.Mosaic((40, 100), 0.5)
    whole.add(LEFT, NOTHING)
    found = whole.finish()
    assert found.labels.shape == (40, 100)
    assert len(found.iou) == len(found.votes.pairs) == found.labels.max() == 0


@pytest.mark.parametrize("particle", ["sphere", "dumbbell"])
def test_tiles_leave_no_seams(particle):
    scene = Scene(seed=61, shape=(700, 1500), particle=particle, radius_px=17, packing=0.4, contrast_to_noise=12)
    truth = render(scene)
    result = Segmenter(device="cpu").analyze(truth.image, settings=Settings(zoom=1.0))
    assert result.counts["tiles"] == 2
    labels = result.masks.labels()
    n, m = len(truth.radii), labels.max()
    shared = np.bincount((truth.lobes.astype(np.int64) * (m + 1) + labels).ravel(), minlength=(n + 1) * (m + 1))
    shared = shared.reshape(n + 1, m + 1)
    iou = (shared / (shared.sum(1, keepdims=True) + shared.sum(0, keepdims=True) - shared))[1:, 1:]
    # The cores meet in column 750; those near it are found as well as all others.
    columns = np.array([np.flatnonzero((truth.lobes == i + 1).any(0)).mean() for i in range(n)])
    near = (abs(columns - 750) < 60) & (truth.visible_fraction > 0.7)
    assert near.sum() > 15
    assert (iou[near].max(1) > 0.7).mean() >= 0.93
    assert ((iou[near] > 0.3).sum(1) <= 1).all()
    edges = np.diff(labels[:, 748:752], axis=1) != 0
    assert edges[:, 1].mean() < 0.25
    assert (result.sets["lobes"] <= 3).mean() > 0.97


def test_what_reaches_all_edges_is_ground():
    area = Area(0, 0, 40, 60)
    parted = mosaic.disjoint(boxes((0, 0, 60, 40), (5, 5, 15, 15), (0, 0, 60, 39)), area, 0.5)
    assert parted.found.lobes.boxes.tolist() == [[5, 5, 15, 15], [0, 0, 60, 39]]
    noise = np.random.default_rng(0).normal(120, 1, (200, 300)).astype(np.uint8)
    assert len(Segmenter(device="cpu").analyze(noise).masks) == 0
