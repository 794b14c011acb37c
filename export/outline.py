"""Calibration of a model's outlines on rendered spheres, written into its card.

``python -m samcolloid_edge.export.outline [--model DIR]``: to be run again whenever the model is trained again. No seed
of it is trained on, tested with or benchmarked with.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..engine.files import write_files
from ..engine.pipeline import Segmenter
from ..engine.settings import Settings
from ..engine.synthetic import Rendered, Scene, render
from ..engine.types import Result
from ..engine.zoom import COMFORTABLE
from ..models.card import CARD
from ..models.store import locate

F64 = NDArray[np.float64]

FIRST_SEED: Final = 700_000
BINS: Final = ((5.0, 8.0), (8.0, 15.0), (15.0, 30.0), (30.0, 60.0))
"""Radii, px of the file."""
SCENES: Final = 100
"""In each bin."""
KNOTS: Final = (5.0, 8.0, 12.0, 18.0, 28.0, 42.0, 60.0)
"""Radii at which the offset is fitted, model px."""
VISIBLE: Final = 0.995
"""Least visible fraction of a sphere that is compared."""


@dataclass(frozen=True, slots=True)
class Compared:
    """N spheres that were found and are seen whole."""

    radius: F64
    """(N,) true radius, px."""
    excess: F64
    """(N,) equivalent_diameter_area_subpixel less the true diameter, px."""
    pixel_excess: F64
    """(N,) equivalent_diameter_area less the true diameter, px."""
    zoom: F64
    """(N,) model px per px."""

    @classmethod
    def concatenate(cls, parts: Sequence[Compared]) -> Compared:
        """All in one."""
        names = ("radius", "excess", "pixel_excess", "zoom")
        return cls(*(np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)]) for name in names))


def sphere_scene(seed: int, bounds: tuple[float, float]) -> Scene:
    """Spheres of a radius within ``bounds``, px, under any light; blur at most 1 px."""
    rng = np.random.default_rng([seed, 3])
    radius = float(np.exp(rng.uniform(*np.log(bounds))))
    side = int(np.clip(16 * radius, 128, 800))
    return Scene(
        seed=seed,
        shape=(side, side + 40),
        radius_px=radius,
        spread=0.05,
        packing=float(rng.uniform(0.15, 0.5)),
        crystalline=bool(rng.random() < 0.15),
        ellipticity=0.0,
        unevenness=0.1,
        contrast=float(rng.uniform(0.7, 1.3)),
        contrast_to_noise=float(np.exp(rng.uniform(np.log(5), np.log(40)))),
        blur=float(rng.uniform(0.4, 1.0)),
    )


def scenes(first_seed: int, per_bin: int) -> Iterable[Scene]:
    """``per_bin`` scenes of each bin, seeds running on from ``first_seed``."""
    for k, bounds in enumerate(BINS):
        for i in range(per_bin):
            yield sphere_scene(first_seed + k * per_bin + i, bounds)


def compare(truth: Rendered, result: Result) -> Compared:
    """The spheres that are whole and were found: the lobe whose centroid is nearest lies within a third of a radius."""
    lobes = result.lobes
    found = np.stack([lobes["centroid-1_subpixel"], lobes["centroid-0_subpixel"]], 1)
    whole = np.flatnonzero(truth.visible_fraction >= VISIBLE)
    if len(found) == 0 or len(whole) == 0:
        return Compared.concatenate([])
    distance = np.linalg.norm(truth.centres[whole, None] - found[None], axis=2)
    nearest = distance.argmin(1)
    radius = truth.radii[whole]
    same = (distance.min(1) < radius / 3) & ~lobes["touches_edge"][nearest]
    nearest, radius = nearest[same], radius[same]
    return Compared(
        radius,
        lobes["equivalent_diameter_area_subpixel"][nearest] - 2 * radius,
        lobes["equivalent_diameter_area"][nearest] - 2 * radius,
        np.full(len(radius), result.zoom),
    )


def fit(compared: Compared) -> tuple[list[float], list[float]]:
    """Radii and offsets, model px, that on average take the excess away: least squares over the ``KNOTS`` met."""
    radius = np.log((compared.radius + compared.excess / 2) * compared.zoom)
    missing = -compared.excess / 2 * compared.zoom
    knots = np.log(KNOTS)
    hats = np.stack([np.interp(radius, knots, row) for row in np.eye(len(knots))], 1)
    weight = 1 / (compared.radius * compared.zoom)
    known = (hats * weight[:, None]).sum(0) > 0.05 * weight.sum() / len(knots)
    hats = np.stack([np.interp(radius, knots[known], row) for row in np.eye(int(known.sum()))], 1)
    offset = np.linalg.lstsq(hats * weight[:, None], missing * weight, rcond=None)[0]
    return [float(KNOTS[k]) for k in np.flatnonzero(known)], [round(float(o), 4) for o in offset]


def calibration(segmenter: Segmenter, per_bin: int) -> dict[str, Any]:
    """What goes into the card of the segmenter's model: what it says now, if anything, and what is still missing."""
    parts = []
    for scene in scenes(FIRST_SEED, per_bin):
        truth = render(scene)
        # As the first look would choose it.
        zoom = max(1.0, COMFORTABLE * segmenter.card.smallest_radius / scene.radius_px)
        parts.append(compare(truth, segmenter.analyze(truth.image, settings=Settings(zoom=zoom))))
    compared = Compared.concatenate(parts)
    radius, offset = fit(compared)
    before = segmenter.card.outline
    if before:
        there = np.interp(np.log(radius), np.log(before["radius"]), before["offset"])
        offset = [round(o + float(t), 4) for o, t in zip(offset, there, strict=True)]
    return {
        "radius": radius,
        "offset": offset,
        "unit": "model px; outwards",
        "made by": f"python -m samcolloid_edge.export.outline --scenes {per_bin}",
        "rendered": f"spheres, radius {BINS[0][0]:g} to {BINS[-1][1]:g} px, blur 0.4 to 1 px, seeds {FIRST_SEED} to "
        f"{FIRST_SEED + len(BINS) * per_bin - 1}",
        "spheres": len(compared.radius),
    }


def main() -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=locate(), help="folder of the model (default: the bundled one)")
    parser.add_argument("--scenes", type=int, default=SCENES, help="rendered for each of four bins of radii")
    options = parser.parse_args()
    segmenter = Segmenter(options.model, device="cpu")
    found = calibration(segmenter, options.scenes)
    write_files(options.model, {CARD: replace(segmenter.card, outline=found).to_json().encode()})
    for radius, offset in zip(found["radius"], found["offset"], strict=True):
        print(f"radius {radius:5.1f}: {offset:+.3f} model px")


if __name__ == "__main__":
    main()
