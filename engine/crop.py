"""The masks of one crop of a tile as they gather, each lobe's particle, and lobes that these lack.

The schedule says which points of the grid are decoded; all the rest is one line of code for both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from . import masks, schedule, select, upsample
from .decode import channels, decode, scores
from .preprocess import Grey
from .ragged import Clips, Patches
from .session import Session
from .settings import Settings
from .types import F32, I64, Area, Bool, Candidates, Embedding, Role

PARTICLE_IOU: Final = 0.1
"""Lowest predicted IoU at which a particle mask still counts as evidence, 0–1."""
PARTICLE_SIZE: Final = 3.2
"""Side of the window in which a lobe's particle is looked for first, ÷ the longer side of the lobe's box."""
ROOM: Final = 0.25
"""Radius of the smallest free part of a particle mask in which a lobe is sought, ÷ the median radius of the lobes."""
VOUCHING: Final = 0.6
"""Lowest predicted IoU of the particle mask, 0–1; …"""
ROUNDED: Final = 0.8
"""… of the lobe the lowest area ÷ that of its convex hull (a disc of 10 px radius has 0.95), …"""
SIZED: Final = 0.5
"""… and the lowest area ÷ the median of the lobes."""
EXACT_WINDOW: Final = 1.5
"""First windows of the exact schedule ÷ the card's: they hold far islands, which SAM counts in."""
STABILITY_MARGIN: Final = 0.15
"""A mask whose low-resolution stability lies further below the threshold is not upsampled to be sure of it."""
INCLUSIVE: Final = np.array([0, 0, 1, 1], np.int32)
"""Ours are half-open boxes, SAM's end at the last pixel: what NMS and the edge filter compare."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one tile gave."""

    lobes: Patches
    """Masks as SAM's generator returns them: good, and no two of them with nearly the same box; they may overlap. After
    them those that only a particle mask vouches for."""
    particles: Patches
    """Particle masks, each asked for at the prompt of a lobe."""
    lobe_of_particle: I64
    """(K,) index into ``lobes``."""
    prompts: int
    """Points whose masks were asked for."""

    def __getitem__(self, kept: I64) -> Found:
        """Only the lobes ``kept``, in that order, with their particles."""
        place = np.full(len(self.lobes), -1, np.int64)
        place[kept] = np.arange(len(kept))
        index = place[self.lobe_of_particle]
        return replace(self, lobes=self.lobes[kept], particles=self.particles[index >= 0],
                       lobe_of_particle=index[index >= 0])  # fmt: skip


NOTHING: Final = Found(Patches.empty(), Patches.empty(), np.zeros(0, np.int64), 0)


def at(finished: Bool, points: F32, tile: Area) -> Bool:
    """(N,) bool: what a map (h, w) of a tile says at (N, 2) points, (x, y), image px."""
    x, y = points.astype(np.int64).T
    at: Bool = finished[y - tile.row0, x - tile.col0]
    return at


def fill(finished: Bool, patches: Patches, tile: Area) -> None:
    """Mark the pixels (h, w) of a tile that masks hold."""
    for i, (x0, y0, x1, y1) in enumerate((patches.boxes - [tile.col0, tile.row0] * 2).tolist()):
        finished[y0:y1, x0:x1] |= patches.patch(i) > 0


