"""Particles of a rendered micrograph that are no spheres: rods, cubes, polyhedra and plates. Each is one lobe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .synthetic import Scene

F64 = NDArray[np.float64]

SOLIDS: Final = ("rod", "cube", "polyhedron", "plate")
ELLIPSOID: Final = -1
CAPSULE: Final = -2
POLYHEDRON: Final = 0
KINDS: Final = 24
"""Different solids in one scene; particles share them at their own sizes and turns."""
GOLDEN: Final = (1 + 5**0.5) / 2


class Solid(NamedTuple):
    """One shape, in units of the radius of the circle that its projection is as large as."""

    form: int
    radius: float
    """Of the body, see ``Layout.radii``."""
    stretch: float
    rounding: float
    """See ``Layout.facets``."""
    planes: F64
    """(F, 4), see ``Layout.planes``."""
    discs: F64
    """(D, 3) x, y and radius of the discs that it is packed as; the last lies farthest from the first."""


NO_PLANES: Final = np.array([[0.0, 0.0, 1.0, 1e9]])


def solids(scene: Scene, rng: np.random.Generator) -> list[Solid]:
    """``KINDS`` solids of a scene's particle kind, of shapes and resting positions of their own."""
    if scene.particle == "rod":
        aspect = float(rng.uniform(1.5, 6.0))
        return [_rod(aspect, scene, rng) for _ in range(KINDS)]
    rounding = float(rng.choice([0.82, 0.9, 1.0]))
    corners = int(rng.choice([3, 6]))
    crystal = CRYSTALS[int(rng.integers(len(CRYSTALS)))]
    found = []
    for _ in range(KINDS):
        if scene.particle == "cube":
            half = np.exp(rng.normal(0, 0.04, 3))
            faces = _faces(np.concatenate([np.eye(3), -np.eye(3)]), np.tile(half, 2))
        elif scene.particle == "plate":
            faces = _prism(corners, float(rng.uniform(0.1, 0.5)), 0.0)
        else:
            faces = crystal.copy()
            faces[:, 3] *= np.exp(rng.normal(0, 0.05, len(faces)))
        tilted = rng.random() < scene.tilted_share
        found.append(_polyhedron(_turned(faces, _orientation(faces, tilted, rng)), rounding))
    return found


def heading(centres: F64, radius: float, rng: np.random.Generator) -> F64:
    """(P,) directions, radians: random ones, or such as neighbours share."""
    own = rng.uniform(0, 2 * np.pi, len(centres))
    if rng.random() < 0.6:
        return own
    waves = rng.normal(0, 1 / (12 * radius), (2, 3))
    return np.asarray(np.sin(centres @ waves).sum(1) + 0.15 * rng.normal(size=len(centres)))


def _rod(aspect: float, scene: Scene, rng: np.random.Generator) -> Solid:
    """A capsule that lies on the substrate, or stands up from it and is seen shorter."""
    aspect = max(1.0, aspect * float(np.exp(rng.normal(0, max(scene.spread, 0.05)))))
    tilt = np.deg2rad(abs(rng.normal(0, 40 if rng.random() < scene.tilted_share else 5)))
    aspect = 1 + (aspect - 1) * abs(float(np.cos(tilt)))
    width = float(np.sqrt(np.pi / (np.pi + 4 * (aspect - 1))))
    steps = int(np.ceil(2 * (aspect - 1))) + 1
    discs = np.zeros((steps, 3))
    discs[:, 0] = np.linspace(-1, 1, steps) * (aspect - 1) * width if steps > 1 else 0.0
    discs[:, 2] = width
    return Solid(CAPSULE, width * aspect**0.5, aspect**0.5, 2.0, NO_PLANES, discs)


def _signs(*vectors: tuple[float, float, float]) -> F64:
    """Every vector with every combination of signs, without repetitions."""
    signs = np.array(np.meshgrid(*[[1, -1]] * 3)).reshape(3, -1).T
    return np.asarray(np.unique(np.concatenate([np.array(v) * signs for v in vectors]), axis=0))


def _faces(normals: F64, distances: F64 | float = 1.0) -> F64:
    """(F, 4) planes of (F, 3) normals of any length."""
    unit = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return np.concatenate([unit, np.broadcast_to(distances, len(unit))[:, None]], 1)


