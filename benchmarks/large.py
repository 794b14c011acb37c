"""Peak memory, and micrographs too large to be seen at once; each analysis in a process of its own."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import tifffile
from bars import Bar, print_table
from cost import IMAGES, in_own_process
from numpy.typing import NDArray
from published import shared_folder
from samcolloid_edge import Settings
from samcolloid_edge.engine import preprocess
from samcolloid_edge.engine.read import read
from samcolloid_edge.engine.session import open_model
from samcolloid_edge.engine.synthetic import Scene, render
from vit_b import exported, gated, passing_share

MEMORY_BARS: Final = (450.0, 1600.0)
"""MB (1e6 bytes): the bundled model; ViT-B with the published settings."""
SCENE: Final = Scene(seed=500, shape=(2048, 2048), particle="dumbbell", radius_px=24.0, packing=0.4)
TIMES: Final = 8
"""Side of the large mosaic ÷ side of the scene."""
MOSAIC_BARS: Final = (70 / 64, 1.2)
"""Time ÷ (area × time of the scene), and memory beyond input, label image and tables ÷ that of the scene."""


def measure_memory(options: argparse.Namespace) -> list[Bar]:
    """The largest process over the micrographs, and that of ViT-B on one of them."""
    files = [shared_folder(options.shared) / "micrographs" / name for name in IMAGES][: options.images]
    peaks = {path.name: in_own_process(path, options.model, options.threads, None)[1]["peak"] for path in files}
    bars = [Bar(f"peak memory, bundled model, MB ({largest(peaks)})", max(peaks.values()), most=MEMORY_BARS[0])]
    micrograph = read(files[0])
    image = np.ascontiguousarray(preprocess.Grey.of_micrograph(micrograph).of(micrograph.area))
    settings = replace(Settings.preset("published"), **options.grid)
    _, folder = exported(options.cache, "fp32")
    share = passing_share(options.model, image, settings, options.threads)
    settings = gated(open_model(folder, "cpu", options.threads), image, settings, share)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "settings.toml"
        file.write_text(settings.to_toml(), "utf-8")
        peak = in_own_process(files[0], folder, options.threads, None, "--settings", str(file))[1]["peak"]
    return [*bars, Bar("peak memory, ViT-B, published settings, MB", peak, most=MEMORY_BARS[1])]


def largest(values: dict[str, float]) -> str:
    """The name of the largest value."""
    return max(values, key=values.__getitem__)


def measure_mosaic(options: argparse.Namespace) -> list[Bar]:
    """A rendered scene, and a mosaic of it: time and memory by area."""
    scene = render(SCENE).image
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        for times in (1, options.mosaic_times):
            file = Path(temporary) / f"{times}.tif"
            tifffile.imwrite(file, mosaic(scene, times))
            found[times] = in_own_process(file, options.model, options.threads, None)[1]
            file.unlink()
    rows: list[list[object]] = [
        [f"{times * scene.shape[0]} px", f["lobes"], f["analyze"], f["peak"], f["held"]] for times, f in found.items()
    ]
    print_table("mosaics", ("side", "lobes", "analysis, s", "peak, MB", "input, labels, tables and outlines, MB"), rows)
    small, large = found.values()
    beyond = [f["peak"] - f["held"] for f in (large, small)]
    area = options.mosaic_times**2
    return [
        Bar(f"mosaic, {area} times the area: time / {area}", large["analyze"] / small["analyze"] / area,
            most=MOSAIC_BARS[0], detail=f"{large['analyze']:.1f}/{small['analyze']:.2f} s"),
        Bar("mosaic: memory beyond input, labels, tables and outlines", beyond[0] / beyond[1], most=MOSAIC_BARS[1],
            detail=f"{beyond[0]:.0f}/{beyond[1]:.0f} MB"),
    ]  # fmt: skip


def mosaic(scene: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """The scene side by side with its mirror images, ``times`` along each side: grey values have no seams."""
    rows, columns = (np.concatenate([np.arange(n), np.arange(n)[::-1]]) for n in scene.shape)
    large: NDArray[np.uint8] = scene[
        np.ix_(*(np.tile(i, (times + 1) // 2)[: times * n] for i, n in zip((rows, columns), scene.shape, strict=True)))
    ]
    return large
