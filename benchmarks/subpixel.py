"""Bias and scatter of diameters on rendered spheres, blur at most 1 px: ``python benchmarks/subpixel.py``.

Spheres that are seen whole and were found, scenes as ``samcolloid_edge.export.outline`` draws them, of seeds that it
does not calibrate on and that no training saw. A bias is the mean over all spheres of a bin; its standard error is that
of the means of the scenes, since spheres of one scene share their light and so their error.

The bars are of masks that have the shape of the sphere: no point of the outline is further from the true circle than
2 px or, of large ones, a tenth of the radius. Where a piece of a mask is missing, that is an error of segmentation and
no matter of pixels; ``rendered.py`` counts it. The share of such masks and the bias with them stand beside.

Outlines are calibrated for one kind of light, secondary electrons, and moved by the grey profile across them for all
others. The bias that is left for each other detector stands in a table of its own, without a bar;
``--no-edge-profile`` shows what it is without the profile.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from bars import Bar, bars_as_rows, print_bars, print_software, print_table, software, write_json
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine.synthetic import render
from samcolloid_edge.export.outline import BINS, SCENES, Compared, compare, scenes

FIRST_SEED: Final = 800_000
OTHERS_FROM: Final = 850_000
OTHERS: Final = ("in_lens", "se", "bse", "tem", "dark_field")
"""Detectors that outlines are not calibrated for."""
RELATIVE: Final = 0.003
ABSOLUTE: Final = 0.05
"""Largest bias: the larger of a share of the diameter and of px."""


def scene_means(by_scene: Sequence[Compared]) -> list[float]:
    """The bias of each scene that has spheres which are not astray, px."""
    return [float(part[~part.astray].excess.mean()) for part in by_scene if not part.astray.all()]


def sd(values: Sequence[float]) -> float:
    """Standard deviation; NaN of fewer than two."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def bin_bars(bounds: tuple[float, float], by_scene: Sequence[Compared]) -> list[Bar]:
    """Bias of the sub-pixel diameter beside its bar, then what has none."""
    found = Compared.concatenate(by_scene)
    whole = found[~found.astray]
    name = f"{bounds[0]:g}-{bounds[1]:g} px"
    if len(whole.radius) == 0:
        return [Bar(f"{name}: bias of the sub-pixel diameter, px", float("nan"), -ABSOLUTE, ABSOLUTE)]
    diameter = 2 * float(whole.radius.mean())
    most = max(RELATIVE * diameter, ABSOLUTE)
    means = scene_means(by_scene)
    spread = sd(means)
    counts = f"{len(whole.radius)} spheres in {len(means)} scenes, mean diameter {diameter:.1f} px"
    return [
        Bar(f"{name}: bias of the sub-pixel diameter, px", float(whole.excess.mean()), -most, most,
            f"± {spread / max(len(means), 1) ** 0.5:.3f}; {counts}"),
        Bar(f"{name}: its median, px", float(np.median(whole.excess))),
        Bar(f"{name}: its scatter (SD), px", float(whole.excess.std(ddof=1))),
        Bar(f"{name}: its scatter between scenes (SD), px", spread),
        Bar(f"{name}: bias of the diameter of pixels, px", float(whole.pixel_excess.mean())),
        Bar(f"{name}: share of masks that are astray", float(found.astray.mean()), detail=f"{found.astray.sum()}"),
        Bar(f"{name}: bias of the sub-pixel diameter with them, px", float(found.excess.mean()),
            detail=f"median {np.median(found.excess):.3f}, SD {found.excess.std(ddof=1):.3f}"),
    ]  # fmt: skip


def by_detector(segmenter: Segmenter, settings: Settings, per_bin: int) -> Iterable[list[object]]:
    """One row a detector: in each bin of radii its bias, px of the diameter, and the SD between scenes."""
    for k, style in enumerate(OTHERS):
        parts: list[list[Compared]] = [[] for _ in BINS]
        for place, scene in scenes(OTHERS_FROM + 1000 * k, [per_bin] * len(BINS)):
            truth = render(replace(scene, style=style))
            parts[place].append(compare(truth, segmenter.analyze(truth.image, settings=settings)))
        yield [style, *(figure for of_bin in parts for figure in (_bias(of_bin), sd(scene_means(of_bin))))]


def _bias(by_scene: Sequence[Compared]) -> float:
    found = Compared.concatenate(by_scene)
    return float(np.mean(found.excess[~found.astray]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled one)")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--scenes", type=int, nargs=len(BINS), default=SCENES, help="in each bin of radii")
    parser.add_argument("--others", type=int, default=12, help="scenes of each other detector in each bin")
    parser.add_argument("--edge-profile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args(arguments)
    segmenter = Segmenter(options.model, device="cpu", threads=options.threads)
    settings = Settings(edge_profile=options.edge_profile)
    by_bin: list[list[Compared]] = [[] for _ in BINS]
    what: dict[str, Any] = {}
    for k, scene in scenes(FIRST_SEED, options.scenes):
        truth = render(scene)
        result = segmenter.analyze(truth.image, settings=settings)
        by_bin[k].append(compare(truth, result))
        card = segmenter.card
        what = what or software(result) | {"outline": dict(card.outline), "edge_profile": dict(card.edge_profile)}
    bars = [bar for bounds, parts in zip(BINS, by_bin, strict=True) for bar in bin_bars(bounds, parts)]
    print_software(what)
    print_bars("diameters of rendered spheres", bars)
    others = list(by_detector(segmenter, settings, options.others)) if options.others else []
    columns = ["detector", *(text for a, b in BINS for text in (f"{a:g}-{b:g} px", "SD"))]
    print_table("bias of the sub-pixel diameter by detector, and its SD between scenes, px", columns, others)
    if options.json:
        write_json(options.json, {"software": what, "bars": bars_as_rows(bars), "by detector": others})


if __name__ == "__main__":
    main()
