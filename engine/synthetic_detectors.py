"""Looks of single detectors: in-lens, at the side, backscattered electrons, dark field. About 0 … 1, without noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .synthetic_look import Surface, blurred, boundaries, texture

if TYPE_CHECKING:
    from .synthetic import Scene

F32 = NDArray[np.float32]


def _levels(count: int, sd: float, rng: np.random.Generator) -> F32:
    return np.exp(rng.normal(0, sd, count + 1)).astype(np.float32)


def _floor(scene: Scene, s: Surface, level: float, rng: np.random.Generator) -> F32:
    """The substrate: a little grain, and the relief of the support."""
    grain = texture(scene.shape, rng, float(np.exp(rng.uniform(np.log(1.2), np.log(20)))))
    return np.asarray(level * (1 + np.float32(rng.uniform(0, 0.08)) * grain) * s.ground, np.float32)


def in_lens(scene: Scene, s: Surface, rng: np.random.Generator) -> F32:
    """Secondary electrons caught in the lens: bright rims, flat middles, hardly a shadow, every film on the surface."""
    r = scene.radius_px
    solid = (s.lobe > 0).astype(np.float32)
    level = rng.uniform(0.35, 0.65)
    rim = (1 / np.maximum(s.cosine, 0.12) ** rng.uniform(0.6, 1.2) - 1) * rng.uniform(0.05, 0.25)
    bright = level * _levels(int(s.particle.max(initial=0)), 0.06, rng)[s.particle] * s.material + level * rim
    hidden = np.clip(blurred(s.height / r, 0.4 * r) - s.height / r, 0, 1)
    bright *= 1 - rng.uniform(0.1, 0.8) * hidden
    line = blurred(boundaries(s, within=True) + boundaries(s, within=False), max(0.6, r / 40))
    bright -= np.float32(rng.uniform(-0.1, 0.3) * level) * line
    floor = _floor(scene, s, level * rng.uniform(0.15, 0.85), rng)
    floor = floor * (1 - rng.uniform(0, 0.5) * blurred(solid, 0.5 * r))
    return np.asarray(np.where(solid > 0, bright, floor), np.float32)


def lateral(scene: Scene, s: Surface, rng: np.random.Generator) -> F32:
    """A detector at the side: lit from there, with shadows behind particles."""
    r = scene.radius_px
    solid = (s.lobe > 0).astype(np.float32)
    level, turn = rng.uniform(0.4, 0.65), rng.uniform(0, 2 * np.pi)
    h = s.height / r
    gy, gx = np.gradient(blurred(s.height, max(0.8, 0.06 * r)))
    slope = gx * np.float32(np.cos(turn)) + gy * np.float32(np.sin(turn))
    lit = np.float32(rng.uniform(0.08, 0.28)) * slope / np.sqrt(1 + slope**2)
    rim = (1 / np.maximum(s.cosine, 0.2) - 1) * rng.uniform(0.02, 0.12) * level
    bright = level * _levels(int(s.particle.max(initial=0)), 0.04, rng)[s.particle] * s.material + lit + rim
    bright *= 1 - rng.uniform(0.2, 0.8) * np.clip(blurred(h, 0.3 * r) - h, 0, 1)
    bright += np.float32(rng.uniform(0, 0.06)) * (h - 1)
    shift = np.rint(np.array([np.sin(turn), np.cos(turn)]) * rng.uniform(0.3, 1.0) * r).astype(int)
    shadow = np.roll(blurred(solid, 0.35 * r), tuple(-shift), (0, 1)) * rng.uniform(0.2, 0.9)
    floor = _floor(scene, s, level * rng.uniform(0.25, 0.9), rng) * np.clip(1 - shadow, 0.1, 1)
    return np.asarray(np.where(solid > 0, bright, floor), np.float32)


def backscattered(scene: Scene, s: Surface, rng: np.random.Generator) -> F32:
    """Backscattered electrons: bright by atomic number, flat, fading where a particle is thin."""
    level, ground = rng.uniform(0.55, 0.9), rng.uniform(0.05, 0.35)
    full = 1 - np.exp(-s.thickness / (scene.radius_px * rng.uniform(0.1, 0.8)))
    mass = level * _levels(int(s.particle.max(initial=0)), rng.choice([0.02, 0.12]), rng)[s.particle] * s.material
    line = blurred(boundaries(s, within=True) + boundaries(s, within=False), max(0.6, scene.radius_px / 40))
    floor = _floor(scene, s, ground, rng)
    return np.asarray(floor + (mass - floor) * full - np.float32(rng.uniform(0, 0.12)) * line, np.float32)


def dark_field(scene: Scene, s: Surface, rng: np.random.Generator) -> F32:
    """Electrons scattered to wide angles in transmission: bright by mass and thickness."""
    mass = s.thickness / (2 * scene.radius_px)
    strong = rng.uniform(0.05, 0.6) if rng.random() < 0.35 else 0.05
    mass = mass * _levels(int(s.particle.max(initial=0)), strong, rng)[s.particle]
    bright = 1 - np.exp(-mass * rng.uniform(0.6, 2.0))
    floor = _floor(scene, s, rng.uniform(0.02, 0.2), rng)
    line = blurred(boundaries(s, within=True), max(0.6, scene.radius_px / 40))
    return np.asarray(floor + rng.uniform(0.55, 0.9) * bright - np.float32(rng.uniform(-0.02, 0.06)) * line, np.float32)
