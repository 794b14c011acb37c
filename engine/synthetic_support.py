"""What particles of a rendered micrograph lie on, and what lies there beside them. None of it is a lobe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from .synthetic_look import texture

if TYPE_CHECKING:
    from .synthetic import Scene
    from .synthetic_layout import Layout

F32 = NDArray[np.float32]

SHIFT: Final = 4
"""Fractional bits of cv2's drawing coordinates."""


def ground(scene: Scene) -> F32 | float:
    """(H, W) brightness of the support ÷ that of a plain one; drawn from a generator of its own."""
    if scene.support == "plain":
        return 1.0
    rng = np.random.default_rng([scene.seed, 6])
    more = RELIEFS[scene.support](scene, rng)
    strength = rng.uniform(0.3, 0.9)
    if scene.style == "tem":
        return np.asarray(np.minimum(np.exp(-strength * more), 1.45), np.float32)
    # What lies on a support is brighter than the support many times over, what is missing can but be black.
    gain = np.where(more > 0, strength * rng.uniform(0.5, 3.0), strength)
    return np.asarray(np.maximum(1 + gain * more, 0.04), np.float32)


def on_web(layout: Layout, scene: Scene) -> Layout:
    """The particles of which a body has its middle over the web of a lacey support; others have nothing to lie on."""
    more = _lacey(scene, np.random.default_rng([scene.seed, 6]))
    h, w = scene.shape
    row, col = np.rint(layout.y).astype(int), np.rint(layout.x).astype(int)
    held = (row < 0) | (row >= h) | (col < 0) | (col >= w)
    held[~held] = more[row[~held], col[~held]] > -0.3
    particle = layout.particle[layout.lobe]
    stays = np.isin(layout.particle, particle[held])
    return layout.of_lobes(stays)


def _disc(image: F32, x: float, y: float, radius: float, value: float) -> None:
    unit = 1 << SHIFT
    cv2.circle(image, (round(x * unit), round(y * unit)), round(radius * unit), value, -1, cv2.LINE_AA, SHIFT)


def _line(image: F32, a: NDArray[Any], b: NDArray[Any], value: float, width: int) -> None:
    cv2.line(image, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), float(value), width, cv2.LINE_AA)


def _lacey(scene: Scene, rng: np.random.Generator) -> F32:
    """A web of carbon: round holes of all sizes, with threads between them."""
    h, w = scene.shape
    web = np.full(scene.shape, 255, np.uint8)
    size = float(np.exp(rng.uniform(np.log(0.03), np.log(0.15)))) * max(h, w)
    placed = np.zeros((0, 3))
    for radius in sorted(size * np.exp(rng.normal(0, 0.6, 400)), reverse=True):
        at = np.array([rng.uniform(-size, w + size), rng.uniform(-size, h + size)])
        gap = np.hypot(*(placed[:, :2] - at).T) - placed[:, 2] if len(placed) else np.array([np.inf])
        radius = min(radius, float(gap.min()) - rng.uniform(0.05, 0.3) * size * 0.5)
        if radius > 0.15 * size:
            placed = np.concatenate([placed, [[*at, radius]]])
            axes = (round(radius * rng.uniform(0.8, 1.0)), round(radius))
            cv2.ellipse(web, (round(at[0]), round(at[1])), axes, rng.uniform(0, 180), 0, 360, 0, -1, cv2.LINE_AA)
    threads = cv2.GaussianBlur(web.astype(np.float32) / 255, (0, 0), 0.8)
    depth = cv2.distanceTransform((web > 127).astype(np.uint8), cv2.DIST_L2, 3)
    thick = np.minimum(depth / (0.12 * size), 1)
    image = threads * (0.4 + 0.5 * thick) - 0.9 * (1 - threads)
    return np.asarray(image + 0.04 * texture(scene.shape, rng, 3.0), np.float32)


def _holes(scene: Scene, rng: np.random.Generator) -> F32:
    """A film or membrane with holes in a lattice, or pits here and there, with rims."""
    h, w = scene.shape
    film = np.zeros(scene.shape, np.float32)
    radius = float(np.exp(rng.uniform(np.log(0.02), np.log(0.16)))) * max(h, w)
    if rng.random() < 0.5:
        pitch, turn = radius * rng.uniform(2.6, 4.5), rng.uniform(0, np.pi)
        steps = np.arange(-int(2 * (h + w) / pitch) - 1, int(2 * (h + w) / pitch) + 2)
        i, j = (a.ravel() * pitch for a in np.meshgrid(steps, steps))
        x, y = w / 2 + np.cos(turn) * i - np.sin(turn) * j, h / 2 + np.sin(turn) * i + np.cos(turn) * j
        radii = np.full(len(x), radius)
    else:
        n = rng.integers(3, 25)
        x, y = rng.uniform(0, w, n), rng.uniform(0, h, n)
        radii = radius * np.exp(rng.normal(-0.4, 0.5, n))
    rim = rng.uniform(0, 0.5)
    for a, b, r in zip(x, y, radii, strict=True):
        if -2 * r < a < w + 2 * r and -2 * r < b < h + 2 * r:
            _disc(film, a, b, r + max(1.0, 0.06 * r), rim)
            _disc(film, a, b, r, -0.95)
    return film


