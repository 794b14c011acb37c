"""Which candidates live: by predicted IoU and stability, by overlap of boxes, and by the edges of tiles.

The rules are those of SAM's automatic mask generator (segment_anything/utils/amg.py, torchvision.ops).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import kernels
from .settings import Settings
from .types import F32, I64, Area, Bool, Candidates

EDGE_TOLERANCE: Final = 20.0
"""How near to a tile's edge a box counts as cut by it, px (SAM: 20)."""


def box_iou(boxes: NDArray[Any], others: NDArray[Any]) -> F32:
    """IoU of every box with every other.

    Boxes are (N, 4) and (M, 4), x0, y0, x1, y1, edge coordinates, any one unit → (N, M) float32, 0–1; two
    boxes without area have 0.
    """
    a, b = boxes[:, None].astype(np.float64), others[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(sides, 0, None).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    iou: F32 = np.divide(shared, union, out=np.zeros_like(union), where=union > 0).astype(np.float32)
    return iou


def nms(boxes: NDArray[Any], scores: NDArray[Any], iou_thresh: float) -> I64:
    """Non-maximum suppression as ``torchvision.ops.nms`` does it.

    Boxes (N, 4) x0, y0, x1, y1 in edge coordinates, scores (N,) → (K,) int64 indices of those kept, best
    first, equal scores in the order given. A box is dropped where a better kept one has an IoU above
    ``iou_thresh`` with it.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable").astype(np.int64)
    kept: I64 = order[kernels.nms(np.asarray(boxes, np.float32)[order], float(iou_thresh))]
    return kept


def good(candidates: Candidates, settings: Settings, stability_margin: float = 0.0) -> Bool:
    """(N,) bool: predicted IoU above its threshold, stability at least its own less a margin; 0 passes all.

    SAM's generator compares in just this way (``>`` and ``>=``).
    """
    keep = np.ones(len(candidates), np.bool_)
    if settings.pred_iou_thresh > 0:
        keep &= candidates.iou > np.float32(settings.pred_iou_thresh)
    if settings.stability_score_thresh > 0:
        keep &= candidates.stability >= np.float32(settings.stability_score_thresh - stability_margin)
    return keep


def cut_by_tile(boxes: NDArray[Any], tile: Area, area: Area, tolerance: float = EDGE_TOLERANCE) -> Bool:
    """(N,) bool: a side of the box lies at an edge of the tile that is no edge of the analysed area.

    Boxes (N, 4) x0, y0, x1, y1, image px; a side is at an edge when at most ``tolerance`` px from it, in or
    out. SAM's ``is_box_near_crop_edge``, with the analysed area for its whole image.
    """
    edges = np.array([tile.col0, tile.row0, tile.col1, tile.row1], np.float64)
    limits = np.array([area.col0, area.row0, area.col1, area.row1], np.float64)
    near_tile = np.abs(boxes - edges) <= tolerance
    near_limit = np.abs(boxes - limits) <= tolerance
    cut: Bool = np.any(near_tile & ~near_limit, axis=1)
    return cut
