from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import reference_upsample as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_builders import smooth, whole
from samcolloid_edge.engine import kernels_upsample, masks, upsample
from samcolloid_edge.engine.ragged import Clips
from samcolloid_edge.engine.types import Area, Candidates, Frame

SEED = st.integers(0, 2**32 - 1)
SIDE = st.integers(1, 60)


@pytest.fixture(params=[kernels_upsample, reference], ids=["kernel", "reference"])
def loops(request, monkeypatch):
    """The functions under test, over the compiled loops and over their NumPy twins."""
    monkeypatch.setattr(upsample, "kernels", request.param)


def upsampled(found, frame, stride, bounds, offset=1.0):
    """Patches, and which of the candidates they are."""
    clips, kept = upsample.clip(found, frame, stride, bounds, offset)
    return upsample.patches(clips, frame, stride), kept


def candidates(logits, origin=None):
    n = len(logits)
    return Candidates(
        points=np.arange(2 * n, dtype=np.float32).reshape(n, 2),
        logits=logits,
        origin=np.zeros((n, 2), np.int32) if origin is None else np.array(origin, np.int32),
        iou=np.linspace(0.5, 0.9, n, dtype=np.float32),
        stability=np.linspace(0.6, 0.8, n, dtype=np.float32),
        role=np.arange(n, dtype=np.uint8) % 3,
    )


def as_sam(logits, stride, padded, model_shape, shape):
    """(N, h, w) logits at the size of the image by SAM's ``postprocess_masks``."""
    import torch
    from torch.nn.functional import interpolate

    low = torch.from_numpy(logits)[:, None]
    large = interpolate(low, padded, mode="bilinear", align_corners=False)
    assert padded == (low.shape[2] * stride, low.shape[3] * stride)
    large = large[..., : model_shape[0], : model_shape[1]]
    return interpolate(large, shape, mode="bilinear", align_corners=False)[:, 0].numpy()


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize(
    ("shape", "model_shape", "grid", "stride"),
    [
        ((48, 64), (48, 64), (12, 16), 4),
        ((45, 61), (45, 61), (12, 16), 4),
        ((37, 53), (45, 64), (16, 16), 4),
        ((100, 75), (64, 48), (16, 16), 4),
        ((23, 91), (16, 64), (8, 8), 8),
        ((30, 41), (30, 41), (30, 41), 1),
        ((1, 9), (7, 64), (16, 16), 4),
        ((13, 17), (26, 34), (9, 12), 3),
    ],
)
def test_upsampled_masks_are_those_of_sam(shape, model_shape, grid, stride):
    logits = smooth(np.random.default_rng(1), 6, *grid)
    expected = as_sam(logits, stride, (grid[0] * stride, grid[1] * stride), model_shape, shape)
    area = Area(5, 11, 5 + shape[0], 11 + shape[1])
    found, kept = upsampled(candidates(logits), Frame(area, model_shape), stride, area)
    assert kept.tolist() == [i for i in range(6) if (expected[i] > 0).any()]
    for k, i in enumerate(kept):
        x0, y0, x1, y1 = found.boxes[k] - [11, 5, 11, 5]
        np.testing.assert_allclose(found.patch(k), expected[i, y0:y1, x0:x1], atol=2e-5)
        outside = expected[i].copy()
        outside[y0:y1, x0:x1] = 0
        assert outside.max() <= 1e-5
        inside = found.patch(k) > 0
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("offset", [0.3, 1.0])
@pytest.mark.parametrize(("shape", "model_shape"), [((37, 53), (45, 64)), ((100, 75), (64, 48)), ((48, 64), (48, 64))])
def test_the_stability_of_upsampled_masks_is_sams(shape, model_shape, offset):
    from segment_anything.utils.amg import calculate_stability_score
    from torch import from_numpy

    logits = 2 * smooth(np.random.default_rng(2), 8, 16, 16)
    logits[3] = -abs(logits[3]) - 0.01  # nothing at 0, something at -offset
    large = as_sam(logits, 4, (64, 64), model_shape, shape)
    expected = calculate_stability_score(from_numpy(large), 0.0, offset).numpy()
    area = Area(5, 11, 5 + shape[0], 11 + shape[1])
    frame = Frame(area, model_shape)
    found, kept = upsampled(candidates(logits), frame, 4, area, offset)
    assert 3 not in kept
    np.testing.assert_allclose(found.stability, expected[kept], rtol=2e-3)


@pytest.mark.usefixtures("loops")
def test_a_window_gives_what_the_whole_tile_gives_where_its_mask_fits():
    rng = np.random.default_rng(2)
    tile = np.full((1, 24, 30), -3, np.float32)
    tile[:, 9:14, 12:19] = rng.normal(1, 1, (5, 7))
    window = tile[:, 6:17, 8:22]
    frame = Frame(Area(0, 0, 71, 89), (96, 120))
    a, _ = upsampled(candidates(tile), frame, 4, frame.area)
    b, _ = upsampled(candidates(window, [[8, 6]]), frame, 4, frame.area)
    assert a.boxes.tolist() == b.boxes.tolist()
    np.testing.assert_allclose(a.logits, b.logits, atol=1e-6)


@pytest.mark.usefixtures("loops")
def test_a_patch_ends_where_its_window_ends():
    frame = Frame(Area(100, 200, 180, 280), (80, 80))
    found, _ = upsampled(candidates(np.ones((1, 5, 6), np.float32), [[3, 7]]), frame, 4, frame.area)
    assert found.boxes.tolist() == [[212, 128, 236, 148]]
    np.testing.assert_allclose(found.logits, 1, rtol=1e-6)