def _scratches(scene: Scene, rng: np.random.Generator) -> F32:
    """Straight scratches of a wafer, steps, and a few specks."""
    h, w = scene.shape
    image = np.zeros(scene.shape, np.float32)
    main = rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(2, 25))):
        at = rng.uniform(0, 1, 2) * [w, h]
        turn = main + rng.normal(0, 0.08 if rng.random() < 0.7 else 1.5)
        along = np.array([np.cos(turn), np.sin(turn)]) * rng.uniform(0.1, 1.5) * max(h, w)
        value = rng.choice([-1, 1]) * rng.uniform(0.2, 1.0)
        a, b = at - along, at + along + rng.normal(0, 4, 2)
        _line(image, a, b, value, int(rng.integers(1, 4)))
        if rng.random() < 0.4:  # material pushed to one side
            _line(image, a + 2, b + 2, -value, 1)
    return cv2.GaussianBlur(image, (0, 0), 0.7).astype(np.float32)


def _salt(scene: Scene, rng: np.random.Generator) -> F32:
    """Crusts of salt: intergrown blocks far larger than particles, with terraces, and their splinters."""
    h, w = scene.shape
    image = np.zeros(scene.shape, np.float32)
    size = max(3.0 * scene.radius_px, 0.08 * max(h, w))
    for _ in range(int(rng.integers(1, 5))):
        middle, turn = rng.uniform(-0.1, 1.1, 2) * [w, h], rng.uniform(0, np.pi)
        for _ in range(int(rng.integers(3, 14))):
            turn += rng.normal(0, 0.15)
            half = size * rng.uniform(0.15, 1.0, 2)
            at = middle + rng.normal(0, 0.6 * size, 2)
            axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
            tone = rng.uniform(0.15, 1.0)
            for step in range(int(rng.integers(1, 4))):
                corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half * (1 - 0.25 * step)
                corners = np.rint((corners * rng.uniform(0.85, 1.0, (4, 1)) @ axes + at) * (1 << SHIFT))
                cv2.fillPoly(image, [corners.astype(np.int32)], float(tone + 0.12 * step), cv2.LINE_AA, SHIFT)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.8) * (1 + 0.06 * texture(scene.shape, rng, 6.0)), np.float32)


def _grains(scene: Scene, rng: np.random.Generator) -> F32:
    """A metal film of grains, each of its own brightness by channelling."""
    h, w = scene.shape
    size = float(np.exp(rng.uniform(np.log(5), np.log(60))))
    seeds = np.full(scene.shape, 255, np.uint8)
    n = max(4, int(h * w / size**2))
    seeds[rng.integers(0, h, n), rng.integers(0, w, n)] = 0
    distance, cell = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    tone = rng.uniform(-1, 1, int(cell.max()) + 1).astype(np.float32)[cell]
    dome = np.minimum(distance / size, 1).astype(np.float32) * np.float32(rng.uniform(0, 0.8))
    return np.asarray(0.5 * tone - dome + 0.2, np.float32)


def _dirt(scene: Scene, rng: np.random.Generator) -> F32:
    """Residue of a solution: patches with ragged borders, drying rings, specks."""
    h, w = scene.shape
    patch = texture(scene.shape, rng, max(h, w) * rng.uniform(0.05, 0.3))
    patch += 0.4 * texture(scene.shape, rng, max(h, w) * 0.03)
    edge = rng.uniform(0.3, 1.5)
    image = np.clip((patch - edge) * rng.uniform(1, 12), 0, 1) * rng.choice([-0.6, 0.8])
    if rng.random() < 0.5:
        image += np.exp(-(((patch - edge) / 0.06) ** 2)) * rng.uniform(0.2, 0.7)
    for _ in range(int(rng.integers(0, 40))):
        reach = scene.radius_px * rng.uniform(0.05, 0.3) + 0.5
        axes = (int(reach * rng.uniform(0.6, 2)) + 1, int(reach) + 1)
        at = (int(rng.uniform(0, w)), int(rng.uniform(0, h)))
        cv2.ellipse(image, at, axes, rng.uniform(0, 180), 0, 360, float(rng.uniform(-0.5, 0.6)), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(np.asarray(image, np.float32), (0, 0), 0.8), np.float32)


RELIEFS: Final = {"lacey": _lacey, "holes": _holes, "scratches": _scratches, "salt": _salt, "grains": _grains,
                  "dirt": _dirt}  # fmt: skip
"""How much more (or less) there is than plain support, about −1 … 1, (H, W)."""
SUPPORTS: Final = ("plain", *RELIEFS)
