"""Low-resolution masks at the pixels of the file, by SAM's own two interpolations, each inside its own box only.

A mask travels as a clip of its low-resolution logits, a sixteenth of the memory it takes in pixels; its box and its
stability are those of the upsampled mask. What is selected by them becomes patches of pixels at the end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import kernels_upsample as kernels
from .ragged import Clips, Patches
from .types import F32, I32, I64, Area, Candidates, Frame

MARGIN: Final = 2
"""Cells around a clip's mask that its pixels still weigh."""
REACH: Final = 3.0
"""Model px around a lobe's box in which it may take pixels of its particle (see ``claims``); …"""
RIM: Final = 1
"""… at least so many pixels: they tell where between two of them its outline runs."""


def clip(candidates: Candidates, frame: Frame, stride: int, bounds: Area, offset: float) -> tuple[Clips, I64]:
    """Clips of candidates with the box and the stability score of the mask at the pixels of the file.

    The values are those of SAM's ``postprocess_masks``: cells to model px (× ``stride``), then model px to image px
    (÷ ``frame.scale``), both bilinear with ``align_corners=False``. Beyond its window a mask reads the window's edge,
    but pixels whose centre lies there belong to no mask, nor do those outside ``bounds`` (px of the file). The
    stability is SAM's: area at logit > ``offset`` ÷ area at logit > ``-offset``. Returns the clips, and (K,) int64
    which candidates they are: masks without a pixel (logit > 0) are dropped.
    """
    cells, offsets, flat = kernels.trim(_plain(candidates.logits, np.float32), -float(offset), MARGIN)
    origin, size = _plain(candidates.origin + cells[:, :2], np.int32), _plain(cells[:, 2:] - cells[:, :2], np.int32)
    x, y = _axes(frame, stride)
    (x0, x1), (y0, y1) = x.within(origin[:, 0], size[:, 0]), y.within(origin[:, 1], size[:, 1])
    row, column = frame.area.row0, frame.area.col0
    x0, x1 = np.maximum(x0, bounds.col0 - column), np.minimum(x1, bounds.col1 - column)
    y0, y1 = np.maximum(y0, bounds.row0 - row), np.minimum(y1, bounds.row1 - row)
    boxes = _plain(np.stack([x0, y0, x1, y1], -1), np.int32)
    tight, stability = kernels.assess(flat, offsets, origin, size, boxes, *x.weighing, *y.weighing, float(offset))
    kept = np.flatnonzero(tight[:, 2]).astype(np.int64)
    clips = Clips(
        points=candidates.points,
        origin=origin,
        size=size,
        boxes=tight + np.array([column, row] * 2, np.int32),
        offsets=offsets,
        logits=flat,
        iou=candidates.iou,
        stability=stability,
        role=candidates.role,
    )
    return clips[kept], kept


def patches(clips: Clips, frame: Frame, stride: int, rim: int = 0) -> Patches:
    """The masks of clips at the pixels of the file, in their boxes and ``rim`` px around them, within the frame.

    In the rim no logit exceeds 0, also where a mask reads the edge of its window there.
    """
    area = frame.area
    low, high = (np.array(corner * 2, np.int32) for corner in ((area.col0, area.row0), (area.col1, area.row1)))
    boxes = np.clip(clips.boxes + np.array([-rim, -rim, rim, rim], np.int32), low, high)
    offsets, logits = kernels.interpolate(*_arrays(replace(clips, boxes=boxes), frame, stride))
    if rim:
        kernels.outside(boxes, clips.boxes, offsets, logits)
    return Patches(
        points=frame.to_image(clips.points), boxes=boxes, offsets=offsets, logits=logits, iou=clips.iou,
        stability=clips.stability, role=clips.role, zoom=np.full(len(clips), frame.scale[0], np.float32),
    )  # fmt: skip


def rim_at(zoom: F32) -> I32:
    """(N,) int32 pixels around the boxes of lobes that were asked for at (N,) ``zoom``, model px per px."""
    pixels: I32 = np.maximum(RIM, np.ceil(REACH / zoom)).astype(np.int32)
    return pixels


def holders(clips: Clips, frame: Frame, stride: int, points: F32) -> I64:
    """(P,) int64: for (P, 2) points, (x, y), image px, the smallest mask (by box) that holds each, or −1."""
    inside = np.asarray(points, np.int64) - (frame.area.col0, frame.area.row0)
    held: I64 = kernels.holders(_plain(inside, np.int64), *_arrays(clips, frame, stride))
    return held


def _arrays(clips: Clips, frame: Frame, stride: int) -> Any:
    """Clips and axes as the loops take them."""
    boxes = clips.boxes - np.array([frame.area.col0, frame.area.row0] * 2, np.int32)
    x, y = _axes(frame, stride)
    return (_plain(clips.logits, np.float32), _plain(clips.offsets, np.int64), _plain(clips.origin, np.int32),
            _plain(clips.size, np.int32), _plain(boxes, np.int32), *x.weighing, *y.weighing)  # fmt: skip


def _axes(frame: Frame, stride: int) -> tuple[_Axis, _Axis]:
    shape = frame.area.shape
    return (_Axis.of(shape[1], frame.model_shape[1], frame.scale[0], stride),
            _Axis.of(shape[0], frame.model_shape[0], frame.scale[1], stride))  # fmt: skip


class _Axis(NamedTuple):
    """Both interpolations along one axis of a tile: each image px weighs up to three neighbouring cells."""

    first: I32
    """(L,) the first cell that has weight."""
    weights: F32
    """(L, 3) of the cells ``first + (0, 1, 2)``; a row sums to 1."""
    centre: NDArray[np.float64]
    """(L,) centre of the px in edge coordinates, cells."""

    @classmethod
    def of(cls, length: int, model_length: int, scale: float, stride: int) -> _Axis:
        """For ``length`` image px that the model sees as ``model_length`` px, ``stride`` of them a cell."""
        pixels = np.arange(length)
        position = np.maximum((pixels + 0.5) * scale - 0.5, 0)
        low = position.astype(np.int64)
        high = np.minimum(low + 1, model_length - 1)
        rest = position - low
        weights = np.zeros((length, 3))
        first = np.maximum((low + 0.5) / stride - 0.5, 0).astype(np.int64)
        for tap, share in ((low, 1 - rest), (high, rest)):
            place = np.maximum((tap + 0.5) / stride - 0.5, 0)
            cell = place.astype(np.int64)
            part = place - cell
            weights[pixels, cell - first] += share * (1 - part)
            weights[pixels, cell - first + 1] += share * part
        centre = (pixels + 0.5) * scale / stride
        return cls(first.astype(np.int32), weights.astype(np.float32), centre)

    @property
    def weighing(self) -> tuple[I32, F32]:
        """What the loops take."""
        return self.first, self.weights

    def within(self, origin: NDArray[Any], size: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(N,) first and past-the-end px whose centre lies in the cells ``origin`` … ``origin + size``."""
        return np.searchsorted(self.centre, origin), np.searchsorted(self.centre, origin + size)


def _plain(array: NDArray[Any], dtype: type) -> NDArray[Any]:
    """The array as the loops are compiled for it: of this type, contiguous and writable."""
    return np.require(array, dtype, ["C", "W"])
