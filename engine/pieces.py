"""Pieces of one lobe become one: between them the outline has no neck, and the grey values no crease.

A network that knows lobes for round takes a rod, or a shell of two shades, for several. Two neighbours are pieces of
one lobe where a small network says so, of the same evidence as that for sets; where pieces are common in a tile
each pair is likelier to be two. Its coefficients are data (``pieces.json``), fitted on rendered micrographs.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from . import evidence, masks, partition, votes
from .crop import Found
from .evidence import Contacts
from .ragged import Patches
from .types import F32, I32, I64, Area, Bool

F64 = NDArray[np.float64]

LEAST: Final = 0.0
"""Log-odds from which on two neighbours are pieces of one lobe."""
TOUCHING: Final = 0.1
"""Least shared border of two pieces, as ``evidence`` gives it, …"""
GAP: Final = 3.0
"""… and the greatest gap between them, px: what a border of both leaves out."""
SMALLEST: Final = 7.0
"""Least radius of the smaller one, px: between smaller ones a neck is not resolved."""


def joined(found: Found, labels: I32, pixels: NDArray[Any]) -> Found:
    """The lobes of a tile with the pieces of each in one; the others, and the order of the best first, as they were.

    Parameters: ``found`` whose boxes are in px of the tile, and of which lobe i has label i + 1 in ``labels`` (h, w);
    ``pixels`` (h, w) grey values. A joined lobe has the scores of its best piece, and holds the pixels of all.
    """
    if len(found.lobes) < 2 or len(found.particles) == 0:
        return found
    height, width = labels.shape
    near = evidence.contacts(labels, pixels, Area(0, 0, height, width), votes.count(labels, found.particles))
    one = log_odds(near, found.lobes.iou) > LEAST
    group = partition.connected(len(found.lobes), near.pairs[one])
    members = np.flatnonzero(np.bincount(group)[group] > 1)
    if len(members) == 0:
        return found
    best, place = np.unique(group, return_inverse=True)
    whole = [_whole(found.lobes, members[group[members] == k], labels) for k in np.unique(group[members]).tolist()]
    apart = np.setdiff1d(best, group[members])
    lobes = Patches.concatenate([found.lobes[apart], *whole])
    order = np.argsort(np.append(apart, np.unique(group[members])), kind="stable")
    return replace(found, lobes=lobes[order], lobe_of_particle=place[found.lobe_of_particle].astype(np.int64))


def log_odds(near: Contacts, iou: F32) -> F64:
    """(M,) how much likelier each pair of neighbours is to be two pieces of one lobe than two lobes; logarithm.

    ``iou`` (N,) is the predicted IoU of the lobes, 0–1. −∞ where they cannot be pieces of one.
    """
    model = coefficients()
    by_itself = evidence.network(model, terms(near, iou))
    could_be = touching(near)
    context, common = model["context"], evidence.common(by_itself[could_be])
    total = context["intercept"] + context["pair"] * by_itself + context["tile"] * common
    resolved = near.evidence["size"] >= math.log(SMALLEST)
    return np.where(could_be & resolved, total, -np.inf)


def touching(near: Contacts) -> Bool:
    """(M,) which neighbours could be pieces of one lobe at all."""
    touching: Bool = (near.evidence["border"] >= TOUCHING) & (near.gap <= GAP)
    return touching


def terms(near: Contacts, iou: F32) -> dict[str, F64]:
    """Name → (M,): what tells, the evidence for sets and how sure the model is of the two: less of a piece."""
    both = iou[near.pairs].astype(np.float64)
    return {**near.evidence, "lower predicted iou": both.min(1), "higher predicted iou": both.max(1)}


@cache
def coefficients() -> dict[str, Any]:
    """The network as ``pieces.json`` has it, with where it comes from."""
    data: dict[str, Any] = json.loads((resources.files(__package__) / "pieces.json").read_text("utf-8"))
    return data


def _whole(lobes: Patches, members: I64, labels: I32) -> Patches:
    """The patches ``members``, best first, as one: the pixels of all, and what a border between them left out."""
    low, high = lobes.boxes[members, :2].min(0), lobes.boxes[members, 2:].max(0)
    logits = np.full((high - low)[::-1], -np.inf, np.float32)
    for i in members.tolist():
        x0, y0, x1, y1 = lobes.boxes[i] - np.tile(low, 2)
        np.maximum(logits[y0:y1, x0:x1], lobes.patch(i), out=logits[y0:y1, x0:x1])
    logits[np.isinf(logits)] = logits[np.isfinite(logits)].min()
    here = labels[low[1] : high[1], low[0] : high[0]]
    held = np.isin(here, members + 1)
    rim = math.ceil(GAP)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim - 1,) * 2)
    closed = cv2.morphologyEx(np.pad(held.astype(np.uint8), rim), cv2.MORPH_CLOSE, disc)[rim:-rim, rim:-rim]
    between = (closed > 0) & (here == 0) & (logits <= 0)
    logits[between] = masks.FAINT
    first = lobes[members[:1]]
    return replace(first, boxes=np.concatenate([low, high])[None].astype(np.int32),
                   offsets=np.array([0, logits.size], np.int64), logits=logits.ravel())  # fmt: skip
