"""Shading of a rendered micrograph: what an electron microscope makes of a height map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .synthetic import Scene

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Surface:
    """What is visible in every pixel; (H, W) each."""

    height: F32
    """px above the substrate."""
    cosine: F32
    """Of the angle between surface normal and beam; 1 on the substrate."""
    thickness: F32
    """Of all particles along the beam, px."""
    lobe: I32
    """Visible lobe, 1 … L; 0 is substrate."""
    particle: I32
    """Visible particle, 1 … P; 0 is substrate."""
    material: F32 | float = 1.0
    """Brightness of what is visible by what it is made of, ÷ that of plain particles."""
    ground: F32 | float = 1.0
    """Brightness of the support ÷ that of a plain one."""


def blurred(image: NDArray[np.float32], sigma: float) -> F32:
    """Gaussian blur; wide ones on a reduced image, where they look the same and cost little."""
    if sigma <= 0.2:
        return image
    step = int(min(8, max(1, sigma // 3)))
    if step == 1:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)
    h, w = image.shape
    small = cv2.resize(image, (max(w // step, 1), max(h // step, 1)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)


def texture(shape: tuple[int, int], rng: np.random.Generator, scale: float) -> F32:
    """Smooth noise of zero mean and unit SD with features of about ``scale`` px."""
    h, w = (max(int(n / scale) + 3, 4) for n in shape)
    noise = cv2.resize(rng.standard_normal((h, w), np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray((noise - noise.mean()) / (noise.std() + 1e-6), np.float32)


def boundaries(s: Surface, *, within: bool) -> F32:
    """1 on both sides of a border between two lobes of one particle (or of two, where not ``within``), else 0."""
    line = np.zeros(s.lobe.shape, np.float32)
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        border = (s.lobe[a] != s.lobe[b]) & (s.lobe[a] > 0) & (s.lobe[b] > 0)
        border &= (s.particle[a] == s.particle[b]) == within
        line[a][border] = 1
        line[b][border] = 1
    return line


def secondary_electrons(scene: Scene, s: Surface, rng: np.random.Generator) -> F32:
    """Bright particles on a darker substrate; about 0 … 1, without noise."""
    r = scene.radius_px
    solid = (s.lobe > 0).astype(np.float32)
    h = s.height / r
    crowd = blurred(solid, r * rng.uniform(1.0, 3.0))
    level = rng.uniform(0.45, 0.75)
    n_lobes, n_particles = int(s.lobe.max(initial=0)) + 1, int(s.particle.max(initial=0)) + 1
    lobe_level = 1 + rng.normal(0, rng.choice([0.0, 0.02, 0.06]), n_lobes).astype(np.float32)
    particle_level = 1 + rng.normal(0, rng.choice([0.0, 0.03, 0.1]), n_particles).astype(np.float32)
    # The yield of secondary electrons rises as 1/cos of the tilt (Reimer, Scanning Electron Microscopy, ch. 4),
    # but escape is limited close to the edge.
    steep = 1 / np.maximum(s.cosine, 0.18) ** rng.uniform(0.4, 1.0) - 1
    bright = level * lobe_level[s.lobe] * particle_level[s.particle]
    bright += steep * (level * rng.uniform(0.0, 0.16) * (1 if rng.random() < 0.9 else 2.5))
    bright += (h - 1.2) * rng.uniform(0.0, 0.10)
    theta, light = rng.uniform(0, 2 * np.pi), rng.choice([0.0, 1.0]) * rng.uniform(0, 0.09)
    if light > 0:
        gy, gx = np.gradient(blurred(s.height, max(0.7, 0.08 * r)))
        slope = gx * np.float32(np.cos(theta)) + gy * np.float32(np.sin(theta))
        bright += np.float32(light) * slope / np.sqrt(1 + slope**2)
    bright *= 1 - rng.uniform(0.0, 0.45) * np.clip(crowd - 0.3, 0, 1)
    # Neighbours shade what lies lower: dark contacts, soft creases.
    for sigma, most in ((0.25, 0.9), (0.7, 0.5)):
        hidden = np.clip(blurred(h, sigma * r) - h, 0, 1)
        bright *= 1 - rng.uniform(0.0, most) * hidden
    crease = float(np.exp(rng.uniform(np.log(0.008), np.log(0.2)))) * (1 if rng.random() < 0.85 else -0.6)
    line = blurred(boundaries(s, within=True), rng.uniform(0.4, 1.0) * max(1.0, r / 25))
    bright -= np.float32(crease) * line * level
    contact = blurred(boundaries(s, within=False), rng.uniform(0.5, 1.3) * max(1.0, r / 25))
    bright *= 1 - np.float32(rng.uniform(0.0, 0.7)) * contact
    if rng.random() < 0.25:
        bright += texture(scene.shape, rng, rng.uniform(1.5, 0.5 * r + 1.5)) * np.float32(rng.uniform(0.005, 0.03))
    ground = level * rng.uniform(0.1, 0.75)
    shadow = blurred(solid, r * rng.uniform(0.4, 1.2)) * rng.uniform(0.2, 1.3)
    floor = ground * np.clip(1 - shadow, 0.04, 1) ** rng.uniform(1, 2)
    if rng.random() < 0.7:
        grain = texture(scene.shape, rng, float(np.exp(rng.uniform(np.log(1.2), np.log(25)))))
        floor = floor * (1 + np.float32(rng.uniform(0.01, 0.12)) * grain)
    if rng.random() < 0.1:
        floor = floor + np.float32(level * rng.uniform(0.1, 0.3)) * (texture(scene.shape, rng, r) > 2.2)
    return np.asarray(np.where(solid > 0, bright * s.material, floor * s.ground), np.float32)


def transmission(scene: Scene, s: Surface, rng: np.random.Generator) -> F32:
    """Dark particles on a bright support, by absorption along the beam; 0 … 1, without noise."""
    support = rng.uniform(0.6, 0.9) * (1 + np.float32(rng.uniform(0.0, 0.05)) * texture(scene.shape, rng, 3.0))
    absorbed = rng.uniform(0.4, 2.0) / (2 * scene.radius_px)
    image = support * s.ground * np.exp(-absorbed * s.thickness)
    crease = float(np.exp(rng.uniform(np.log(0.008), np.log(0.15)))) * rng.choice([-1.0, 1.0])
    image = image - np.float32(crease) * blurred(boundaries(s, within=True), 0.7)
    fringe = np.clip(blurred((s.lobe > 0).astype(np.float32), 1.5) - (s.lobe > 0), 0, 1)
    return np.asarray(image + np.float32(rng.uniform(0, 0.08)) * fringe, np.float32)
