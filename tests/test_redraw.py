"""Bitten masks, drawn again at a coarser zoom."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine import redraw
from samcolloid_edge.engine.matching import mask_overlaps, match
from samcolloid_edge.engine.outline import of_labels
from samcolloid_edge.engine.synthetic import Rendered, Scene, render
from samcolloid_edge.engine.types import Result
from test_masks import patches

RADIUS = 90.0


@pytest.fixture(scope="module")
def truth() -> Rendered:
    return render(Scene(seed=21, shape=(512, 640), particle="sphere", radius_px=RADIUS, packing=0.3, spread=0.05,
                        ellipticity=0.0, contrast_to_noise=8))  # fmt: skip


@pytest.fixture(scope="module")
def plain(truth: Rendered) -> Result:
    settings = Settings(zoom=1.0, redraw_solidity=0.0, fill_particles=False)
    return Segmenter(device="cpu").analyze(truth.image, settings=settings)


def ious(truth: Rendered, labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Of each true lobe that is well seen, the largest IoU with one of ours."""
    overlaps = mask_overlaps(truth.lobes, labels)
    best = np.zeros(overlaps.lengths[0])
    np.maximum.at(best, overlaps.first, overlaps.iou)
    return best[truth.visible_fraction > 0.3]


def test_their_masks_get_better_and_no_lobe_is_lost(truth: Rendered, plain: Result) -> None:
    redrawn = Segmenter(device="cpu").analyze(truth.image, settings=Settings(zoom=1.0, fill_particles=False))
    assert plain.counts["redrawn"] == 0 and redrawn.counts["redrawn"] > 0
    before, after = ious(truth, plain.masks.labels()), ious(truth, redrawn.masks.labels())
    assert after.min() > 0.9 and after.mean() > before.mean()
    pairs = match(mask_overlaps(plain.masks.labels(), redrawn.masks.labels()), redraw.ALIKE)
    assert len(pairs) == len(redrawn.masks)
    coarse = redrawn.outlines.zoom[pairs[:, 1]] < 1
    assert coarse.sum() == redrawn.counts["redrawn"]
    rise = redrawn.lobes["solidity"][pairs[:, 1]] - plain.lobes["solidity"][pairs[:, 0]]
    assert (rise[coarse] > 0).all() and rise[~coarse].max() < 0.01


def test_the_paper_s_preset_redraws_none_and_whole_masks_stay_as_they_are(truth: Rendered) -> None:
    assert Settings.preset("published").redraw_solidity == 0
    small = render(Scene(seed=5, shape=(300, 400), particle="sphere", radius_px=18, packing=0.3, contrast_to_noise=12))
    segmenter = Segmenter(device="cpu")
    plain, redrawn = (segmenter.analyze(small.image, settings=Settings(redraw_solidity=s)) for s in (0.0, 0.98))
    alike = redrawn.outlines.zoom == redrawn.zoom
    assert alike.mean() > 0.9
    unchanged = np.isin(redrawn.masks.labels(), np.flatnonzero(alike) + 1)
    assert (plain.masks.labels()[unchanged] > 0).all()


def test_redrawn_ones_are_counted_by_their_zoom() -> None:
    outlines = of_labels(np.array([[1, 0, 2, 0, 3]], np.int32))
    assert redraw.count_redrawn(outlines, 2.0) == 0  # no model drew them
    outlines.zoom[:] = 2.0, 1.0, 1.98  # the last one's tile was rounded to whole pixels
    assert redraw.count_redrawn(outlines, 2.0) == 1


def test_the_deepest_pixel_of_a_bitten_mask_lies_in_its_large_part() -> None:
    def ell(i: int, height: int, width: int) -> NDArray[np.float32]:
        mask = np.full((height, width), -1, np.float32)
        mask[:, : width // 4] = mask[height // 2 :] = 1
        return mask

    x, y = redraw._deepest(patches([(10, 20, 50, 60)], ell), 0)
    assert 15 < x < 45 and 42 < y < 58


def test_the_most_alike_mask_is_taken_where_it_is_solid_enough() -> None:
    lobes = patches([(0, 0, 20, 20)], lambda *_, **__: np.ones((20, 20)))
    others = patches([(40, 0, 60, 20), (0, 0, 20, 19), (0, 0, 20, 30)], lambda i, h, w: np.ones((h, w)))
    assert redraw._better(lobes, 0, others, 0.5) == 1
    assert redraw._better(lobes, 0, others[:1], 0.5) == redraw._better(lobes, 0, others, 1.01) == -1
    ring = patches([(0, 0, 20, 20)], lambda i, h, w: np.where(np.abs(np.indices((h, w)) - 9.5).max(0) > 8, 1, -1))
    assert redraw._better(lobes, 0, ring, 0.5) == -1  # its box is the same
