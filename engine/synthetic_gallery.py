"""One contact sheet of every kind of micrograph that can be rendered, each beside its truth."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from .synthetic import render
from .synthetic_kinds import KINDS, kind
from .types import U8

TILE: Final = (240, 320)
COLUMNS: Final = 5
LINE: Final = 18
"""Height of the name under a picture, px."""


def gallery(seed: int = 0) -> U8:
    """(H, W, 3) BGR: for each kind a micrograph, and its lobes with the outlines of the particles drawn into them."""
    tiles = [_tile(name, seed + i) for i, name in enumerate(KINDS)]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    return np.vstack(rows)


def _tile(name: str, seed: int) -> U8:
    truth = render(kind(name, seed=seed, shape=TILE))
    colours = np.random.default_rng(1).integers(70, 256, (int(truth.lobes.max()) + 1, 3), dtype=np.uint8)
    colours[0] = 0
    lobes = colours[truth.lobes]
    edge = np.zeros(TILE, bool)
    edge[:, 1:] |= truth.particles[:, 1:] != truth.particles[:, :-1]
    edge[1:] |= truth.particles[1:] != truth.particles[:-1]
    lobes[edge] = 255
    line = np.full((LINE, 2 * TILE[1], 3), 255, np.uint8)
    text = f"{name}: {len(truth.radii)} lobes, {int(truth.particles.max())} particles"
    cv2.putText(line, text, (4, LINE - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([np.hstack([np.repeat(truth.image[..., None], 3, 2), lobes]), line])
