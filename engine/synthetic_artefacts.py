"""What goes wrong in a microscope: drift, astigmatism, charging, vignetting, few electrons. Each draws for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from . import kernels_synthetic as kernels

if TYPE_CHECKING:
    from .synthetic import Scene

F32 = NDArray[np.float32]


def sway(scene: Scene) -> NDArray[np.float64]:
    """(H,) shift of each row to the right, px: the stage creeps, the beam trembles and now and then jumps."""
    rows = scene.shape[0]
    if scene.drift == 0:
        return np.zeros(rows)
    rng = np.random.default_rng([scene.seed, 7])
    t = np.linspace(0, 1, rows)
    creep = rng.normal() * t + 0.5 * rng.normal() * np.sin(2 * np.pi * (rng.uniform(0.5, 3) * t + rng.random()))
    jumps = np.cumsum((rng.random(rows) < 3 / rows) * rng.normal(0, 0.4, rows))
    shift = creep + jumps + 0.04 * rng.normal(size=rows)
    return np.asarray(scene.drift * (shift - shift.mean()))


def optics(image: F32, scene: Scene) -> F32:
    """Astigmatism and vignetting."""
    rng = np.random.default_rng([scene.seed, 8])
    turn, (x, y) = rng.uniform(0, np.pi), rng.uniform(0.3, 0.7, 2)
    if scene.astigmatism > 0:
        half = int(np.ceil(3 * scene.astigmatism))
        step = np.arange(-half, half + 1)
        u, v = np.meshgrid(step, step)
        along, across = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
        spread = np.exp(-0.5 * (along / scene.astigmatism) ** 2 - 0.5 * (across / 0.35) ** 2)
        image = cv2.filter2D(image, -1, spread / spread.sum(), borderType=cv2.BORDER_REFLECT).astype(np.float32)
    if scene.vignetting > 0:
        h, w = image.shape
        rows, cols = np.ogrid[:h, :w]
        away = np.hypot(rows / h - y, cols / w - x)
        image = image * (1 - scene.vignetting * (away / away.max()) ** 2).astype(np.float32)
    return np.asarray(image, np.float32)


def charged(image: F32, bright: NDArray[np.bool_], scene: Scene) -> F32:
    """Streaks: what follows a charged particle in its row is darker or brighter, and rows jump in brightness."""
    if scene.charging == 0:
        return image
    rng = np.random.default_rng([scene.seed, 9])
    trail = np.zeros(image.shape, np.float32)
    h, w = image.shape
    kernels.trail(bright, float(np.exp(-1 / rng.uniform(0.02 * w, 0.3 * w))), trail)
    flicker = np.exp(rng.normal(0, 0.5, (h, 1))).astype(np.float32)
    rows = np.where(rng.random(h) < 0.08, rng.normal(0, 0.4, h), 0)
    begin, end = np.sort(rng.random((h, 2)) * w, axis=1).T
    part = (np.arange(w) >= begin[:, None]) & (np.arange(w) < end[:, None])
    sign = np.float32(-1 if rng.random() < 0.7 else 0.7)
    streaks = sign * trail * flicker + (rows[:, None] * part).astype(np.float32)
    return np.asarray(image + np.float32(scene.charging) * streaks, np.float32)


def counted(image: F32, scene: Scene) -> F32:
    """The image as its electrons are counted, ``dose`` of them in white."""
    if scene.dose == 0:
        return image
    rng = np.random.default_rng([scene.seed, 10])
    return np.asarray(rng.poisson(np.clip(image, 0, 1) * scene.dose) / scene.dose, np.float32)
