from __future__ import annotations

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_builders import smooth, whole
from samcolloid_edge.engine import kernels, masks
from samcolloid_edge.engine.ragged import Patches
from samcolloid_edge.engine.types import Area

SEED = st.integers(0, 2**32 - 1)


@pytest.fixture(params=[kernels, reference], ids=["kernel", "reference"])
def loops(request, monkeypatch):
    """The functions under test, over the compiled loops and over their NumPy twins."""
    monkeypatch.setattr(masks, "kernels", request.param)


def patches(boxes, fill):
    """Patches with logits from ``fill(i, height, width)``."""
    boxes = np.array(boxes, np.int32).reshape(-1, 4)
    parts = [
        np.asarray(fill(i, y1 - y0, x1 - x0), np.float32).reshape(y1 - y0, x1 - x0).ravel()
        for i, (x0, y0, x1, y1) in enumerate(boxes)
    ]
    n = len(boxes)
    return Patches(
        points=np.zeros((n, 2), np.float32),
        boxes=boxes,
        offsets=np.cumsum([0, *(len(p) for p in parts)]).astype(np.int64),
        logits=np.concatenate([np.empty(0, np.float32), *parts]),
        iou=np.linspace(0.5, 0.9, n, dtype=np.float32),
        stability=np.full(n, 0.9, np.float32),
        role=np.zeros(n, np.uint8),
        zoom=np.ones(n, np.float32),
    )


def some_patches(rng, n, shape=(40, 50)):
    boxes = []
    for _ in range(n):
        x0, y0 = rng.integers(0, shape[1] - 12), rng.integers(0, shape[0] - 12)
        boxes.append([x0, y0, x0 + rng.integers(3, 13), y0 + rng.integers(3, 13)])
    return patches(boxes, lambda _i, h, w: np.round(rng.normal(0.7, 1, (h, w)), 1))


@pytest.mark.usefixtures("loops")
def test_stability_is_that_of_sam():
    import torch
    from segment_anything.utils.amg import calculate_stability_score

    logits = np.random.default_rng(0).normal(size=(20, 7, 9)).astype(np.float32)
    theirs = calculate_stability_score(torch.from_numpy(logits), 0.0, 1.0)
    ours = masks.stability(logits, 1.0)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6)


@pytest.mark.usefixtures("loops")
def test_a_mask_without_pixels_has_stability_zero():
    assert masks.stability(np.full((1, 3, 3), -5, np.float32), 1.0).tolist() == [0.0]


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("min_area", [3, 8, 1000])
def test_small_regions_are_removed_as_sam_does(seed, min_area):
    from segment_anything.utils.amg import remove_small_regions

    layers = smooth(np.random.default_rng(seed), 5, 20, 24)
    layers[:, [0, -1]] = layers[:, :, [0, -1]] = -1
    inside = [layer > 0 for layer in layers if (layer > 0).any()]
    before = patches([[30, 10, 54, 30]] * 5, lambda i, _h, _w: layers[i])
    after, changed = masks.remove_small_regions(before, min_area, Area(0, 0, 120, 140))
    assert len(inside) == len(after) == 5
    for i in range(5):
        wide = np.pad(inside[i], 40)
        expected, filled = remove_small_regions(wide, min_area, "holes")
        expected, removed = remove_small_regions(expected, min_area, "islands")
        assert changed[i] == (filled or removed)
        got = whole(after, i, (120, 140)) > 0
        assert np.array_equal(got[10:30, 30:54], expected[40:-40, 40:-40])
        # The padded mask begins 10 px right of and 30 px below where it would in the image.
        tight = reference.tight_box(expected) - np.array([10, 30, 10, 30])
        assert np.array_equal(after.tight[i], tight)
        # A rim stays, where there was one.
        rim = tight + np.array([-3, -3, 3, 3])
        assert np.array_equal(after.boxes[i], np.clip(rim, [30, 10, 30, 10], [54, 30, 54, 30]))
        same = inside[i] & expected[40:-40, 40:-40]
        assert np.array_equal(whole(after, i, (120, 140))[10:30, 30:54][same], layers[i][same])


@pytest.mark.parametrize("seed", range(4))
def test_the_edge_of_the_area_closes_holes_as_sams_image_does(seed):
    from segment_anything.utils.amg import remove_small_regions

    layers = smooth(np.random.default_rng(seed), 4, 20, 24)
    before = patches([[5, 7, 29, 27]] * 4, lambda i, _h, _w: layers[i])
    after, changed = masks.remove_small_regions(before, 40, Area(7, 5, 27, 29))
    for i in range(4):
        expected, filled = remove_small_regions(layers[i] > 0, 40, "holes")
        expected, removed = remove_small_regions(expected, 40, "islands")
        assert np.array_equal(whole(after, i, (30, 40))[7:27, 5:29] > 0, expected)
        assert changed[i] == (filled or removed)


def test_nothing_is_removed_below_one_pixel():
    before = some_patches(np.random.default_rng(0), 3)
    after, changed = masks.remove_small_regions(before, 0, Area(0, 0, 200, 200))
    assert np.array_equal(after.logits, before.logits)
    assert not changed.any()


@pytest.mark.usefixtures("loops")
def test_take_and_concatenate_put_patches_together_again():
    found = some_patches(np.random.default_rng(3), 7)
    chosen = np.array([2, 0]), np.arange(7) > 3, np.array([], int)
    joined = Patches.concatenate([found[index] for index in chosen])
    for k, i in enumerate([2, 0, 4, 5, 6]):
        assert joined.boxes[k].tolist() == found.boxes[i].tolist()
        assert np.array_equal(joined.patch(k), found.patch(i))
        assert joined.iou[k] == found.iou[i]
    assert len(Patches.concatenate([])) == 0


