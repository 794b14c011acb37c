"""Particles of a rendered micrograph: their lobes, how they are turned, and how they pack."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from . import kernels_synthetic as kernels
from .synthetic_shapes import ELLIPSOID, SOLIDS, Solid, heading, solids

if TYPE_CHECKING:
    from .synthetic import Scene

F64 = NDArray[np.float64]


BIMODAL: Final = (0.6, 0.4)
"""Share of the smaller particles among two sizes, and their size ÷ that of the others."""
LAYER: Final = 1.6
"""Height of one layer of particles, radii; that of a close packing of spheres is 1.63."""


@dataclass(frozen=True, slots=True)
class Layout:
    """B bodies that make up L lobes in P particles, px; x, y in the frame of the micrograph, z above the substrate."""

    x: F64
    y: F64
    z: F64
    radii: F64
    stretch: F64
    """(B,) half axes are radius × and ÷ this."""
    angle: F64
    facets: F64
    """(B,) exponent of the superellipse outline, 2 for an ellipse; of a polyhedron the radius of the ball that rounds
    its corners, radii."""
    form: NDArray[np.int64]
    """(B,) ``ELLIPSOID``, ``CAPSULE``, or which of ``planes`` bound a polyhedron."""
    lobe: NDArray[np.int64]
    """(B,) index of the lobe, 0 … L − 1, ascending; the first body of a lobe is its core."""
    particle: NDArray[np.int32]
    """(L,) index of the particle, 0 … P − 1."""
    planes: F64 = field(default_factory=lambda: np.zeros((1, 1, 4)))
    """(T, F, 4) outward normals and distances of the faces of polyhedra, radii."""

    @property
    def cores(self) -> NDArray[np.int64]:
        """(L,) the first body of each lobe."""
        return np.searchsorted(self.lobe, np.arange(len(self.particle)))

    def of_lobes(self, kept: NDArray[np.bool_]) -> Layout:
        """The layout without the lobes that are not among the (L,) kept; particles are whole or gone."""
        bodies = kept[self.lobe]
        columns = {name: getattr(self, name)[bodies]
                   for name in ("x", "y", "z", "radii", "stretch", "angle", "facets", "form")}  # fmt: skip
        particle = np.unique(self.particle[kept], return_inverse=True)[1].astype(np.int32)
        return Layout(
            **columns, lobe=(np.cumsum(kept) - 1)[self.lobe[bodies]], particle=particle, planes=self.planes
        )


def _lobe_count(kind: str, rng: np.random.Generator) -> int:
    if kind == "mixture":
        kind = str(rng.choice(["sphere", "dumbbell", "trimer", "chain"], p=[0.3, 0.35, 0.28, 0.07]))
    return {"sphere": 1, "dumbbell": 2, "trimer": 3}.get(kind) or int(rng.integers(4, 7))


def size_of(scene: Scene, rng: np.random.Generator) -> float:
    """Radius of a particle's largest lobe, px."""
    if scene.sizes == "lognormal":
        return scene.radius_px * float(np.clip(np.exp(rng.normal(0, scene.spread)), 0.25, 3.0))
    size = scene.radius_px * float(np.clip(rng.normal(1, scene.spread), 0.4, 2.0))
    return size * BIMODAL[1] if scene.sizes == "bimodal" and rng.random() < BIMODAL[0] else size


def _particle(scene: Scene, rng: np.random.Generator) -> tuple[F64, F64]:
    """(n, 3) lobe offsets about the centre of area and (n,) radii, px."""
    n = _lobe_count(scene.particle, rng)
    size = size_of(scene, rng)
    radii = size * rng.uniform(*scene.lobe_ratio, n)
    radii[rng.integers(n) if n != 3 else rng.choice([0, 2])] = size
    offsets = np.zeros((n, 3))
    heading = rng.uniform(0, 2 * np.pi)
    bend = np.deg2rad(rng.uniform(*scene.bend)) * (1 if rng.random() < 0.5 else -1)
    for i in range(1, n):
        distance = rng.uniform(*scene.fusion) * (radii[i - 1] + radii[i])
        offsets[i] = offsets[i - 1] + distance * np.array([np.cos(heading), np.sin(heading), 0])
        heading += bend if n == 3 else np.deg2rad(rng.normal(0, 35))
    # Resting on the substrate, the centre of a larger lobe lies higher; an upright particle hides its lower lobes.
    axis = rng.uniform(0, 2 * np.pi)
    tilt = np.deg2rad(abs(rng.normal(0, 40 if rng.random() < scene.tilted_share else 8)))
    across = offsets[:, 0] * np.cos(axis) + offsets[:, 1] * np.sin(axis)
    offsets[:, 0] += across * (np.cos(tilt) - 1) * np.cos(axis)
    offsets[:, 1] += across * (np.cos(tilt) - 1) * np.sin(axis)
    offsets[:, 2] = across * np.sin(tilt) + rng.uniform(0, 1) * radii
    # One lobe bulging over its neighbour is what draws arcs, not lines, between fused lobes.
    offsets[:, 2] += radii * rng.uniform(0, scene.bulge, n)
    weight = radii**2 / (radii**2).sum()
    offsets[:, :2] -= (weight[:, None] * offsets[:, :2]).sum(0)
    return offsets, radii


