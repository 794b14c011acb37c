"""One tile: prompts in, lobes and their particles out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from . import masks, prompt, select
from .decode import channels, decode
from .encode import encode
from .session import Session
from .settings import Settings
from .types import F32, U8, Area, Bool, Candidates, Embedding, Frame, Patches, Role

SPACING: Final = 1.2
"""Grid spacing ÷ smallest radius sought: a disc of that radius always holds a point of the grid."""
PARTICLE_IOU: Final = 0.1
"""Lowest predicted IoU at which a particle mask still counts as evidence, 0–1."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one tile gave."""

    lobes: Patches
    particles: Patches
    """Particle masks, each asked for at the prompt of a lobe."""
    lobe_of_particle: NDArray[np.int64]
    """(K,) index into ``lobes``."""
    prompts: int
    """Prompts decoded."""
    layer: int = 0
    """Crop layer of the tile."""

    def particles_of(self, kept: NDArray[np.int64]) -> tuple[Patches, NDArray[np.int64]]:
        """The particle masks of the lobes in ``kept``, and where in ``kept`` their lobe stands."""
        place = np.full(len(self.lobes), -1, np.int64)
        place[kept] = np.arange(len(kept))
        index = place[self.lobe_of_particle]
        return masks.take(self.particles, index >= 0), index[index >= 0]


def segment_tile(
    session: Session, grey: U8, area: Area, frame: Frame, layer: int, settings: Settings, timings: dict[str, float]
) -> Found:
    """Encode a tile, prompt it, keep the good masks, and ask each lobe for its particle."""
    if np.ptp(grey[frame.area.slices]) == 0:
        # Networks divide by the contrast they find, and see shapes in what is left where there is none.
        nothing = masks.concatenate([])
        return Found(nothing, nothing, np.zeros(0, np.int64), 0, layer)
    start = time.perf_counter()
    embedding = encode(session, grey, frame)
    encoded = time.perf_counter()
    tile = _Tile(session, embedding, area, settings)
    if settings.points_per_side is None:
        tile.ask_in_waves()
    else:
        tile.ask(prompt.grid(frame.area, _points_per_side(settings, layer)))
    lobes = tile.selected()
    particles, of_lobe = tile.particles_at(lobes.points)
    timings["encode"] = timings.get("encode", 0.0) + encoded - start
    timings["decode"] = timings.get("decode", 0.0) + time.perf_counter() - encoded
    return Found(lobes, particles, of_lobe, tile.prompts, layer)


def _points_per_side(settings: Settings, layer: int) -> int:
    """SAM's: the grid is thinned by a factor to the power of the crop layer."""
    assert settings.points_per_side is not None
    return max(1, int(settings.points_per_side / settings.crop_n_points_downscale_factor**layer))


class _Tile:
    """The masks of one tile as they gather."""

    def __init__(self, session: Session, embedding: Embedding, area: Area, settings: Settings) -> None:
        self.session, self.embedding, self.area, self.settings = session, embedding, area, settings
        self.good = masks.concatenate([])
        self.prompts = 0

    def ask(self, points: F32) -> None:
        """Decode lobes at (N, 2) points, (x, y), image px, and add the good ones."""
        self.prompts += len(points)
        settings = self.settings
        parts = [self.good]
        for candidates in decode(self.session, self.embedding, points, Role.LOBE, settings.pred_iou_thresh,
                                 settings.stability_score_offset):  # fmt: skip
            parts.append(self._good_masks(candidates))
        self.good = self._thinned(masks.concatenate(parts))

    def _good_masks(self, candidates: Candidates) -> Patches:
        settings, card, area = self.settings, self.session.card, self.embedding.frame.area
        if card.window is not None:
            good = candidates[select.good(candidates, settings)]
            return masks.upsample(good, self.embedding.frame, card.mask_stride, area)[0]
        # SAM's generator scores the stability of the upsampled mask; a windowed model's threshold is that of its cells.
        sure = candidates[select.good(candidates, replace(settings, stability_score_thresh=0.0))]
        patches, _ = masks.upsample_with_stability(sure, self.embedding.frame, card.mask_stride, area,
                                                   settings.stability_score_offset)  # fmt: skip
        return masks.take(patches, patches.stability >= np.float32(settings.stability_score_thresh))

    def ask_in_waves(self) -> None:
        """A coarse grid first; then finer ones, but only where no lobe was found; then every lobe's middle."""
        card, frame = self.session.card, self.embedding.frame
        radius = self.settings.min_radius or card.smallest_radius / frame.scale[0]
        points, (rows, columns) = prompt.spaced_grid(frame.area, SPACING * radius)
        for wave in prompt.waves(rows, columns):
            free = ~self._covered(points[wave])
            self.ask(points[wave][free])
        # A prompt in the middle of a lobe sees it best; the masks so far only tell where the middle is.
        self.ask(self._middles())

    def selected(self) -> Patches:
        """The masks that live: not cut by the tile's edge, cleaned, the best of every heap."""
        uncut = ~select.cut_by_tile(self.good.boxes - _INCLUSIVE, self.embedding.frame.area, self.area)
        whole = masks.remove_small_regions(masks.take(self.good, uncut), self.settings.min_mask_region_area)
        return self._thinned(whole)

    def particles_at(self, points: F32) -> tuple[Patches, NDArray[np.int64]]:
        """Particle masks at the prompts of the lobes, and the lobe each belongs to."""
        session, frame = self.session, self.embedding.frame
        if not channels(session, Role.PARTICLE):
            return masks.concatenate([]), np.zeros(0, np.int64)
        lobe_at = {tuple(p): i for i, p in enumerate(frame.to_model(points).tolist())}
        parts, lobes = [], [np.zeros(0, np.int64)]
        for candidates in decode(session, self.embedding, points, Role.PARTICLE, PARTICLE_IOU, 1.0):
            patches, kept = masks.upsample(candidates, frame, session.card.mask_stride, frame.area)
            parts.append(patches)
            lobes.append(np.array([lobe_at[tuple(p)] for p in candidates.points[kept].tolist()], np.int64))
        return masks.concatenate(parts), np.concatenate(lobes)

    def _thinned(self, patches: Patches) -> Patches:
        return masks.take(patches, select.nms(patches.boxes - _INCLUSIVE, patches.iou, self.settings.box_nms_thresh))

    def _resolved(self) -> masks.Resolved:
        order = np.argsort(-self.good.iou, kind="stable")
        tile = self.embedding.frame.area
        return masks.resolve(self.good, order, (tile.row1, tile.col1), self.settings.max_overlap)

    def _covered(self, points: F32) -> Bool:
        """(N,) bool: a lobe found so far holds the point."""
        if len(self.good) == 0:
            return np.zeros(len(points), bool)
        columns, rows = points.astype(np.int64).T
        held: Bool = self._resolved().labels[rows, columns] > 0
        return held

    def _middles(self) -> F32:
        """(N, 2) (x, y), image px: of every lobe found so far the pixel deepest inside."""
        resolved = self._resolved()
        return masks.deepest_points(resolved.labels)


_INCLUSIVE: Final = np.array([0, 0, 1, 1], np.int32)
"""Ours are half-open boxes, SAM's end at the last pixel: what NMS and the edge filter compare."""