@pytest.mark.usefixtures("loops")
def test_a_patch_that_better_ones_hold_is_dropped():
    found = patches([[0, 0, 4, 4], [2, 0, 6, 4], [1, 0, 5, 4]], lambda _i, h, w: np.ones((h, w)))
    got = masks.resolve(found, np.array([0, 1, 2]), (5, 7), max_overlap=0.5)
    assert got.kept.tolist() == [0, 1]
    assert got.labels.dtype == np.int32
    assert got.labels[0].tolist() == [1, 1, 1, 1, 2, 2, 0]
    assert masks.resolve(found, np.array([2, 1, 0]), (5, 7), max_overlap=0.2).kept.tolist() == [2]


@pytest.mark.usefixtures("loops")
def test_a_pixel_goes_to_the_higher_logit_and_what_is_cut_off_to_the_background():
    # A bar that a stronger, narrower one crosses right of its middle: the right end is cut off.
    found = patches([[0, 2, 9, 4], [5, 0, 7, 6]], lambda i, h, w: np.full((h, w), 1 + i))
    labels, kept, cut = masks.resolve(found, np.array([0, 1]), (6, 9), max_overlap=0.5)
    assert kept.tolist() == [0, 1]
    assert cut == 4
    assert labels[2].tolist() == [1, 1, 1, 1, 1, 2, 2, 0, 0]


@pytest.mark.usefixtures("loops")
def test_a_patch_left_without_pixels_is_no_longer_kept():
    found = patches([[1, 1, 3, 3], [0, 0, 5, 5], [5, 0, 7, 2]], lambda i, h, w: np.full((h, w), 1 + i))
    labels, kept, cut = masks.resolve(found, np.array([0, 1, 2]), (5, 7), max_overlap=0.5)
    assert kept.tolist() == [1, 2]
    assert cut == 0
    assert sorted(set(labels.ravel().tolist())) == [0, 1, 2]


@settings(deadline=None)
@given(SEED, st.integers(0, 12), st.floats(0, 1))
def test_resolving_kernels_are_their_references(seed, n, max_overlap):
    rng = np.random.default_rng(seed)
    found, order = some_patches(rng, n), rng.permutation(n)
    arguments = found.boxes, found.offsets, found.logits, order, 40, 50, max_overlap
    labels, kept = kernels.paint(*arguments)
    expected_labels, expected_kept = reference.paint(*arguments)
    assert np.array_equal(labels, expected_labels)
    assert kept.tolist() == expected_kept.tolist()
    parts = kernels.largest_parts(labels, len(kept))
    assert np.array_equal(parts, reference.largest_parts(labels, len(kept)))


@pytest.mark.usefixtures("loops")
def test_of_equal_parts_the_first_stays():
    labels = np.array([[2, 0, 1, 0, 1, 1], [2, 0, 1, 0, 0, 0], [0, 2, 0, 0, 2, 2]], np.int32)
    expected = np.array([[2, 0, 1, 0, 0, 0], [2, 0, 1, 0, 0, 0], [0, 2, 0, 0, 0, 0]])
    assert np.array_equal(masks.kernels.largest_parts(labels, 2), expected)


@pytest.mark.usefixtures("loops")
def test_boxes_outside_the_image_are_refused():
    found = patches([[0, 0, 4, 4]], lambda _i, h, w: np.ones((h, w)))
    with pytest.raises(ValueError, match="outside"):
        masks.resolve(found, np.array([0]), (4, 3), 0.5)


@settings(deadline=None)
@given(SEED, st.integers(1, 9), st.integers(1, 9), st.integers(0, 5))
def test_labels_come_back_from_their_runs(seed, height, width, n):
    rng = np.random.default_rng(seed)
    _, compact = np.unique(rng.integers(0, n + 1, (height, width)), return_inverse=True)
    labels = compact.reshape(height, width).astype(np.int32)
    count = int(labels.max())
    scores = rng.random((2, count)).astype(np.float32)
    found = masks.from_labels(labels, *scores)
    assert np.array_equal(found.labels(), labels)
    assert np.array_equal(found.iou, scores[0])
    boxes, segments = reference.label_boxes(labels, count)
    runs, offsets = reference.run_lengths(labels, boxes, segments)
    assert np.array_equal(found.boxes, boxes)
    assert np.array_equal(found.runs, runs)
    assert np.array_equal(found.offsets, offsets)


@pytest.mark.usefixtures("loops")
def test_no_labels_give_empty_masks():
    found = masks.from_labels(np.zeros((4, 6), np.int32), np.empty(0), np.empty(0))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert np.array_equal(found.labels(), np.zeros((4, 6)))


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("labels", [[[0, 2]], [[0, 3]], [[-1, 1]]])
def test_labels_that_are_not_compact_are_refused(labels):
    with pytest.raises(ValueError, match="from_labels"):
        masks.from_labels(np.array(labels), np.ones(2), np.ones(2))


@settings(deadline=None)
@given(SEED)
def test_cropping_kernels_are_their_references(seed):
    rng = np.random.default_rng(seed)
    found = some_patches(rng, 5)
    arguments = found.boxes, found.offsets, found.logits
    tight = kernels.tight_boxes(*arguments)
    assert np.array_equal(tight, reference.tight_boxes(*arguments))
    index = rng.integers(0, 5, 4)
    ours, theirs = (loops.crop(*arguments, index, tight[index]) for loops in (kernels, reference))
    assert np.array_equal(ours[0], theirs[0])
    assert np.array_equal(ours[1], theirs[1])
