"""Calibrations of a model's outlines on rendered spheres, written into its card.

``python -m samcolloid_edge.export.outline [--model DIR]``: to be run again whenever the model is trained again, or the
engine chooses other zooms. No seed of it is trained on, tested with or benchmarked with.

What an offset depends on was looked at on these renderings: on the radius as the model sees it, and on the zoom; hardly
on blur up to 1 px, contrast and noise. A mask with a bite out of it, as those of spheres of more than 40 model px often
are, says nothing about where outlines lie: such ``astray`` ones are left out here, and counted in
``benchmarks/subpixel.py``.

There are two: ``outline``, of outlines as the model draws them, and ``edge_profile``, of those that the grey profile
across them has moved.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..engine import edge_profile
from ..engine.files import write_files
from ..engine.measure import measure
from ..engine.outline import calibrated as moved_by
from ..engine.pipeline import Segmenter
from ..engine.settings import Settings
from ..engine.synthetic import Rendered, Scene, render
from ..engine.types import Result
from ..models.card import CARD, ModelCard
from ..models.store import locate

F64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

FIRST_SEED: Final = 700_000
BINS: Final = ((5.0, 8.0), (8.0, 15.0), (15.0, 30.0), (30.0, 60.0))
"""Radii, px of the file."""
SCENES: Final = (200, 200, 100, 100)
"""In each bin; more where less of the diameter is at stake."""
KNOTS: Final = (10.0, 14.0, 20.0, 28.0, 40.0, 50.0)
"""Radii at which the offset is fitted, model px."""
LEAST: Final = 50.0
"""Spheres' worth of weight that a knot needs."""
VISIBLE: Final = 0.995
"""Least visible fraction of a sphere that is compared."""
ASTRAY: Final = (2.0, 0.1)
"""An outline is astray where a point of it lies further from the true circle than these px and this share of the
radius."""


@dataclass(frozen=True, slots=True)
class Compared:
    """N spheres that were found and are seen whole."""

    radius: F64
    """(N,) true radius, px."""
    excess: F64
    """(N,) equivalent_diameter_area_subpixel less the true diameter, px."""
    pixel_excess: F64
    """(N,) equivalent_diameter_area less the true diameter, px."""
    farthest: F64
    """(N,) largest distance of a point of the outline from the true circle, px."""
    zoom: F64
    """(N,) model px per px."""

    @property
    def astray(self) -> Bool:
        """(N,) the mask has a bite or an outgrowth; see ``ASTRAY``."""
        least, share = ASTRAY
        astray: Bool = self.farthest > np.maximum(least, share * self.radius)
        return astray

    def __getitem__(self, chosen: Bool) -> Compared:
        """Some of the spheres, by (N,) bool."""
        return Compared(*(column[chosen] for column in astuple(self)))

    @classmethod
    def concatenate(cls, parts: Sequence[Compared]) -> Compared:
        """All in one."""
        names = [field.name for field in fields(cls)]
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


def scenes(first_seed: int, per_bin: Sequence[int]) -> Iterator[tuple[int, Scene]]:
    """So many scenes of each bin, with its number; seeds run on from ``first_seed``."""
    for k, count in enumerate(per_bin):
        for _ in range(count):
            yield k, sphere_scene(first_seed, BINS[k])
            first_seed += 1


def compare(truth: Rendered, result: Result) -> Compared:
    """The spheres that are whole and were found: the lobe whose centroid is nearest lies within a third of a radius."""
    lobes = result.lobes
    found = np.stack([lobes["centroid-1_subpixel"], lobes["centroid-0_subpixel"]], 1)
    whole = np.flatnonzero(truth.visible_fraction >= VISIBLE)
    if len(found) == 0 or len(whole) == 0:
        return Compared.concatenate([])
    distance = np.linalg.norm(truth.centres[whole, None] - found[None], axis=2)
    nearest = distance.argmin(1)
    same = (distance.min(1) < truth.radii[whole] / 3) & ~lobes["touches_edge"][nearest]
    nearest, whole = nearest[same], whole[same]
    radius, middles = truth.radii[whole], truth.centres[whole] + 0.5
    lines = [result.outlines.polygon(i) - middle for i, middle in zip(nearest, middles, strict=True)]
    return Compared(
        radius,
        lobes["equivalent_diameter_area_subpixel"][nearest] - 2 * radius,
        lobes["equivalent_diameter_area"][nearest] - 2 * radius,
        np.array([np.abs(np.hypot(*line.T) - r).max() for line, r in zip(lines, radius, strict=True)]),
        result.outlines.zoom[nearest],
    )


