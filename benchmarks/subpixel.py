"""Bias and scatter of diameters on rendered spheres, blur at most 1 px: ``python benchmarks/subpixel.py``.

Spheres that are seen whole and were found, scenes as ``samcolloid_edge.export.outline`` draws them, of seeds that it
does not calibrate on and that no training saw. A bias is the mean over all spheres of a bin; its standard error is that
of the means of the scenes, since spheres of one scene share their light and so their error.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from bars import Bar, bars_as_rows, print_bars, print_software, software, write_json
from samcolloid_edge import Segmenter
from samcolloid_edge.engine.synthetic import render
from samcolloid_edge.export.outline import BINS, Compared, compare, sphere_scene

FIRST_SEED: Final = 800_000
RELATIVE: Final = 0.003
ABSOLUTE: Final = 0.05
"""Largest bias: the larger of a share of the diameter and of px."""


def bin_bars(bounds: tuple[float, float], by_scene: Sequence[Compared]) -> list[Bar]:
    """Bias of the sub-pixel diameter beside its bar, then what has none."""
    pooled = Compared.concatenate(by_scene)
    name = f"{bounds[0]:g}-{bounds[1]:g} px"
    if len(pooled.radius) == 0:
        return [Bar(f"{name}: bias of the sub-pixel diameter, px", float("nan"), -ABSOLUTE, ABSOLUTE)]
    diameter = 2 * float(pooled.radius.mean())
    most = max(RELATIVE * diameter, ABSOLUTE)
    means = [float(part.excess.mean()) for part in by_scene if len(part.radius)]
    error = float(np.std(means, ddof=1) / np.sqrt(len(means))) if len(means) > 1 else float("nan")
    counts = f"{len(pooled.radius)} spheres in {len(means)} scenes, mean diameter {diameter:.1f} px"
    excess = pooled.excess
    return [
        Bar(f"{name}: bias of the sub-pixel diameter, px", float(excess.mean()), -most, most,
            f"± {error:.3f}; {counts}"),
        Bar(f"{name}: its median, px", float(np.median(excess))),
        Bar(f"{name}: its scatter (SD), px", float(excess.std(ddof=1))),
        Bar(f"{name}: its scatter between scenes (SD), px", float(np.std(means, ddof=1)) if len(means) > 1 else 0.0),
        Bar(f"{name}: bias of the diameter of pixels, px", float(pooled.pixel_excess.mean())),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled one)")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--scenes", type=int, default=100, help="in each bin of radii")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args(arguments)
    segmenter = Segmenter(options.model, device="cpu", threads=options.threads)
    bars, what = [], {}
    for k, bounds in enumerate(BINS):
        by_scene = []
        for i in range(options.scenes):
            truth = render(sphere_scene(FIRST_SEED + k * options.scenes + i, bounds))
            result = segmenter.analyze(truth.image)
            by_scene.append(compare(truth, result))
            what = what or software(result) | {"outline": dict(result.model.outline)}
        bars += bin_bars(bounds, by_scene)
    print_software(what)
    print_bars("diameters of rendered spheres", bars)
    if options.json:
        write_json(options.json, {"software": what, "bars": bars_as_rows(bars)})


if __name__ == "__main__":
    main()