@pytest.mark.usefixtures("loops")
def test_a_window_may_reach_over_the_tile():
    frame = Frame(Area(0, 0, 16, 16), (16, 16))
    ones = candidates(np.ones((2, 6, 6), np.float32), [[-3, -2], [2, 1]])
    found, _ = upsampled(ones, frame, 4, frame.area)
    assert found.boxes.tolist() == [[0, 0, 12, 16], [8, 4, 16, 16]]


@pytest.mark.usefixtures("loops")
def test_patches_are_clipped_to_the_bounds_and_empty_ones_dropped():
    logits = np.ones((3, 4, 4), np.float32)
    logits[1] = -1
    frame = Frame(Area(10, 20, 26, 36), (16, 16))
    found, kept = upsampled(candidates(logits), frame, 4, Area(12, 20, 40, 30))
    assert kept.tolist() == [0, 2]
    assert found.boxes.tolist() == [[20, 12, 30, 26]] * 2
    assert found.points.tolist() == [[20, 11], [24, 15]]
    assert found.role.tolist() == [0, 2]
    nothing, kept = upsampled(candidates(logits), frame, 4, Area(0, 0, 5, 5))
    assert len(nothing) == len(kept) == 0


@pytest.mark.usefixtures("loops")
def test_no_candidates_give_no_patches():
    frame = Frame(Area(0, 0, 8, 8), (8, 8))
    found, kept = upsampled(candidates(np.empty((0, 4, 4), np.float32)), frame, 2, frame.area)
    assert len(found) == len(kept) == 0


@settings(deadline=None)
@given(SEED, st.integers(1, 6), SIDE, SIDE, SIDE, SIDE)
def test_upsampling_kernel_is_its_reference(seed, stride, height, width, model_height, model_width):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-0.5, 1, (4, 5, 6)).astype(np.float32)
    origin = rng.integers(-3, 8, (4, 2))
    frame = Frame(Area(0, 0, height, width), (model_height, model_width))
    found, kept = upsampled(candidates(logits, origin), frame, stride, frame.area)
    x = upsample._Axis.of(width, model_width, frame.scale[0], stride)
    y = upsample._Axis.of(height, model_height, frame.scale[1], stride)
    np.testing.assert_allclose(x.weights.sum(1), 1, rtol=1e-6)
    for i in range(4):
        everywhere = np.array([0, 0, width, height])
        full = reference.evaluated(logits[i], origin[i], everywhere, x.first, x.weights, y.first, y.weights)
        for axis, along, start, side in ((0, y, origin[i, 1], 5), (1, x, origin[i, 0], 6)):
            out = (along.centre < start) | (along.centre >= start + side)
            full[(out, slice(None)) if axis == 0 else (slice(None), out)] = 0
        k = np.flatnonzero(kept == i)
        ours = whole(found, k[0], full.shape) if len(k) else np.zeros_like(full)
        np.testing.assert_allclose(np.maximum(ours, 0), np.maximum(full, 0), atol=1e-5)


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("seed", range(5))
def test_a_point_is_held_by_the_smallest_mask_around_it(seed):
    rng = np.random.default_rng(seed)
    frame = Frame(Area(10, 20, 90, 120), (96, 120))
    clips, _ = upsample.clip(candidates(smooth(rng, 6, 24, 30)), frame, 4, frame.area, 1.0)
    points = np.stack([rng.integers(20, 120, 300), rng.integers(10, 90, 300)], 1).astype(np.float32)
    held = upsample.holders(clips, frame, 4, points)
    patches = upsample.patches(clips, frame, 4)
    inside = np.array([whole(patches, i, (90, 120)) > 0 for i in range(len(clips))])
    size = np.prod(clips.boxes[:, 2:] - clips.boxes[:, :2], 1)
    for (x, y), holder in zip(points.astype(int), held, strict=True):
        holding = np.flatnonzero(inside[:, y, x])
        assert (holder == -1) == (len(holding) == 0)
        if len(holding):
            assert holder in holding
            assert size[holder] == size[holding].min()


def test_clips_are_small_and_join_again():
    logits = np.full((2, 64, 64), -5, np.float32)
    logits[0, 10:20, 30:34] = 2
    logits[1, 60:, 60:] = 2
    frame = Frame(Area(0, 0, 256, 256), (256, 256))
    clips, _ = upsample.clip(candidates(logits), frame, 4, frame.area, 1.0)
    assert clips.origin.tolist() == [[28, 8], [58, 58]]
    assert clips.size.tolist() == [[8, 14], [6, 6]]
    again = Clips.concatenate([clips[np.array([1])], clips[np.array([True, False])], Clips.empty()])
    assert again.boxes.tolist() == clips.boxes[::-1].tolist()
    assert np.array_equal(upsample.patches(again[::-1], frame, 4).logits, upsample.patches(clips, frame, 4).logits)


@pytest.mark.usefixtures("loops")
def test_a_window_cuts_a_mask_only_where_the_tile_goes_on_behind_it():
    logits = np.full((4, 5, 6), -1, np.float32)
    logits[0, 1:4, 1:5] = 1
    logits[1, 4, 2] = 1
    logits[2, 2, 0] = 1
    inside = replace(candidates(logits), origin=np.full((4, 2), 3, np.int32))
    assert masks.cut_by_window(inside, (20, 20)).tolist() == [False, True, True, False]
    assert masks.cut_by_window(inside, (8, 20)).tolist() == [False, False, True, False]
    assert masks.cut_by_window(candidates(logits), (20, 20)).tolist() == [False, True, False, False]


def test_the_deepest_point_of_a_disc_is_its_middle_also_where_labels_touch():
    labels = np.zeros((30, 40), np.int32)
    labels[5:16, 3:14] = 1
    labels[5:16, 14:25] = 2
    assert masks.deepest_points(labels).tolist() == [[8, 10], [19, 10]]
