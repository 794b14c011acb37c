"""Segment everything in one tile, as SAM's generator does it step by step: its crops, and all of them in one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from . import masks, preprocess, prompt, select
from .crop import INCLUSIVE, NOTHING, Crop, Found, at, fill
from .encode import encode
from .preprocess import Grey
from .ragged import Patches
from .session import Session
from .settings import Settings
from .types import F32, Area, Frame

SPACING: Final = 1.2
"""Grid spacing ÷ smallest radius sought: a disc of that radius always holds a point of the grid."""

Progress = Callable[[float], None]
"""Called with the share of the tile that is done, 0–1."""


def generate(session: Session, grey: Grey, tile: Area, area: Area, zoom: float, settings: Settings,
             timings: dict[str, float], progress: Progress = lambda _: None) -> Found:  # fmt: skip
    """All masks of one ``tile`` of the analysed ``area``, at ``zoom`` model px per px, and in its crops.

    Adds seconds to ``timings``: "encode", and "decode" with all that is done to the masks.
    """
    if np.ptp(grey.pixels[tile.slices]) == 0:
        # Networks divide by the contrast they find, and see shapes in what is left where there is none.
        return NOTHING
    frames = preprocess.frames(tile, session.card, zoom, settings)
    found, finished = [], np.zeros(tile.shape, bool)
    for i, (frame, layer) in enumerate(frames):
        start = time.perf_counter()
        embedding = encode(session, grey, frame)
        encoded = time.perf_counter()
        crop = Crop(session, embedding, area, settings)
        points, lattice = points_of(frame, layer, session, settings)
        crop.prompt(points, lattice, ~at(finished, points, tile), grey)
        found.append(crop.found())
        if settings.schedule == "adaptive" and i + 1 < len(frames):
            fill(finished, crop.finished(), tile)
        timings["encode"] = timings.get("encode", 0.0) + encoded - start
        timings["decode"] = timings.get("decode", 0.0) + time.perf_counter() - encoded
        progress((i + 1) / len(frames))
    merged = _merged(found, [frame.area for frame, _ in frames], settings)
    return _without_small_regions(merged, area, settings)


def points_of(frame: Frame, layer: int, session: Session, settings: Settings) -> tuple[F32, tuple[int, int]]:
    """The grid laid over a crop of a layer: points (N, 2), (x, y), image px, row by row, and (rows, columns)."""
    if settings.points_per_side is None:
        radius = settings.min_radius or session.card.smallest_radius / frame.scale[0]
        return prompt.spaced_grid(frame.area, SPACING * radius)
    # SAM's: the grid is thinned by a factor to the power of the crop layer.
    side = max(1, int(settings.points_per_side / settings.crop_n_points_downscale_factor**layer))
    return prompt.grid(frame.area, side), (side, side)


def _merged(found: list[Found], crops: list[Area], settings: Settings) -> Found:
    """All crops in one. Of a mask found in several the one of the smaller crop is kept, then of the earlier."""
    if len(found) == 1:
        return found[0]
    counts = [len(f.lobes) for f in found]
    starts = np.cumsum([0, *counts])
    merged = Found(
        Patches.concatenate([f.lobes for f in found]),
        Patches.concatenate([f.particles for f in found]),
        np.concatenate([f.lobe_of_particle + start for f, start in zip(found, starts, strict=False)]),
        sum(f.prompts for f in found),
    )
    smallness = np.repeat([1 / np.float32(crop.shape[0] * crop.shape[1]) for crop in crops], counts)
    return merged[select.nms(merged.lobes.tight - INCLUSIVE, smallness, settings.crop_nms_thresh)]


def _without_small_regions(found: Found, area: Area, settings: Settings) -> Found:
    """Small holes and islands go; of masks that then have nearly the same box the unchanged one is kept."""
    least = settings.min_mask_region_area
    if least == 0 or len(found.lobes) == 0:
        return found
    cleaned, changed = masks.remove_small_regions(found.lobes, least, area)
    kept = select.nms(cleaned.tight - INCLUSIVE, (~changed).astype(np.float32),
                      max(settings.box_nms_thresh, settings.crop_nms_thresh))  # fmt: skip
    return replace(found, lobes=cleaned)[kept]