def _prism(sides: int, half_height: float, lean: float) -> F64:
    """A right prism; with ``lean`` a bipyramid, cut off at its half height."""
    turns = 2 * np.pi * np.arange(sides) / sides
    side = [np.stack([np.cos(turns), np.sin(turns), np.full(sides, z)], 1) for z in ((lean, -lean) if lean else (0.0,))]
    caps = _faces(np.array([[0, 0, 1.0], [0, 0, -1.0]]), half_height)
    return np.concatenate([caps, _faces(np.concatenate(side))])


_OCTAHEDRON: Final = _faces(_signs((1, 1, 1)))
_BOX: Final = np.concatenate([np.eye(3), -np.eye(3)])
CRYSTALS: Final = (
    _OCTAHEDRON,
    np.concatenate([_OCTAHEDRON, _faces(_BOX, 1.2)]),  # truncated octahedron
    np.concatenate([_faces(_BOX), _faces(_signs((1, 1, 1)), 1.3)]),  # cuboctahedron, cubic side
    _faces(_signs((0, 1, GOLDEN), (1, GOLDEN, 0), (GOLDEN, 0, 1))),  # dodecahedron
    _faces(_signs((1, 1, 1), (0, 1 / GOLDEN, GOLDEN), (1 / GOLDEN, GOLDEN, 0), (GOLDEN, 0, 1 / GOLDEN))),  # icosahedron
    _faces(np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]), 0.8),  # tetrahedron
    _prism(5, 1.3, 0.6),  # decahedron
    _prism(6, 1.6, 0.0),  # hexagonal prism
)
"""Faces of the crystals of metals, oxides and zeolites."""


def _orientation(faces: F64, tilted: bool, rng: np.random.Generator) -> F64:
    """(3, 3) rotation that lays a face on the substrate; a random one where tilted."""
    if tilted:
        q, r = np.linalg.qr(rng.normal(size=(3, 3)))
        q = q * np.sign(np.diag(r))
        return np.asarray(q * np.linalg.det(q))
    # The larger a face, the nearer it lies to the middle, and the steadier a particle rests on it.
    near = np.flatnonzero(faces[:, 3] <= faces[:, 3].min() * 1.05)
    down = -faces[rng.choice(near), :3]
    aside = np.cross(down, [1.0, 0, 0] if abs(down[0]) < 0.8 else [0, 1.0, 0])
    aside /= np.linalg.norm(aside)
    return np.stack([aside, np.cross(down, aside), down])


def _turned(faces: F64, rotation: F64) -> F64:
    return np.concatenate([faces[:, :3] @ rotation.T, faces[:, 3:]], 1)


def _polyhedron(faces: F64, rounding: float) -> Solid:
    """The solid that planes bound, scaled to the projected area of a circle of radius 1, with its corners rounded."""
    step = np.linspace(-4, 4, 81)
    u, v = np.meshgrid(step, step)
    normal, room = faces[:, 2, None, None], faces[:, 3, None, None] - faces[:, 0, None, None] * u
    room = room - faces[:, 1, None, None] * v
    with np.errstate(divide="ignore", invalid="ignore"):
        level = room / normal
    top = np.where(normal > 1e-3, level, np.inf).min(0)
    bottom = np.where(normal < -1e-3, level, -np.inf).max(0)
    inside = (top > bottom) & np.where(abs(normal) <= 1e-3, room >= 0, True).all(0)
    farthest = float(np.sqrt((u**2 + v**2 + np.maximum(top, -bottom) ** 2)[inside].max()))
    ball = rounding * farthest
    inside &= u**2 + v**2 < ball**2
    radius = float(np.sqrt(inside.sum() * (step[1] - step[0]) ** 2 / np.pi))
    planes = faces / [1, 1, 1, radius]
    return Solid(POLYHEDRON, 1.0, 1.0, ball / radius, planes, _cover(u[inside] / radius, v[inside] / radius))


def _cover(u: F64, v: F64) -> F64:
    """(D, 3) the disc inside an outline about the origin, and small ones in its corners."""
    far, sector = np.hypot(u, v), np.rint(np.arctan2(v, u) / (np.pi / 12)).astype(int) % 24
    reach = np.array([far[sector == i].max(initial=0.3) for i in range(24)])
    inner, size = float(reach.min()), 0.25
    corners = [i for i in range(0, 24, 2) if reach[i] > 1.1 * inner]
    discs = [(0.0, 0.0, inner)]
    discs += [(np.cos(i * np.pi / 12) * (reach[i] - size), np.sin(i * np.pi / 12) * (reach[i] - size), size)
              for i in corners]  # fmt: skip
    return np.array(discs)