def _domain(scene: Scene, rng: np.random.Generator, margin: float) -> NDArray[np.bool_]:
    """(h, w) on a coarse grid of 8 px over frame and margin: where particles are sown."""
    height, width = ((np.array(scene.shape) + 2 * margin) / 8).astype(int) + 1
    if scene.domain >= 1:
        return np.ones((height, width), bool)
    sigma = max(2.0, scene.cluster_size * scene.radius_px / 8)
    noise = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), sigma)
    return np.asarray(noise > np.quantile(noise, 1 - scene.domain), bool)


def _sow(scene: Scene, rng: np.random.Generator, margin: float, mean_area: float) -> F64:
    """(P, 2) first centres: random, or on a hexagonal lattice with vacancies for crystals."""
    domain = _domain(scene, rng, margin)
    size = np.array([scene.shape[1], scene.shape[0]]) + 2 * margin
    if scene.crystalline:
        pitch = np.sqrt(2 / np.sqrt(3) * mean_area / np.clip(scene.packing, 1e-6, 0.9))
        turn = rng.uniform(0, np.pi)
        steps = np.arange(-int(size.sum() / pitch), int(size.sum() / pitch))
        i, j = np.meshgrid(steps, steps)
        lattice = np.stack([(i + j / 2).ravel(), (j * np.sqrt(3) / 2).ravel()], 1) * pitch
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        points = lattice @ rotation + size / 2 + rng.normal(0, 0.05 * pitch, lattice.shape)
        points = points[((points >= 0) & (points < size)).all(1)]
        points = points[rng.random(len(points)) > 0.05]
    else:
        points = rng.uniform(0, 1, (int(scene.packing * size.prod() / mean_area) + 1, 2)) * size
    cells = (points / 8).astype(int)
    points = points[domain[cells[:, 1], cells[:, 0]]]
    return np.asarray(points[: scene.max_particles], np.float64) - margin


def arrange(scene: Scene, rng: np.random.Generator) -> Layout:
    """Draw the particles of a scene and pack them, over the border too, layer by layer."""
    draw = _solid_layer if scene.particle in SOLIDS else _lobed_layer
    layers = [draw(scene, rng) for _ in range(scene.layers)]
    return layers[0] if scene.layers == 1 else _stacked(layers, LAYER * scene.radius_px)


def _stacked(layers: list[Layout], step: float) -> Layout:
    """One layout of several, each ``step`` px above the one before."""
    columns = {name: np.concatenate([getattr(part, name) for part in layers])
               for name in ("x", "y", "radii", "stretch", "angle", "facets")}  # fmt: skip
    lobes = np.cumsum([0, *(len(part.particle) for part in layers)])
    particles = np.cumsum([0, *(part.particle.max(initial=-1) + 1 for part in layers)])
    faces = np.cumsum([0, *(len(part.planes) for part in layers)])
    most = max(part.planes.shape[1] for part in layers)
    return Layout(
        **columns,
        z=np.concatenate([part.z + i * step for i, part in enumerate(layers)]),
        form=np.concatenate(
            [np.where(p.form >= 0, p.form + n, p.form) for p, n in zip(layers, faces[:-1], strict=True)]
        ),
        lobe=np.concatenate([part.lobe + n for part, n in zip(layers, lobes[:-1], strict=True)]),
        particle=np.concatenate(
            [part.particle + np.int32(n) for part, n in zip(layers, particles[:-1], strict=True)]
        ),
        planes=np.concatenate(
            [np.pad(p.planes, ((0, 0), (0, most - p.planes.shape[1]), (0, 0)), "edge") for p in layers]
        ),
    )


def _centres(scene: Scene, rng: np.random.Generator, mean_area: float) -> F64:
    if scene.isolated:
        return np.array([[scene.shape[1] / 2, scene.shape[0] / 2]])
    return _sow(scene, rng, 4 * scene.radius_px, mean_area)


