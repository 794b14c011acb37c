from __future__ import annotations

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from samcolloid_edge.engine import kernels, select
from samcolloid_edge.engine.settings import Settings
from samcolloid_edge.engine.types import Area, Candidates
from segment_anything.utils import amg

SEED = st.integers(0, 2**32 - 1)


@pytest.fixture(params=[kernels, reference], ids=["kernel", "reference"])
def loops(request, monkeypatch):
    """The functions under test, over the compiled loops and over their NumPy twins."""
    monkeypatch.setattr(select, "kernels", request.param)


def some_boxes(rng, n, side=60):
    """(n, 4) float32 boxes with whole-numbered corners, a few of them without area."""
    corners = rng.integers(0, side, (n, 2))
    return np.concatenate([corners, corners + rng.integers(0, 30, (n, 2))], 1).astype(np.float32)


def candidates(iou, stability):
    n = len(iou)
    return Candidates(
        points=np.zeros((n, 2), np.float32),
        logits=np.zeros((n, 2, 2), np.float32),
        origin=np.zeros((n, 2), np.int32),
        iou=np.array(iou, np.float32),
        stability=np.array(stability, np.float32),
        role=np.zeros(n, np.uint8),
    )


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("iou_thresh", [0.0, 0.3, 0.7, 1.0])
def test_nms_is_that_of_torchvision(seed, iou_thresh):
    import torch
    import torchvision

    rng = np.random.default_rng(seed)
    boxes = some_boxes(rng, 80)
    scores = rng.integers(0, 20, 80).astype(np.float32) / 20
    theirs = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou_thresh)
    assert select.nms(boxes, scores, iou_thresh).tolist() == theirs.tolist()


@settings(deadline=None)
@given(SEED, st.integers(0, 40), st.floats(0, 1))
def test_nms_kernel_is_its_reference(seed, n, iou_thresh):
    rng = np.random.default_rng(seed)
    boxes = some_boxes(rng, n)
    assert kernels.nms(boxes, iou_thresh).tolist() == reference.nms(boxes, iou_thresh).tolist()


@pytest.mark.usefixtures("loops")
def test_nms_of_nothing_is_nothing():
    kept = select.nms(np.empty((0, 4), np.int32), np.empty(0, np.float32), 0.5)
    assert kept.shape == (0,) and kept.dtype == np.int64


def test_box_iou_is_that_of_torchvision():
    import torch
    import torchvision

    rng = np.random.default_rng(0)
    a, b = some_boxes(rng, 30) + np.array([0, 0, 1, 1]), some_boxes(rng, 20)
    theirs = torchvision.ops.box_iou(torch.from_numpy(a), torch.from_numpy(b).double())
    np.testing.assert_allclose(select.box_iou(a, b), theirs.numpy(), atol=1e-6)
    empty = np.zeros((1, 4), np.float32)
    assert select.box_iou(empty, empty).tolist() == [[0.0]]


def test_good_compares_as_sam_does():
    found = candidates(iou=[0.8, 0.81, 0.81, 0.81], stability=[1.0, 0.9, 0.89, 0.95])
    kept = select.good(found, Settings(pred_iou_thresh=0.8, stability_score_thresh=0.9))
    assert kept.tolist() == [False, True, False, True]


def test_a_threshold_of_zero_filters_nothing():
    found = candidates(iou=[0.0, -0.1], stability=[0.0, 0.5])
    assert select.good(found, Settings(pred_iou_thresh=0, stability_score_thresh=0)).all()


@settings(deadline=None)
@given(SEED)
def test_cut_by_tile_is_that_of_sam(seed):
    import torch

    rng = np.random.default_rng(seed)
    tile, shape = Area(30, 0, 130, 110), (130, 200)
    corners = np.stack([rng.integers(0, 60, 50), rng.integers(30, 80, 50)], -1)
    boxes = np.concatenate([corners, corners + rng.integers(1, 51, (50, 2))], 1)
    theirs = amg.is_box_near_crop_edge(
        torch.from_numpy(boxes - [0, 30, 0, 30]), [0, 30, 110, 130], [0, 0, shape[1], shape[0]]
    )
    assert select.cut_by_tile(boxes, tile, Area(0, 0, *shape)).tolist() == theirs.tolist()


def test_a_box_at_the_end_of_the_analysed_area_is_not_cut():
    area = Area(2, 2, 700, 1022)
    boxes = np.array([[2, 300, 30, 330], [480, 300, 511, 330], [200, 300, 230, 330]])
    assert select.cut_by_tile(boxes, Area(2, 2, 700, 512), area).tolist() == [False, True, False]
