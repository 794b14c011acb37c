"""Micrograph → 8-bit grey → tiles in the model's frame."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
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
"""Least overlap of neighbouring tiles, in largest radii: a particle of two such lobes lies whole in one of them."""
AMPLE: Final = 1.5
"""Overlap ÷ the least that tiles have where as many cover the area: of lobes near the edge of a tile the model sees
less around them, and their outlines are a little worse."""


@dataclass(frozen=True, slots=True)
class Grey:
    """A micrograph as the model sees it: 8 bit, mapped tile by tile, so that no second image is held.

    8-bit files stay as they are. The mapping is for the model alone: intensity columns use the file's values.
    """

    pixels: NDArray[Any]
    """(H, W), the file's own dtype and values."""
    range: tuple[float, float] | None = None
    """The file's values that become 0 and 255; None where nothing is mapped."""

    @classmethod
    def of_micrograph(cls, micrograph: Micrograph) -> Grey:
        """Mapped between ``QUANTILES`` of the analysed area where the file has more than 8 bit."""
        if micrograph.pixels.dtype == np.uint8:
            return cls(micrograph.pixels)
        low, high = _quantiles(micrograph.pixels[micrograph.area.slices])
        return cls(micrograph.pixels, (low, high))

    def of(self, area: Area) -> U8:
        """(h, w) uint8 of one area."""
        tile: U8 = self.pixels[area.slices]
        if self.range is None:
            return tile
        low, high = self.range
        if not high > low:
            return np.zeros(tile.shape, np.uint8)
        scaled = (tile.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
        mapped: U8 = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        return mapped


def _quantiles(pixels: NDArray[Any]) -> tuple[float, float]:
    """``QUANTILES`` of all pixels; of 16-bit ones from their histogram, which needs no copy of a large image."""
    if pixels.dtype != np.uint16:
        low, high = np.quantile(pixels, QUANTILES)
        return float(low), float(high)
    counts = np.zeros(1 << 16, np.int64)
    for rows in np.array_split(pixels, max(1, pixels.size >> 24)):
        counts += np.bincount(rows.ravel(), minlength=1 << 16)
    ends = np.cumsum(counts)
    found = []
    for quantile in QUANTILES:
        # As np.quantile: linear between the two nearest in rank.
        rank = quantile * (pixels.size - 1)
        below, above = np.searchsorted(ends, [int(rank), min(int(rank) + 1, pixels.size - 1)], side="right")
        found.append(float(below + (rank - int(rank)) * (above - below)))
    return found[0], found[1]


@dataclass(frozen=True, slots=True)
class Tile:
    """A piece of the analysed area that the model sees at once."""

    area: Area
    core: Area
    """Its share of the area: cores lie side by side where tiles overlap."""


def usual_zoom(area: Area, card: ModelCard) -> float:
    """The zoom at which a model is used where nothing speaks for another: the file's own, or what fits."""
    return 1.0 if card.resize == "native" else fit(area, card)


def fit(area: Area, card: ModelCard) -> float:
    """The zoom, model px per px, at which an area's long side is the model's: SAM's ResizeLongestSide."""
    return card.side / max(area.shape)


def tiles(area: Area, card: ModelCard, zoom: float) -> list[Tile]:
    """Tiles that cover an area at a zoom, row by row; neighbours overlap by a particle of the largest lobes.

    They are as small as that many can be, but for a model that fits them to its side, which gains nothing by it.
    """
    longest = max(1, int(card.side / zoom + 1e-6))
    overlap = min(int(TILE_OVERLAP * card.largest_radius / zoom), longest // 2) if card.largest_radius else longest // 4
    tight = card.resize == "native"
    return [
        Tile(Area(rows[0], columns[0], rows[1], columns[1]), Area(core_r[0], core_c[0], core_r[1], core_c[1]))
        for rows, core_r in _spans(area.row0, area.row1, longest, overlap, tight)
        for columns, core_c in _spans(area.col0, area.col1, longest, overlap, tight)
    ]


def frames(tile: Area, card: ModelCard, zoom: float, settings: Settings) -> list[tuple[Frame, int]]:
    """The frames of a tile, with the crop layer of each: 0 is the tile, the others SAM's crops, as large as fits."""
    found = [(frame(tile, zoom), 0)]
    for crop, layer in crop_areas(tile, settings.crop_n_layers, settings.crop_overlap_ratio):
        if layer > 0:
            found.append((frame(crop, fit(crop, card)), layer))
    return found


def frame(area: Area, zoom: float) -> Frame:
    """An area at a zoom, rounded as SAM's ResizeLongestSide does."""
    height, width = (max(int(n * zoom + 0.5), 1) for n in area.shape)
    return Frame(area, (height, width))


def _spans(
    start: int, stop: int, longest: int, overlap: int, tight: bool
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Equal spans of at most ``longest`` px, as few as overlap by ``overlap`` and cover start … stop; their cores.

    They are ``longest``, or ``tight``: no longer than an ``AMPLE`` overlap takes.
    """
    length = stop - start
    if length <= longest:
        return [((start, stop), (start, stop))]
    n = -(-(length - overlap) // (longest - overlap))
    side = min(longest, int((length + (n - 1) * AMPLE * overlap) / n) + 1) if tight else longest
    firsts = np.linspace(start, stop - side, n).round().astype(int).tolist()
    borders = [start, *((before + side + after) // 2 for before, after in pairwise(firsts)), stop]
    return [((first, first + side), core) for first, core in zip(firsts, pairwise(borders), strict=True)]


def model_input(grey: Grey, frame: Frame) -> NDArray[Any]:
    """(h, w, 3) uint8 RGB of a tile at the model's scale, resized as SAM does it: Pillow's antialiased bilinear."""
    tile = grey.of(frame.area)
    if tile.shape != frame.model_shape:
        from PIL import Image

        resized = Image.fromarray(tile).resize(frame.model_shape[::-1], Image.Resampling.BILINEAR)
        tile = np.asarray(resized)
    return np.repeat(tile[..., None], 3, axis=2)
