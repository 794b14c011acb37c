"""Rendered micrographs with exact truth: to train, test and benchmark on, and to try one's own particle type.

The label of a pixel is the lobe that is visible there: the highest of all lobes' surfaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ..models.errors import SettingsError
from . import kernels_synthetic as kernels
from .synthetic_artefacts import sway
from .synthetic_exposure import DETECTORS, expose
from .synthetic_layout import arrange
from .synthetic_look import Surface
from .synthetic_shapes import ELLIPSOID, SOLIDS
from .synthetic_support import SUPPORTS, on_web
from .synthetic_surface import SURFACES, finish, grains
from .table import Table
from .types import I32, U8, Area

LOBED: Final = ("sphere", "dumbbell", "trimer", "chain", "mixture")
PARTICLES: Final = (*LOBED, *SOLIDS)


@dataclass(frozen=True, slots=True)
class Scene:
    """What to render. The same scene gives the same pixels."""

    seed: int = 0
    shape: tuple[int, int] = (768, 1024)
    """(height, width), px."""
    particle: str = "sphere"
    """One of sphere, dumbbell, trimer, chain (4–6 lobes), mixture; rod, cube, polyhedron, plate, which are one lobe."""
    radius_px: float = 20.0
    """Mean radius of the largest lobe of a particle, px."""
    spread: float = 0.05
    """Relative SD of that radius between particles."""
    sizes: Literal["normal", "lognormal", "bimodal"] = "normal"
    """Their distribution; of two sizes the smaller is 0.4 of the larger."""
    lobe_ratio: tuple[float, float] = (0.65, 1.0)
    """Radius of the other lobes ÷ the largest."""
    fusion: tuple[float, float] = (0.5, 1.0)
    """Centre distance of neighbouring lobes ÷ the sum of their radii: 1 touches, 0.35 is deeply merged."""
    bend: tuple[float, float] = (0.0, 90.0)
    """How far a trimer is from straight, degrees (its angle is 180° less this)."""
    packing: float = 0.6
    """Area of the particles sown ÷ area they are sown in; 0.85 is jammed."""
    domain: float = 1.0
    """Share of the frame in which particles are sown; below 1 they form clusters."""
    cluster_size: float = 5.0
    """Size of those clusters, radii."""
    contact: float = 1.0
    """Distance at which lobes of two particles touch ÷ the sum of their radii."""
    cohesion: float = 0.15
    """Range of attraction between particles ÷ the sum of their radii."""
    crystalline: bool = False
    """Sow on a hexagonal lattice with vacancies."""
    isolated: bool = False
    """One single particle in the middle of the frame."""
    layers: int = 1
    """Layers of particles, one on the other."""
    on_top_share: float = 0.0
    """Share of particles that lie on others."""
    unevenness: float = 0.1
    """Random lift of whole particles, radii."""
    tilted_share: float = 0.15
    """Share of particles whose axis stands up from the substrate."""
    bulge: float = 0.4
    """How far a lobe may stand above its neighbours, radii."""
    ellipticity: float = 0.02
    """SD of the logarithm of √(aspect ratio)."""
    odd_share: float = 0.0
    """Share of rods, and of faceted outlines, among one-lobe particles."""
    surface: str = "smooth"
    """One of ``SURFACES``; whatever lies on or in a lobe is part of it, a raspberry's grains too."""
    support: str = "plain"
    """One of ``SUPPORTS``; nothing of it is a lobe."""
    style: str = "sem"
    """One of ``DETECTORS``. ``sem``: secondary electrons of any detector; ``in_lens``, ``se`` (a detector at the side),
    ``bse``: each as it is known. ``tem``: dark on bright; ``dark_field``: bright by mass and thickness."""
    contrast: float = 1.0
    """Factor on all grey differences."""
    brightness: float = 0.0
    """Added to all grey values, ÷ 255."""
    contrast_to_noise: float = 10.0
    """Particle–substrate contrast ÷ SD of the noise; 0 for no noise."""
    blur: float = 0.8
    """SD of the Gaussian point spread, px."""
    astigmatism: float = 0.0
    """SD of a further spread along one direction, px."""
    drift: float = 0.0
    """How far rows are shifted against each other, px; the truth shifts with them."""
    charging: float = 0.0
    """Strength of streaks along the rows, grey levels ÷ 255."""
    vignetting: float = 0.0
    """Share of the brightness that is lost in the farthest corner."""
    dose: float = 0.0
    """Electrons counted in a pixel of white; 0 for no counting noise besides ``contrast_to_noise``."""
    data_bar: bool = False
    """A vendor's data bar over the bottom rows."""
    pixel_size: float = 2.0
    """nm per px."""
    max_particles: int = 6000

    def __post_init__(self) -> None:
        if self.particle not in PARTICLES:
            raise SettingsError(f"particle must be one of {', '.join(PARTICLES)}, not {self.particle!r}.")
        for name, value, choices in (
            ("surface", self.surface, SURFACES), ("support", self.support, SUPPORTS), ("style", self.style, DETECTORS)
        ):  # fmt: skip
            if value not in choices:
                raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
        if min(self.shape) < 1 or not self.radius_px > 0 or not self.pixel_size > 0:
            raise SettingsError("shape, radius_px and pixel_size must be above 0.")

    @classmethod
    def random(cls, seed: int, shape: tuple[int, int] = (512, 512), radius: tuple[float, float] = (4, 60)) -> Self:
        """Spheres and what is fused of them, radius within ``radius`` px. ``synthetic_kinds`` draws the rest."""
        rng = np.random.default_rng([seed, 1])
        particle = str(rng.choice(LOBED, p=[0.2, 0.28, 0.28, 0.06, 0.18]))
        low = float(np.exp(rng.uniform(np.log(0.35), np.log(0.85))))
        crowded = rng.random() < 0.65
        # Most particles people image span 8–40 px; the tails are there but rarer.
        size = radius[0] * (radius[1] / radius[0]) ** rng.beta(2.0, 2.0)
        return cls(
            seed=seed,
            shape=shape,
            particle=particle,
            radius_px=float(size),
            spread=float(rng.choice([0.02, 0.06, 0.12, 0.25])),
            lobe_ratio=(float(rng.uniform(0.55, 0.9)), 1.0),
            fusion=(low, float(min(1.0, low + rng.uniform(0.05, 0.4)))),
            bend=(0.0, float(rng.choice([20.0, 70.0, 110.0]))),
            packing=float(rng.uniform(0.5, 0.85) if crowded else rng.uniform(0.03, 0.6)),
            domain=float(rng.uniform(0.3, 0.9) if rng.random() < 0.55 else 1.0),
            cluster_size=float(rng.uniform(2, 9)),
            contact=float(rng.uniform(0.96, 1.03)),
            cohesion=float(rng.uniform(0, 0.3)),
            crystalline=bool(particle == "sphere" and rng.random() < 0.4),
            on_top_share=float(rng.choice([0.0, 0.0, 0.05, 0.2])),
            unevenness=float(rng.choice([0.0, 0.1, 0.4])),
            tilted_share=float(rng.uniform(0, 0.4)),
            bulge=float(rng.choice([0.0, 0.3, 0.8])),
            ellipticity=float(rng.choice([0.0, 0.03, 0.08])),
            odd_share=float(rng.choice([0.0, 0.1, 0.6], p=[0.4, 0.3, 0.3])),
            style="tem" if rng.random() < 0.13 else "sem",
            contrast=float(rng.uniform(0.25, 0.6) if rng.random() < 0.25 else rng.uniform(0.7, 1.3)),
            contrast_to_noise=float(np.exp(rng.uniform(np.log(1.5), np.log(40)))),
            blur=float(rng.uniform(0.4, 1.2) + 0.03 * rng.uniform(0, 1) * size),
            data_bar=bool(rng.random() < 0.08),
            max_particles=2500,
        )


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered micrograph and its truth. L lobes have at least one visible pixel; arrays of length L follow them."""

    scene: Scene
    image: U8
    """(H, W)."""
    lobes: I32
    """(H, W) label of the visible lobe, 1 … L; 0 is substrate or data bar."""
    particles: I32
    """(H, W) label of the visible particle, 1 … P."""
    particle_of_lobe: I32
    """(L,) particle label of lobe label i + 1."""
    centres: NDArray[np.float64]
    """(L, 2) (x, y), px."""
    radii: NDArray[np.float64]
    """(L,) px; of a lobe that is no ellipsoid that of the circle its whole projection is as large as."""
    visible_fraction: NDArray[np.float64]
    """(L,) visible area ÷ projected area of the whole lobe, beyond the frame included, 0–1."""
    contrast_to_noise: float
    """See ``synthetic_look.expose``; inf without noise."""
    area: Area
    """The image without its data bar."""

    def truth(self) -> Table:
        """One row a lobe: what a perfect analysis would find, and what it could not."""
        n, nm = len(self.radii), self.scene.pixel_size
        area = np.bincount(self.lobes.ravel(), minlength=n + 1)[1:].astype(np.float64)
        columns: dict[str, tuple[NDArray[Any], str]] = {
            "label": (np.arange(1, n + 1, dtype=np.int32), ""),
            "particle": (self.particle_of_lobe, ""),
            "centre_row": (self.centres[:, 1], "px"),
            "centre_col": (self.centres[:, 0], "px"),
            "radius": (self.radii, "px"),
            "radius_nm": (self.radii * nm, "nm"),
            "visible_area": (area, "px²"),
            "visible_area_nm2": (area * nm**2, "nm²"),
            "visible_fraction": (self.visible_fraction, ""),
        }
        return Table({k: v for k, (v, _) in columns.items()}, {k: u for k, (_, u) in columns.items()})


def _bar_height(shape: tuple[int, int], rng: np.random.Generator) -> int:
    return int(shape[0] * rng.uniform(0.05, 0.1))


def _draw_data_bar(image: U8, rows: int, rng: np.random.Generator, pixel_size: float) -> None:
    """Write a bar with a frame, a scale bar and a line of text over the bottom ``rows``, in place."""
    paper, ink = (0, 255) if rng.random() < 0.7 else (255, 0)
    bar = image[-rows:]
    bar[:] = paper
    if rng.random() < 0.6:
        bar[:2] = ink
    size = rows / 60
    length = max(int(0.07 * image.shape[1]), 2)
    cv2.line(bar, (8, rows * 2 // 3), (8 + length, rows * 2 // 3), ink, 1)
    text = f"{length * pixel_size:.0f} nm   Mag = {rng.integers(5, 200)}.00 K X   EHT = {rng.integers(1, 30)}.00 kV"
    cv2.putText(bar, text, (8, rows // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.8 * size, ink, 1, cv2.LINE_AA)


def render(scene: Scene) -> Rendered:
    """Render a scene: image, labels and everything that is true of it."""
    rng = np.random.default_rng([scene.seed, 2])
    layout = arrange(scene, rng)
    if scene.support == "lacey":
        layout = on_web(layout, scene)
    if scene.surface == "raspberry":
        layout = grains(layout, np.random.default_rng([scene.seed, 4]))
    height, cosine, thickness = (np.zeros(scene.shape, np.float32) for _ in range(3))
    cosine += 1
    lobe = np.zeros(scene.shape, np.int32)
    cores, aside = layout.cores, sway(scene)
    covered = np.zeros(len(cores), np.int64)
    if len(cores):
        kernels.height_map(
            layout.x, layout.y, layout.z, layout.radii, layout.stretch, layout.angle, layout.facets, layout.form,
            layout.planes, layout.lobe, layout.particle, aside, height, cosine, lobe, thickness, covered,
        )  # fmt: skip
    particle = np.concatenate([[0], layout.particle + 1]).astype(np.int32)[lobe]
    surface = finish(scene, layout, Surface(height, cosine, thickness, lobe, particle), aside)
    image, contrast_to_noise = expose(scene, surface, rng)
    rows = _bar_height(scene.shape, rng) if scene.data_bar else 0
    if rows:
        _draw_data_bar(image, rows, rng, scene.pixel_size)
        lobe[-rows:] = 0
    visible = np.bincount(lobe.ravel(), minlength=len(cores) + 1)[1:]
    seen = np.flatnonzero(visible)
    relabel = np.zeros(len(cores) + 1, np.int32)
    relabel[seen + 1] = np.arange(1, len(seen) + 1)
    _, particle_of_lobe = np.unique(layout.particle[seen], return_inverse=True)
    lobes = relabel[lobe]
    x, y = layout.x[cores[seen]], layout.y[cores[seen]]
    alone = np.bincount(layout.lobe, minlength=len(cores)) == 1
    of_lobe = (particle_of_lobe + 1).astype(np.int32)
    return Rendered(
        scene=scene,
        image=image,
        lobes=lobes,
        particles=np.concatenate([[0], of_lobe]).astype(np.int32)[lobes],
        particle_of_lobe=of_lobe,
        centres=np.stack([x + aside[np.clip(np.rint(y), 0, len(aside) - 1).astype(int)], y], 1),
        radii=np.where(alone & (layout.form[cores] == ELLIPSOID), layout.radii[cores], np.sqrt(covered / np.pi))[seen],
        visible_fraction=visible[seen] / np.maximum(covered[seen], 1),
        contrast_to_noise=contrast_to_noise,
        area=Area(0, 0, scene.shape[0] - rows, scene.shape[1]),
    )