def _solid_layer(scene: Scene, rng: np.random.Generator) -> Layout:
    """Particles of one lobe that are no ellipsoids: packed as the discs that cover them, drawn as what they are."""
    kinds = solids(scene, rng)
    mean_area = float(np.pi * np.mean([size_of(scene, rng) ** 2 for _ in range(64)]))
    centres = _centres(scene, rng, mean_area)
    n = len(centres)
    kind = rng.integers(len(kinds), size=n)
    size = np.array([size_of(scene, rng) for _ in range(n)])
    angle = heading(centres, scene.radius_px, rng)
    chosen: list[Solid] = [kinds[k] for k in kind]
    if n and not scene.isolated:
        discs = [solid.discs * r for solid, r in zip(chosen, size, strict=True)]
        turns = [np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]]) for t in angle]
        flat = np.concatenate([d[:, :2] @ turn for d, turn in zip(discs, turns, strict=True)])
        body = np.repeat(np.arange(n), [len(d) for d in discs]).astype(np.int32)
        first, last = np.searchsorted(body, np.arange(n)), np.searchsorted(body, np.arange(n), "right") - 1
        before = flat[last] - flat[first]
        on_top = rng.random(n) < scene.on_top_share
        radii = np.concatenate([d[:, 2] for d in discs])
        kernels.relax(centres, flat, radii, body, ~on_top, scene.contact, scene.cohesion, 120)
        after = flat[last] - flat[first]
        angle = angle + np.arctan2(after[:, 1], after[:, 0]) - np.arctan2(before[:, 1], before[:, 0])
        lift = np.where(on_top, rng.uniform(1.0, 2.0, n), 0.0) * scene.radius_px
    else:
        lift = np.zeros(n)
    most = max(len(solid.planes) for solid in kinds)
    return Layout(
        x=centres[:, 0].copy(),
        y=centres[:, 1].copy(),
        z=lift + size * (1 + rng.uniform(0, scene.unevenness, n)),
        radii=size * np.array([solid.radius for solid in chosen]),
        stretch=np.array([solid.stretch for solid in chosen], np.float64),
        angle=angle,
        facets=np.array([solid.rounding for solid in chosen], np.float64),
        form=np.array([k if s.form >= 0 else s.form for k, s in zip(kind, chosen, strict=True)], np.int64),
        lobe=np.arange(n),
        particle=np.arange(n, dtype=np.int32),
        planes=np.stack([np.pad(s.planes, ((0, most - len(s.planes)), (0, 0)), "edge") for s in kinds]),
    )


def _lobed_layer(scene: Scene, rng: np.random.Generator) -> Layout:
    """Particles of ellipsoidal lobes."""
    margin = 4 * scene.radius_px
    stock = [_particle(scene, rng) for _ in range(64)]
    mean_area = float(np.mean([np.pi * (r**2).sum() * (0.9 if len(r) > 1 else 1.0) for _, r in stock]))
    centres = _sow(scene, rng, margin, mean_area)
    if scene.isolated:
        centres = np.array([[scene.shape[1] / 2, scene.shape[0] / 2]])
    particles = [_particle(scene, rng) for _ in range(len(centres))]
    if not particles:
        empty = np.zeros(0)
        none = np.zeros(0, np.int64)
        return Layout(empty, empty, empty, empty, empty, empty, empty, none, none, np.zeros(0, np.int32))
    offsets = np.concatenate([p[0] for p in particles])
    radii = np.concatenate([p[1] for p in particles])
    particle = np.repeat(np.arange(len(particles)), [len(p[1]) for p in particles]).astype(np.int32)
    on_top = rng.random(len(particles)) < scene.on_top_share
    flat = np.ascontiguousarray(offsets[:, :2])
    if not scene.isolated:
        kernels.relax(centres, flat, radii, particle, ~on_top, scene.contact, scene.cohesion, 120)
    lift = np.where(on_top, rng.uniform(1.0, 2.0, len(particles)) * scene.radius_px, 0.0)
    lift += rng.uniform(0, scene.unevenness, len(particles)) * scene.radius_px
    n = len(radii)
    stretch, angle, facets = np.ones(n), rng.uniform(0, np.pi, n), np.full(n, 2.0)
    stretch *= np.exp(rng.normal(0, scene.ellipticity, n))
    odd: NDArray[Any] = rng.random(n) < scene.odd_share
    alone = np.bincount(particle)[particle] == 1
    stretch[odd & alone] = np.sqrt(rng.uniform(1.2, 3.0, n))[odd & alone]
    faceted = (rng.random(n) < scene.odd_share) & alone
    facets[faceted] = rng.uniform(2.5, 8.0, n)[faceted]
    return Layout(
        x=centres[particle, 0] + flat[:, 0],
        y=centres[particle, 1] + flat[:, 1],
        z=offsets[:, 2] + lift[particle],
        radii=radii,
        stretch=stretch,
        angle=angle,
        facets=facets,
        form=np.full(n, ELLIPSOID),
        lobe=np.arange(n),
        particle=particle,
    )