class Crop:
    """The masks of one crop as they gather."""

    def __init__(self, session: Session, embedding: Embedding, area: Area, settings: Settings) -> None:
        self.session, self.embedding, self.area, self.settings = session, embedding, area, settings
        self.frame, self.stride = embedding.frame, session.card.mask_stride
        self.good = Clips.empty()
        self.points = self.asked = np.empty((0, 2), np.float32)

    def prompt(self, points: F32, lattice: tuple[int, int], still_open: Bool, grey: Grey) -> None:
        """Ask the points of a lattice that the schedule wants; (N,) bool says which are still open."""
        self.points = points
        if self.settings.schedule == "exact":
            self.ask(points)
        elif self.session.card.window is not None:
            self.best_first(points, lattice, still_open, grey)
        else:
            self.coarse_to_fine(points, lattice, still_open, grey)

    def best_first(self, points: F32, lattice: tuple[int, int], still_open: Bool, _: Grey) -> None:
        """The order of a model that tells scores without masks."""
        schedule.best_first(
            lambda i: scores(self.session, self.embedding, points[i], Role.LOBE), lattice,
            self.settings.pred_iou_thresh, lambda i: self.ask(points[i]),
            lambda i: ~still_open[i] | self.held(points[i]),
        )  # fmt: skip

    def coarse_to_fine(self, points: F32, lattice: tuple[int, int], still_open: Bool, grey: Grey) -> None:
        """The order of any other."""
        corner = np.array([self.frame.area.col0, self.frame.area.row0], np.float32)
        spacing = max(side / n for side, n in zip(self.frame.area.shape, lattice, strict=True))
        structure = schedule.structured(grey.of(self.frame.area), points - corner, spacing)
        schedule.coarse_to_fine(
            lattice, structure, lambda i: self.ask(points[i]), lambda i: ~still_open[i] | self.held(points[i])
        )

    def ask(self, points: F32) -> int:
        """Decode lobes at (N, 2) points, (x, y), image px, and keep the good ones; gives how many there were."""
        self.asked = np.concatenate([self.asked, points])
        settings = self.settings
        parts = [self.good]
        for candidates in decode(self.session, self.embedding, points, Role.LOBE, settings.pred_iou_thresh,
                                 settings.stability_score_offset, self._windows(len(points))):  # fmt: skip
            parts.append(self._good(candidates, settings))
        before, self.good = len(self.good), Clips.concatenate(parts)
        return len(self.good) - before

    def _windows(self, n: int) -> F32 | None:
        """(N,) sides of the first windows, image px, where they are not to be the card's."""
        if self.settings.schedule == "adaptive" or self.session.card.window is None:
            return None
        side = EXACT_WINDOW * self.session.card.window * self.stride / max(self.frame.scale)
        return np.full(n, side, np.float32)

    def _good(self, candidates: Candidates, settings: Settings) -> Clips:
        likely = candidates[select.good(candidates, settings, STABILITY_MARGIN)]
        clips, _ = upsample.clip(likely, self.frame, self.stride, self.frame.area, settings.stability_score_offset)
        stable: Bool = clips.stability >= np.float32(settings.stability_score_thresh)
        return clips[stable]

    def held(self, points: F32) -> Bool:
        """(N,) bool: the point lies in a good lobe, or in a mask whose points have shown no smaller one in it."""
        good, finished = self._finished()
        holder = upsample.holders(good, self.frame, self.stride, points)
        held: Bool = (holder >= 0) & np.append(finished, False)[holder]
        return held

    def finished(self) -> Patches:
        """The masks inside which there is nothing left to ask."""
        good, finished = self._finished()
        return upsample.patches(good[finished], self.frame, self.stride)

    def _finished(self) -> tuple[Clips, Bool]:
        """The good masks, and (N,) bool: a lobe, or its points have shown that it holds no smaller mask."""
        good = self.good[self._best(self.good)]
        if Role.UNKNOWN not in good.role:
            return good, np.ones(len(good), bool)
        shown = upsample.holders(good, self.frame, self.stride, self.asked)
        enough: Bool = np.bincount(shown[shown >= 0], minlength=len(good)) >= schedule.SHOWN
        return good, enough

    def found(self) -> Found:
        """The masks that live in this crop, and their particles."""
        lobes = self.living(self.good)
        particles, owner = self.particles_of(lobes)
        inside, prompts = self._inside(particles, lobes)
        theirs, of = self.particles_of(inside)
        return Found(Patches.concatenate([lobes, inside]), Patches.concatenate([particles, theirs]),
                     np.concatenate([owner, of + len(lobes)]), len(self.asked) + prompts)  # fmt: skip

    @property
    def rim(self) -> int:
        """Pixels around the boxes of lobes."""
        return int(upsample.rim_at(np.array(self.frame.scale[:1], np.float32))[0])

    def living(self, clips: Clips) -> Patches:
        """Those that no edge of the tile cuts, each once."""
        uncut = clips[~select.cut_by_tile(clips.boxes - INCLUSIVE, self.frame.area, self.area)]
        return upsample.patches(uncut[self._best(uncut)], self.frame, self.stride, self.rim)

    def _inside(self, particles: Patches, lobes: Patches) -> tuple[Patches, int]:
        """Lobes where a particle mask has room for one that no lobe holds, and how many points were asked for them.

        A dim lobe, or one between two others, has a low score; a particle that goes on there vouches for it.
        """
        settings, tile = self.settings, self.frame.area
        if len(particles) == 0 or settings.inside_iou_thresh == 1:
            return Patches.empty(), 0
        particle, lobe = np.zeros(tile.shape, bool), np.zeros(tile.shape, bool)
        fill(particle, particles[particles.iou >= VOUCHING], tile)
        fill(lobe, lobes, tile)
        free = particle & ~lobe
        usual = float(np.median([np.count_nonzero(lobes.patch(i) > 0) for i in range(len(lobes))]))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * math.ceil(ROOM * math.sqrt(usual / math.pi)) + 1,) * 2)
        room = cv2.morphologyEx(free.astype(np.uint8), cv2.MORPH_OPEN, disc)
        points = self.points[at(room.astype(bool), self.points, tile)]
        lower = replace(settings, pred_iou_thresh=min(settings.pred_iou_thresh, settings.inside_iou_thresh),
                        stability_score_thresh=min(settings.stability_score_thresh, settings.inside_stability_thresh))
        parts = [Clips.empty()]
        for candidates in decode(self.session, self.embedding, points, Role.LOBE, lower.pred_iou_thresh,
                                 settings.stability_score_offset):  # fmt: skip
            parts.append(self._good(candidates, lower))
        found = self.living(Clips.concatenate(parts))
        return found[np.flatnonzero([self._is_lobe(found, i, free, usual) for i in range(len(found))])], len(points)

    def _is_lobe(self, found: Patches, i: int, free: Bool, usual: float) -> bool:
        """Whether mask ``i`` is as round and large (px²) as a lobe, and lies for the most part where there is room."""
        x0, y0, x1, y1 = found.boxes[i] - [self.frame.area.col0, self.frame.area.row0] * 2
        mask = found.patch(i) > 0
        size = np.count_nonzero(mask)
        alike = size >= SIZED * usual and masks.solidity(mask) >= ROUNDED
        return bool(alike and np.count_nonzero(mask & free[y0:y1, x0:x1]) > size / 2)

    def _best(self, clips: Clips) -> I64:
        return select.nms(clips.boxes - INCLUSIVE, clips.iou, self.settings.box_nms_thresh)

    def particles_of(self, lobes: Patches) -> tuple[Patches, I64]:
        """Particle masks at the prompts of the lobes, and the lobe each belongs to."""
        if not channels(self.session, Role.PARTICLE):
            return Patches.empty(), np.zeros(0, np.int64)
        lobe_at = {tuple(p): i for i, p in enumerate(self.frame.to_model(lobes.points).tolist())}
        tight = lobes.tight
        expected = PARTICLE_SIZE * (tight[:, 2:] - tight[:, :2]).max(1).astype(np.float32)
        parts, owners = [], [np.zeros(0, np.int64)]
        for candidates in decode(self.session, self.embedding, lobes.points, Role.PARTICLE, PARTICLE_IOU, 1.0,
                                 expected):  # fmt: skip
            clips, _ = upsample.clip(candidates, self.frame, self.stride, self.frame.area, 1.0)
            parts.append(upsample.patches(clips, self.frame, self.stride))
            owners.append(np.array([lobe_at[tuple(p)] for p in clips.points.tolist()], np.int64))
        return Patches.concatenate(parts), np.concatenate(owners)
