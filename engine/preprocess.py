"""Micrograph → 8-bit grey → tiles in the model's frame."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..models.card import ModelCard
from .prompt import crop_areas
from .settings import Settings
from .types import U8, Area, Frame, Micrograph

QUANTILES: Final = (0.001, 0.999)
"""Of the analysed area; between them a micrograph of more than 8 bit is mapped to 0–255."""
TILE_OVERLAP: Final = 4.0
"""Overlap of neighbouring tiles, in largest radii: a particle of two such lobes lies whole in one of them."""


def to_grey8(micrograph: Micrograph) -> tuple[U8, tuple[float, float] | None]:
    """(H, W) uint8, and the file's values that became 0 and 255 (None where nothing was mapped).

    8-bit files stay as they are. The mapping is for the model alone: intensity columns use the file's values.
    """
    pixels = micrograph.pixels
    if pixels.dtype == np.uint8:
        return pixels, None
    low, high = (float(q) for q in np.quantile(pixels[micrograph.area.slices], QUANTILES))
    if not high > low:
        return np.zeros(pixels.shape, np.uint8), (low, high)
    scaled = (pixels.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8), (low, high)


def tiles(area: Area, card: ModelCard, settings: Settings) -> list[tuple[Frame, int]]:
    """The frames to analyse, with the crop layer of each; layer 0 covers the area, the others are SAM's crops."""
    frames = [(frame, 0) for frame in _base(area, card)]
    for crop, layer in crop_areas(area, settings.crop_n_layers, settings.crop_overlap_ratio):
        if layer > 0:
            frames.append((_fitted(crop, card.side), layer))
    return frames


def _base(area: Area, card: ModelCard) -> list[Frame]:
    if card.resize == "fit":
        return [_fitted(area, card.side)]
    overlap = min(int(TILE_OVERLAP * (card.largest_radius or 0)), card.side // 2)
    return [
        Frame(Area(row0, col0, row1, col1), (row1 - row0, col1 - col0))
        for row0, row1 in _spans(area.row0, area.row1, card.side, overlap)
        for col0, col1 in _spans(area.col0, area.col1, card.side, overlap)
    ]


def _spans(start: int, stop: int, longest: int, overlap: int) -> list[tuple[int, int]]:
    """Equal spans of at most ``longest`` px that overlap by at least ``overlap`` and cover start … stop."""
    length = stop - start
    if length <= longest:
        return [(start, stop)]
    n = -(-(length - overlap) // (longest - overlap))
    firsts = np.linspace(start, stop - longest, n).round().astype(int)
    return [(int(first), int(first) + longest) for first in firsts]


def _fitted(area: Area, side: int) -> Frame:
    """The frame that makes an area's long side ``side`` model px, rounded as SAM's ResizeLongestSide does."""
    scale = side / max(area.shape)
    height, width = (max(int(n * scale + 0.5), 1) for n in area.shape)
    return Frame(area, (height, width))


def model_input(grey: U8, frame: Frame) -> NDArray[Any]:
    """(h, w, 3) uint8 RGB of a tile at the model's scale, resized as SAM does it: Pillow's antialiased bilinear."""
    tile = grey[frame.area.slices]
    if tile.shape != frame.model_shape:
        from PIL import Image

        resized = Image.fromarray(tile).resize(frame.model_shape[::-1], Image.Resampling.BILINEAR)
        tile = np.asarray(resized)
    return np.repeat(tile[..., None], 3, axis=2)
