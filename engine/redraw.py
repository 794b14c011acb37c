"""Masks with a piece bitten out of them, drawn again at half the zoom, where the model sees more of the lobe at once.

A convolutional network bites into large lobes most. Which lobes there are stays as it was found; two pieces that turn
out to be one lobe become one.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import numpy as np

from . import masks, preprocess, select
from .crop import INCLUSIVE, Crop, Found
from .encode import encode
from .outline import Outlines
from .preprocess import Grey
from .ragged import Patches
from .session import Session
from .settings import Settings
from .types import F32, Area

STEP: Final = 0.5
"""The zoom at which a mask is drawn again ÷ the tile's."""
SMALLEST: Final = 3.0
"""Smallest radius of a lobe that is drawn again, in smallest radii of the card: smaller ones are not resolved then."""
PIXELS: Final = 1.0
"""What a lobe's solidity may fall below that of the settings, × its radius, model px: a disc of pixels is no disc."""
ROUNDER: Final = 0.6
"""By how much the solidity must rise, × the radius, model px: a mask without a bite is better at the finer zoom."""
ALIKE: Final = 0.5
"""Least IoU of a lobe's two masks."""


def redrawn(session: Session, grey: Grey, found: Found, tile: Area, area: Area, zoom: float, settings: Settings,
            timings: dict[str, float]) -> Found:  # fmt: skip
    """What a tile gave at a zoom; of lobes that are bitten the mask found at a coarser one, and the particle.

    Adds seconds to ``timings``, as ``generate`` does.
    """
    if settings.redraw_solidity == 0 or session.card.window is None:
        return found
    shapes = [found.lobes.patch(i) > 0 for i in range(len(found.lobes))]
    radii = np.sqrt([np.count_nonzero(shape) / np.pi for shape in shapes]) * zoom
    solidity = np.array([masks.solidity(shape) for shape in shapes])
    bitten = solidity < settings.redraw_solidity - PIXELS / np.maximum(radii, 1)
    asked = np.flatnonzero(bitten & (radii >= SMALLEST * session.card.smallest_radius))
    if len(asked) == 0:
        return found
    start = time.perf_counter()
    embedding = encode(session, grey, preprocess.frame(tile, zoom * STEP))
    encoded = time.perf_counter()
    crop = Crop(session, embedding, area, settings)
    crop.ask(np.stack([_deepest(found.lobes, i) for i in asked.tolist()]))
    again = crop.living(crop.good)
    if settings.min_mask_region_area:
        again, _ = masks.remove_small_regions(again, settings.min_mask_region_area, area)
    least = solidity + ROUNDER / np.maximum(radii, 1)
    chosen = np.array([_better(found.lobes, i, again, float(least[i])) for i in asked.tolist()], np.int64)
    old, new = asked[chosen >= 0], chosen[chosen >= 0]
    order = np.arange(len(found.lobes))
    order[old] = len(found.lobes) + new
    lobes = Patches.concatenate([found.lobes, again])[order]
    theirs, owner = crop.particles_of(again[new])
    own = ~np.isin(found.lobe_of_particle, old)
    mended = replace(found, lobes=lobes, prompts=found.prompts + len(asked),
                     particles=Patches.concatenate([found.particles[own], theirs]),
                     lobe_of_particle=np.concatenate([found.lobe_of_particle[own], old[owner]]))  # fmt: skip
    kept = select.nms(lobes.tight - INCLUSIVE, lobes.iou, settings.box_nms_thresh)
    timings["encode"] = timings.get("encode", 0.0) + encoded - start
    timings["decode"] = timings.get("decode", 0.0) + time.perf_counter() - encoded
    return mended[np.sort(kept)]


def count_redrawn(outlines: Outlines, zoom: float) -> int:
    """How many of the outlines were drawn at a coarser zoom than that of their tiles."""
    return int(np.count_nonzero(outlines.zoom < zoom * (1 + STEP) / 2))


def _deepest(lobes: Patches, i: int) -> F32:
    """(2,) float32 (x, y), image px: the pixel of a mask that is farthest from its outline and the edges of its box."""
    ((x, y),) = masks.deepest_points(np.pad((lobes.patch(i) > 0).astype(np.int32), 1)) - 1
    return np.array([lobes.boxes[i, 0] + x, lobes.boxes[i, 1] + y], np.float32)


def _better(lobes: Patches, i: int, others: Patches, least: float) -> int:
    """Which mask of ``others`` is most like a lobe's; −1 where none is alike, or its solidity is below ``least``."""
    overlap = select.box_iou(lobes.boxes[i : i + 1], others.boxes)[0]
    ious = {j: _iou(lobes, i, others, j) for j in np.flatnonzero(overlap > ALIKE / 2).tolist()}
    best = max(ious, key=ious.__getitem__, default=-1)
    better = best >= 0 and ious[best] >= ALIKE and masks.solidity(others.patch(best) > 0) >= least
    return best if better else -1


def _iou(first: Patches, i: int, second: Patches, j: int) -> float:
    """Of two masks, pixel by pixel, 0–1."""
    a, b = first.boxes[i], second.boxes[j]
    x0, y0 = np.maximum(a[:2], b[:2])
    x1, y1 = np.minimum(a[2:], b[2:])
    if x1 <= x0 or y1 <= y0:
        return 0.0
    shapes = [patches.patch(k) > 0 for patches, k in ((first, i), (second, j))]
    shared = [m[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]] for m, box in zip(shapes, (a, b), strict=True)]
    both = np.count_nonzero(shared[0] & shared[1])
    return float(both / (sum(np.count_nonzero(mask) for mask in shapes) - both))
