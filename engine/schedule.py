"""Which points of a grid are asked, and in what order: all of them, or those that can still tell something new.

The adaptive orders give what all points give (``benchmarks/speed.py`` compares them) for a fraction of the prompts:

- A windowed model tells the predicted IoU of a prompt for a small part of what its mask costs. Points are scored first,
  and masks asked for best first: the best prompt of a lobe is the one that non-maximum suppression keeps of them
  all, so the points that its mask holds need not be decoded.
- Other models pay nearly all before they know a score. A coarse lattice comes first, finer ones between it: only where
  no finished mask holds the point, and only where the micrograph has structure that a particle could be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from .prompt import waves
from .types import F32, I64, U8, Bool

PEAKS: Final = (17, 9, 5, 3)
"""Sides of the squares, in grid steps, in which the best point is asked first; the last again and again."""
PROMISING: Final = 0.1
"""Predicted IoU beside which a better one may lie: of the points above 0.6 on micrographs all but one in a thousand lie
beside one above 0.4, of those in rendered lobes as small as the model resolves all but one in a hundred above 0.15."""
FLAT: Final = 2.0
"""Local contrast ÷ that of the flattest tenth of a tile, below which there is nothing to find."""
FLATTEST: Final = 0.1
RELATIVE: Final = 0.3
"""… or ÷ that of the most structured tenth, where particles lie so dense that even the flattest is none."""
LEAST_CONTRAST: Final = 1.0
"""Grey levels of 8 bit; below it nothing is seen anyway."""
SHOWN: Final = 2
"""Points decoded inside a mask without roles after which it is held to have no smaller mask inside."""

Score = Callable[[I64], F32]
"""The predicted IoU at the points of an index."""
Ask = Callable[[I64], int]
"""Decode the points of an index; gives how many good masks came of it."""
Held = Callable[[I64], Bool]
"""Which points of an index lie in a mask that makes asking them idle."""


def best_first(score: Score, lattice: tuple[int, int], threshold: float, ask: Ask, held: Held) -> None:
    """Ask the points of a lattice (rows, columns) whose score exceeds a threshold, best of their square first.

    Every second point of every second row is scored, then the others that lie beside a ``PROMISING`` one.
    """
    scores, coarse = np.zeros(lattice, np.float32), np.zeros(lattice, bool)
    coarse[::2, ::2] = True
    scores[coarse] = score(np.flatnonzero(coarse))
    beside = (cv2.dilate(scores, np.ones((3, 3), np.uint8)) >= PROMISING) & ~coarse
    scores[beside] = score(np.flatnonzero(beside))
    waiting = scores > np.float32(threshold)
    waiting.ravel()[waiting.ravel()] = ~held(np.flatnonzero(waiting))
    turn = 0
    while waiting.any():
        side = PEAKS[min(turn, len(PEAKS) - 1)]
        field = np.where(waiting, scores, 0)
        peaks = waiting & (field == cv2.dilate(field, np.ones((side, side), np.uint8)))
        ask(np.flatnonzero(peaks))
        waiting &= ~peaks
        left = np.flatnonzero(waiting)
        waiting.ravel()[left] = ~held(left)
        turn += 1


def coarse_to_fine(lattice: tuple[int, int], structure: Bool, ask: Ask, held: Held) -> None:
    """Ask a lattice (rows, columns) of N points wave by wave; ``structure`` (N,) tells where finer ones may go."""
    for turn, wave in enumerate(waves(*lattice)):
        chosen = wave if turn == 0 else wave[structure[wave]]
        chosen = chosen[~held(chosen)]
        found = ask(chosen) if len(chosen) else 0
        if turn > 0 and found == 0:
            break


def structured(grey: U8, points: F32, spacing: float) -> Bool:
    """(N,) bool: near (N, 2) points, (x, y), px of a tile (H, W) uint8, there is more contrast than substrate has.

    ``spacing`` is that of the points, px: a point answers for the square of twice that side around it.
    """
    side = max(3, 2 * round(spacing) + 1)
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.5).astype(np.float32)
    mean = cv2.blur(smooth, (side, side))
    spread = np.sqrt(np.maximum(cv2.blur(smooth * smooth, (side, side)) - mean * mean, 0))
    flattest, most = np.quantile(spread, (FLATTEST, 1 - FLATTEST))
    flat = max(min(FLAT * flattest, RELATIVE * most), LEAST_CONTRAST)
    height, width = grey.shape
    x, y = np.rint(points).astype(np.int64).T
    return np.asarray(spread[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)] > flat)
