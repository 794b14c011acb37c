"""At which zoom a micrograph is analysed: one at which its lobes have a size that the model resolves.

A first look at a few tiles tells their size. Where it is as usual, and one tile is the whole micrograph, the look is
the analysis already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from ..models.card import ModelCard
from . import preprocess
from .crop import Found
from .generate import generate
from .mosaic import disjoint
from .preprocess import Grey
from .session import Session
from .settings import Settings
from .types import F32, Area

RESOLVED: Final = 2.0
"""Smallest median radius that the model resolves, in smallest radii of the card."""
COMFORTABLE: Final = 3.5
"""Smallest median radius that is left as it is, likewise: smaller lobes have better outlines at a finer zoom (in a
scene of 12 px radius, 1.3 times as large, F1 at mask IoU 0.9 rises from 0.48 to 0.80), but blur grows with them, …"""
COMFORT: Final = 2.0
"""… so that this is the most by which the usual zoom is multiplied for it."""
WORSE: Final = 0.6
"""Weight (see ``_Look``) of the look at twice the zoom ÷ the usual one's below which nothing is enlarged, unless a
finer look saw most: in strong noise lobes may drown in the coarse grain that enlarging makes of it."""
ROOMY: Final = 0.75
"""Largest median radius that is left as it is, in largest radii of the card."""
TILES: Final = 3
"""Looked at, at one zoom."""
FULL: Final = 0.1
"""Share of a tile that lobes hold from which one look is enough, where it shows all of the micrograph, and …"""
SURE: Final = 0.8
"""… their median predicted IoU is as high as this. Of pieces of lobes too large for the model it is about 0.7."""
COARSER: Final = (1 / 4, 1 / 16)
"""Other zooms that are looked at, ÷ the usual one, …"""
FINER: Final = (2.0, 4.0)
"""… these as long as hardly anything is seen."""
HARDLY: Final = 0.01
"""Weight (see ``_Look``) of hardly anything."""
SMALLEST_LOOK: Final = 64
"""Model px of the long side; coarser looks tell nothing."""
MOST: Final = 8.0
"""Largest zoom ÷ the usual one."""


@dataclass(frozen=True, slots=True)
class Zoom:
    """The zoom, and what the first look at it has found already."""

    value: float
    """Model px per px of the file."""
    source: str
    """Why, in words."""
    found: Mapping[Area, Found] = field(default_factory=dict)
    """By tile."""
    prompts: int = 0
    """Decoded by looks that are of no further use."""


@dataclass(frozen=True, slots=True)
class _Look:
    zoom: float
    prompts: int
    found: dict[Area, Found]
    radii: F32
    """Of the lobes, px of the file."""
    ious: F32
    """Their predicted IoU."""
    pixels: int
    """Looked at."""
    threshold: float
    """The lowest predicted IoU of a lobe."""

    @property
    def share(self) -> float:
        """Of the area that lobes hold."""
        return float(np.pi * (self.radii**2).sum() / self.pixels)

    def _weighed(self, power: float) -> float:
        return float(np.pi * (self.radii**2 * (self.ious - self.threshold) ** power).sum() / self.pixels)

    @property
    def weight(self) -> float:
        """Their share of the area, each lobe weighed by its predicted IoU above the threshold."""
        return self._weighed(1)

    @property
    def clarity(self) -> float:
        """The same, weighed by its third power: no blob that is hardly a lobe outweighs many that are for sure."""
        return self._weighed(3)

    @property
    def iou(self) -> float:
        """Median predicted IoU; 0 where there is no lobe."""
        return float(np.median(self.ious)) if len(self.ious) else 0.0

    @property
    def radius(self) -> float:
        """Median, px of the file; 0 where there is no lobe."""
        return float(np.median(self.radii)) if len(self.radii) else 0.0


def choose(session: Session, grey: Grey, area: Area, settings: Settings, timings: dict[str, float]) -> Zoom:
    """The zoom of the settings, else the usual one where that is exact or does, else one found by looking."""
    card = session.card
    usual = preprocess.usual_zoom(area, card)
    if settings.zoom is not None:
        return Zoom(settings.zoom, "given")
    if settings.schedule == "exact":
        return Zoom(usual, "the model's usual one")

    def look(zoom: float) -> _Look:
        return _look(session, grey, area, zoom, settings, timings)

    looks = [look(usual)]
    least, most = COMFORTABLE * card.smallest_radius / usual, ROOMY * (card.largest_radius or np.inf) / usual
    several = len(preprocess.tiles(area, card, usual)) > 1
    sure = looks[0].share >= FULL and looks[0].iou >= SURE and least <= looks[0].radius <= most
    if several or not sure:
        side = max(area.shape) * usual
        if card.largest_radius:
            looks += [look(usual * step) for step in COARSER if side * step >= SMALLEST_LOOK]
        if not sure:
            looks.append(look(usual * FINER[0]))
        if max(seen.weight for seen in looks) < HARDLY:
            looks += [look(usual * step) for step in FINER[1:]]
    best = max(looks, key=lambda seen: seen.clarity)
    if len(best.radii) == 0:
        return Zoom(usual, "the model's usual one, as no lobe was seen", looks[0].found, _prompts(looks[1:]))
    finer = max(1.0, RESOLVED / COMFORTABLE * least / best.radius, min(least / best.radius, COMFORT))
    twice = [seen.weight for seen in looks if seen.zoom == usual * FINER[0]]
    if best.zoom <= usual and min(twice, default=np.inf) < WORSE * looks[0].weight:
        finer = 1.0
    value = usual * float(min(finer, most / best.radius, MOST))
    source = f"lobes of {best.radius:.3g} px median radius were seen"
    kept = [seen for seen in looks if seen.zoom == value and seen.found]
    return Zoom(value, source, kept[0].found if kept else {}, _prompts([seen for seen in looks if seen not in kept]))


def _prompts(looks: list[_Look]) -> int:
    return sum(seen.prompts for seen in looks)


def _look(
    session: Session, grey: Grey, area: Area, zoom: float, settings: Settings, timings: dict[str, float]
) -> _Look:
    tiles = preprocess.tiles(area, session.card, zoom)
    chosen = sorted({round(x) for x in np.linspace(0, len(tiles) - 1, TILES + 2)[1:-1]}) if len(tiles) > 1 else [0]
    found, none = {}, np.empty(0, np.float32)
    radii, ious, pixels = [none], [none], 0
    coarse = zoom < preprocess.usual_zoom(area, session.card)
    for tile in (tiles[i].area for i in chosen):
        # A coarse look needs no masks at the pixels of the file: it takes the shrunken tile for a micrograph.
        seen, place, whole = _shrunken(grey, tile, session.card, zoom, settings) if coarse else (grey, tile, area)
        found[tile] = generate(session, seen, place, whole, 1.0 if coarse else zoom, settings, timings)
        labels, kept, *_ = disjoint(found[tile], place, settings.max_overlap)
        sizes = np.bincount(labels.ravel(), minlength=1)[1:] / (zoom**2 if coarse else 1)
        radii.append(np.sqrt(sizes / np.pi).astype(np.float32))
        ious.append(kept.lobes.iou)
        pixels += tile.shape[0] * tile.shape[1]
    prompts = sum(each.prompts for each in found.values())
    if coarse:
        found = {}
    return _Look(zoom, prompts, found, np.concatenate(radii), np.concatenate(ious), pixels, settings.pred_iou_thresh)


def _shrunken(grey: Grey, tile: Area, card: ModelCard, zoom: float, settings: Settings) -> tuple[Grey, Area, Area]:
    """A tile at the model's scale as a micrograph; its area, twice: nothing of it is cut off by the tile."""
    ((frame, _),) = preprocess.frames(tile, card, zoom, replace(settings, crop_n_layers=0))
    area = Area(0, 0, *frame.model_shape)
    return Grey(preprocess.model_input(grey, frame)[..., 0]), area, area