def fit(compared: Compared) -> dict[str, Any]:
    """What ``engine.outline.offset`` takes, to undo on average the excess of spheres that are not astray.

    Least squares of the relative error, over the ``KNOTS`` that are met and the zoom. The offset is one of the true
    radius: where that found is too large by chance it would seem to fall with the radius.
    """
    compared = compared[~compared.astray]
    radius = np.log(compared.radius * compared.zoom)
    missing = -compared.excess / 2 * compared.zoom
    knots = np.array(KNOTS)[_hats(radius, np.log(KNOTS)).sum(0) >= LEAST]
    terms = np.column_stack([_hats(radius, np.log(knots)), compared.zoom - 1])
    weight = 1 / (compared.radius * compared.zoom)
    offset = np.linalg.lstsq(terms * weight[:, None], missing * weight, rcond=None)[0]
    rounded = [round(float(o), 4) for o in offset]
    return {
        "radius": knots.tolist(),
        "offset": rounded[:-1],
        "slope": rounded[-1],
        "zooms": [round(float(z), 4) for z in (compared.zoom.min(), compared.zoom.max())],
    }


def _hats(x: F64, knots: F64) -> F64:
    """(N, K) shares of the knots in a straight line between them."""
    return np.stack([np.interp(x, knots, row) for row in np.eye(len(knots))], 1)


def measured(segmenter: Segmenter, chosen: Iterable[Scene]) -> Compared:
    """All spheres of rendered scenes, analysed with default settings."""
    parts = []
    for scene in chosen:
        truth = render(scene)
        parts.append(compare(truth, segmenter.analyze(truth.image)))
    return Compared.concatenate(parts)


def calibrated(segmenter: Segmenter, per_bin: Sequence[int] = SCENES) -> ModelCard:
    """The card of the segmenter's model with both calibrations, whatever it says now.

    Each scene is analysed once; what moves outlines is applied to the results.
    """
    session = segmenter.session
    card, session.card = session.card, replace(session.card, outline={}, edge_profile={})
    try:
        plain = Settings(edge_profile=False)
        truths = [render(scene) for _, scene in scenes(FIRST_SEED, per_bin)]
        results = [segmenter.analyze(truth.image, settings=plain) for truth in truths]
    finally:
        session.card = card
    outline = described(Compared.concatenate([*map(compare, truths, results)]), per_bin)
    results = [_settled(result, outline) for result in results]
    profile = described(Compared.concatenate([*map(compare, truths, results)]), per_bin)
    return replace(card, outline=outline, edge_profile=profile)


def _settled(result: Result, outline: Mapping[str, Any]) -> Result:
    """A result whose outlines are moved by a calibration and then by the grey profile across them, measured again."""
    labels, scores = result.masks.labels(), (result.masks.iou, result.masks.stability)
    outlines = edge_profile.settled(moved_by(result.outlines, outline), labels, result.micrograph.pixels, {})[0]
    lobes = measure(labels, result.micrograph, *scores, outlines, result.settings.columns)
    return replace(result, outlines=outlines, lobes=lobes)


def described(compared: Compared, per_bin: Sequence[int]) -> dict[str, Any]:
    """The fit, and how it was found."""
    return fit(compared) | {
        "unit": "model px; outwards",
        "made by": f"python -m samcolloid_edge.export.outline --scenes {' '.join(map(str, per_bin))}",
        "rendered": f"spheres, radius {BINS[0][0]:g} to {BINS[-1][1]:g} px, blur 0.4 to 1 px, seeds {FIRST_SEED} to "
        f"{FIRST_SEED + sum(per_bin) - 1}",
        "spheres": int((~compared.astray).sum()),
        "left out, as they are astray": int(compared.astray.sum()),
    }


def main() -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=locate(), help="folder of the model (default: the bundled one)")
    parser.add_argument("--scenes", type=int, nargs=len(BINS), default=SCENES, help="rendered for each bin of radii")
    options = parser.parse_args()
    card = calibrated(Segmenter(options.model, device="cpu"), options.scenes)
    write_files(options.model, {CARD: card.to_json().encode()})
    for name, found in (("outline", card.outline), ("edge_profile", card.edge_profile)):
        for radius, offset in zip(found["radius"], found["offset"], strict=True):
            print(f"{name}, radius {radius:5.1f}: {offset:+.3f} model px")
        print(f"and {found['slope']:+.3f} model px × (zoom - 1), zooms {found['zooms'][0]:g} to {found['zooms'][1]:g}")


if __name__ == "__main__":
    main()
