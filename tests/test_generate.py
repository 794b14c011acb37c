"""Lobes that a particle mask vouches for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine.matching import mask_overlaps, match
from samcolloid_edge.engine.synthetic import Scene, render

WITHOUT = Settings(inside_iou_thresh=1.0)


def test_they_come_to_the_others_and_lie_between_them() -> None:
    truth = render(Scene(seed=63, shape=(300, 400), particle="trimer", radius_px=14, packing=0.6, contrast_to_noise=3,
                         fusion=(0.5, 0.7)))  # fmt: skip
    segmenter = Segmenter(device="cpu")
    unfilled = (replace(settings, fill_particles=False, join_pieces=False) for settings in (WITHOUT, Settings()))
    plain, all_of_them = (segmenter.analyze(truth.image, settings=settings).masks for settings in unfilled)
    pairs = match(mask_overlaps(plain.labels(), all_of_them.labels()), 0.7)
    assert len(pairs) >= len(plain) - 1 and len(all_of_them) > len(plain) + 2
    new = np.setdiff1d(np.arange(len(all_of_them)), pairs[:, 1])
    assert all_of_them.iou[new].min() >= Settings().inside_iou_thresh
    assert all_of_them.stability[new].min() >= Settings().inside_stability_thresh
    before, after = plain.labels(), all_of_them.labels()
    for i in new:
        assert (before[after == i + 1] == 0).mean() > 0.5


def test_single_spheres_lack_none() -> None:
    truth = render(Scene(seed=5, shape=(300, 400), particle="sphere", radius_px=18, packing=0.3, contrast_to_noise=12))
    segmenter = Segmenter(device="cpu")
    plain, all_of_them = (segmenter.analyze(truth.image, settings=s).masks.labels() for s in (WITHOUT, Settings()))
    assert (plain == all_of_them).all()
