"""What lobes of a rendered micrograph carry and hold, all of which is theirs: grains, pores, a second half, a core."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from .synthetic_layout import Layout
from .synthetic_look import Surface, texture
from .synthetic_shapes import SOLIDS
from .synthetic_support import ground

if TYPE_CHECKING:
    from .synthetic import Scene

SURFACES: Final = ("smooth", "rough", "porous", "raspberry", "janus", "core_shell")
MOST_GRAINS: Final = 40_000


def grains(layout: Layout, rng: np.random.Generator) -> Layout:
    """Every lobe covered with small spheres, which belong to it."""
    n = len(layout.particle)
    size = rng.uniform(0.1, 0.3)
    per_lobe = int(min(rng.uniform(0.5, 1.2) * 2 / size**2, MOST_GRAINS / max(n, 1)))
    if n == 0 or per_lobe == 0:
        return layout
    cores = layout.cores
    lobe = np.repeat(np.arange(n), per_lobe)
    up, turn = rng.uniform(-0.1, 1, len(lobe)), rng.uniform(0, 2 * np.pi, len(lobe))
    across = np.sqrt(1 - up**2)
    core = cores[lobe]
    radii, stretch, angle = layout.radii[core], layout.stretch[core], layout.angle[core]
    u, v = across * np.cos(turn) * radii * stretch, across * np.sin(turn) * radii / stretch
    bodies: dict[str, NDArray[Any]] = {
        "x": layout.x[core] + 0.95 * (np.cos(angle) * u - np.sin(angle) * v),
        "y": layout.y[core] + 0.95 * (np.sin(angle) * u + np.cos(angle) * v),
        "z": layout.z[core] + 0.95 * up * radii / stretch,
        "radii": radii * size * np.exp(rng.normal(0, 0.15, len(lobe))),
        "stretch": np.ones(len(lobe)),
        "angle": np.zeros(len(lobe)),
        "facets": np.full(len(lobe), 2.0),
        "form": np.full(len(lobe), -1),
        "lobe": lobe,
    }
    order = np.argsort(np.concatenate([layout.lobe, lobe]), kind="stable")
    return replace(layout, **{k: np.concatenate([getattr(layout, k), a])[order] for k, a in bodies.items()})


def finish(scene: Scene, layout: Layout, s: Surface, aside: NDArray[np.float64]) -> Surface:
    """The surface with what its lobes carry and what it lies on; all drawn from generators of their own."""
    s = replace(s, ground=ground(scene))
    if scene.particle in SOLIDS and scene.style in ("tem", "dark_field"):
        s = replace(s, thickness=s.thickness * _diffraction(s, np.random.default_rng([scene.seed, 11])))
    if scene.surface in ("smooth", "raspberry") or not s.lobe.any():
        return s
    rng = np.random.default_rng([scene.seed, 5])
    if scene.surface in ("rough", "porous"):
        return _pitted(scene, s, rng)
    # Where in its lobe a pixel lies, in radii: (x, y) and how far above the middle.
    rows, cols = np.nonzero(s.lobe)
    lobe = s.lobe[rows, cols] - 1
    core = layout.cores[lobe]
    x, y = (cols - aside[rows] - layout.x[core]) / layout.radii[core], (rows - layout.y[core]) / layout.radii[core]
    squared = x**2 + y**2
    n = len(layout.particle)
    material, thickness = np.ones(s.lobe.shape, np.float32), s.thickness.copy()
    if scene.surface == "janus":
        normal = rng.normal(size=(n, 3)) * [1, 1, 0.5]
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        above = np.sqrt(np.maximum(1 - squared, 0))
        side = (x * normal[lobe, 0] + y * normal[lobe, 1] + above * normal[lobe, 2] - rng.uniform(-0.3, 0.3)) * 12
        coat = 0.5 + 0.5 * np.tanh(side)
        gain = rng.uniform(0.2, 0.9) * rng.choice([1, -0.6])
        material[rows, cols] += (gain * coat).astype(np.float32)
        thickness[rows, cols] *= (1 + abs(gain) * coat).astype(np.float32)
        return replace(s, material=material, thickness=thickness)
    share = np.clip(rng.uniform(0.4, 0.8) * np.exp(rng.normal(0, 0.08, n)), 0.2, 0.92)[lobe]
    off = rng.normal(0, 0.04, (n, 2))[lobe]
    within = np.maximum(share**2 - (x - off[:, 0]) ** 2 - (y - off[:, 1]) ** 2, 0)
    chord = np.sqrt(within)
    denser = rng.uniform(1.5, 6.0) if rng.random() < 0.7 else -rng.uniform(0.6, 0.95)
    material[rows, cols] += (rng.uniform(0.1, 0.7) * np.sign(denser) * chord).astype(np.float32)
    thickness[rows, cols] += (2 * chord * denser * layout.radii[core]).astype(np.float32)
    return replace(s, material=material, thickness=np.maximum(thickness, 0))


def _pitted(scene: Scene, s: Surface, rng: np.random.Generator) -> Surface:
    """Fine roughness, or pores with bright rims."""
    r = scene.radius_px
    porous = scene.surface == "porous"
    scale = max(1.2, r * (rng.uniform(0.08, 0.25) if porous else rng.uniform(0.04, 0.15)))
    field = cv2.GaussianBlur(texture(s.lobe.shape, rng, scale), (0, 0), 0.4 * scale)
    field = (field - field.mean()) / (field.std() + 1e-6)
    if porous:
        field = -1 / (1 + np.exp(-6 * (field - np.float32(rng.uniform(0.2, 0.9)))))
    depth = np.float32(rng.uniform(0.3, 0.75) if porous else rng.uniform(0.05, 0.14))
    material = np.where(s.lobe > 0, np.maximum(1 + depth * field, 0.1), 1).astype(np.float32)
    height = s.height + np.where(s.lobe > 0, 0.1 * r * depth * field, 0).astype(np.float32)
    return replace(s, material=material, thickness=s.thickness * material, height=height)


def _diffraction(s: Surface, rng: np.random.Generator) -> NDArray[np.float32]:
    """(H, W) factor on the absorption of crystals: each by its orientation, some with twins or bends."""
    n = int(s.particle.max(initial=0))
    factor = np.exp(rng.normal(0, 0.35, n + 1)).astype(np.float32)[s.particle]
    rows, cols = np.indices(s.particle.shape, np.float32)
    banded = rng.random(n + 1) < 0.3
    turn, phase = rng.uniform(0, np.pi, (2, n + 1)).astype(np.float32)
    pitch = rng.uniform(4, 30)
    wave = np.sin((cols * np.cos(turn)[s.particle] + rows * np.sin(turn)[s.particle]) / pitch + 2 * phase[s.particle])
    return np.asarray(factor * np.where(banded[s.particle] & (wave > 0.4), 1.4, 1.0), np.float32)
