"""The engine against SAM's own automatic generator, and its two schedules against each other:
``python benchmarks/speed.py SHARED``.

The reference is torch's module in fp32, with the same weights and settings, on the same threads, inside the generator
of ``segment_anything``, which stays as it is (``adapter.py``). Everything that is divided ran in turn in one process,
but memory and mosaics: each of those has a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import cv2
import decoder
import numpy as np
import torch
from adapter import Adapter
from bars import Bar, bars_as_rows, print_bars, print_table, write_json
from cost import seconds_of
from generator import BAR, SAME, Run, f1_bar, ours, same, theirs
from large import TIMES, measure_memory, measure_mosaic
from numpy.typing import NDArray
from published import shared_folder
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine import preprocess
from samcolloid_edge.engine.crop import Crop
from samcolloid_edge.engine.machine import cores
from samcolloid_edge.engine.matching import Score, mask_overlaps, match, score
from samcolloid_edge.engine.read import read
from samcolloid_edge.engine.session import open_model
from samcolloid_edge.export import checkpoint, sam
from samcolloid_edge.models.store import locate
from vit_b import exported, gated, passing_share

OVERHEAD_BAR: Final = 30.0
PUBLISHED_BAR: Final = 10.0
ADAPTIVE_BAR: Final = 4.0
AGREE: Final = 0.9
"""Mask IoU at which a lobe of the adaptive schedule counts as one of the exact one's."""
AGREE_BARS: Final = (0.99, 0.97)
"""F1 of all images, and of the worst."""
VIT_B_BARS: Final = (4.0, 10.0)
"""Reference ÷ engine, exact and at the prompt budget of the adaptive schedule."""

Image = NDArray[np.uint8]
Figures = list[Bar]


def micrographs(options: argparse.Namespace) -> Iterator[tuple[str, Image]]:
    """Names and the 8-bit analysed areas of the micrographs."""
    for path in images(options):
        micrograph = read(path)
        yield path.name, np.ascontiguousarray(preprocess.Grey.of_micrograph(micrograph).of(micrograph.area))


def images(options: argparse.Namespace) -> list[Path]:
    """The files, as many as asked for, of all samples in turn."""
    found = sorted((shared_folder(options.shared) / "micrographs").glob("*.tif"), key=lambda p: (p.stem[-2:], p.name))
    return found[: options.images]


def published(options: argparse.Namespace, crop_layers: int = 1) -> Settings:
    """The paper's, all points asked."""
    return replace(Settings.preset("published"), schedule="exact", crop_n_layers=crop_layers, **options.grid)


def measure_reference(options: argparse.Namespace, parts: Sequence[str]) -> Figures:
    """The bundled model in both programs: the same masks, and the time of all and of what is no network."""
    reference, session = Adapter(locate(options.model)), open_model(options.model, "cpu", options.threads)
    rows: list[list[object]] = []
    found: dict[int, list[Score]] = {0: [], 1: []}
    timed: list[tuple[Run, Run]] = []
    for name, image in micrographs(options):
        for layers in (0, 1) if "exact" in parts else (1,):
            settings = published(options, layers)
            ours(session, image, settings)
            engine = [ours(session, image, settings) for _ in range(options.repeats)]
            pair = theirs(reference, image, settings), sorted(engine, key=lambda run: run.whole)[len(engine) // 2]
            found[layers].append(same(pair[0].masks, pair[1].masks))
            rows.append(line(f"{name}, {layers} crop layers", *pair, found[layers][-1]))
            print("  ".join(map(str, rows[-1])), flush=True)
            timed += [pair] if layers else []
    print_table("SAM's generator (torch) and the engine, s", COLUMNS, rows)
    bars = []
    if "exact" in parts:
        for layers, scored in found.items():
            bars.append(f1_bar(f"exact: F1 at mask IoU >= {SAME}, {layers} crop layers", scored, BAR))
    if "overhead" in parts:
        bars.append(ratio("all but encoder and decoder: reference / engine", [(t.rest, o.rest) for t, o in timed],
                          OVERHEAD_BAR))  # fmt: skip
    if "published" in parts:
        bars.append(ratio("published settings: reference / engine exact", [(t.whole, o.whole) for t, o in timed],
                          PUBLISHED_BAR))  # fmt: skip
    return bars


COLUMNS: Final = ("micrograph", "masks", "engine", "same", "all", "encoder", "decoder", "rest", "engine all",
                  "encoder", "decoder", "rest")  # fmt: skip


def line(name: str, reference: Run, engine: Run, found: Score) -> list[object]:
    """One of the table."""
    seconds = [round(s, 3) for run in (reference, engine) for s in (run.whole, run.encoder, run.decoder, run.rest)]
    return [name, found.truth, found.predicted, found.found, *seconds]


def ratio(what: str, pairs: Sequence[tuple[float, float]], least: float) -> Bar:
    """Sum of the first over sum of the second, s."""
    one, two = (sum(seconds) for seconds in zip(*pairs, strict=True))
    return Bar(what, one / two, least, detail=f"{one:.3f}/{two:.3f} s")


def measure_adaptive(options: argparse.Namespace) -> Figures:
    """Whole analyses with default settings, by either schedule."""
    segmenter = Segmenter(options.model, device="cpu", threads=options.threads)
    schedules = Settings(schedule="exact"), Settings()
    rows: list[list[object]] = []
    timed, found = [], []
    for path in images(options):
        micrograph = read(path)
        results = [segmenter.analyze(micrograph, settings=settings) for settings in schedules]
        taken: list[list[float]] = [[], []]
        for _ in range(options.repeats):
            for seconds, settings in zip(taken, schedules, strict=True):
                seconds.append(seconds_of(partial(segmenter.analyze, micrograph, settings=settings)))
        overlaps = mask_overlaps(*(result.masks.labels() for result in results))
        found.append(score(match(overlaps, AGREE), overlaps.lengths))
        timed.append((statistics.median(taken[0]), statistics.median(taken[1])))
        rows.append([path.name, *(r.counts["prompts"] for r in results), *overlaps.lengths, found[-1].f1, *timed[-1]])
    print_table("exact and adaptive, default settings", ("micrograph", "prompts", "adaptive", "lobes", "adaptive",
                f"F1 at {AGREE}", "exact, s", "adaptive, s"), rows)  # fmt: skip
    worst = min(range(len(found)), key=lambda i: found[i].f1)
    return [
        ratio("default settings: engine exact / adaptive", timed, ADAPTIVE_BAR),
        f1_bar(f"adaptive: F1 of lobes at mask IoU >= {AGREE}", found, AGREE_BARS[0]),
        f1_bar(f"the same, worst image ({rows[worst][0]})", found[worst : worst + 1], AGREE_BARS[1]),
    ]


def measure_vit_b(options: argparse.Namespace) -> Figures:
    """ViT-B on one micrograph.

    As many prompts pass the gate as of the bundled model. For the adaptive schedule stands a coarser grid of as many
    prompts as it asks of the bundled model: where masks are noise, none tells where another one is.
    """
    name, image = next(micrographs(options))
    settings = published(options)
    share = passing_share(options.model, image, settings, options.threads)
    bundled = open_model(options.model, "cpu", options.threads)
    # In the order of a model that knows no score before it has paid for it.
    with patch.object(Crop, "best_first", Crop.coarse_to_fine):
        asked = ours(bundled, image, replace(settings, schedule="adaptive")).prompts
    budget = asked / ours(bundled, image, settings).prompts
    source, folder = exported(options.cache, "fp32")
    session = open_model(folder, "cpu", options.threads)
    settings = gated(session, image, settings, share)
    exact = ours(session, image, settings)
    session = open_model(exported(options.cache, options.precision)[1], "cpu", options.threads)
    fewer = replace(settings, points_per_side=max(1, round((settings.points_per_side or 0) * budget**0.5)))
    adaptive = ours(session, image, fewer)
    del session
    reference = theirs(sam.reference(checkpoint.read(source)), image, settings)
    rows = [line(f"{name}, {what}", reference, run, same(reference.masks, run.masks))
            for what, run in (("exact", exact), ("budget", adaptive))]  # fmt: skip
    print_table(f"ViT-B: {share:.1%} of the prompts pass, {budget:.1%} of them are asked, s", COLUMNS, rows)
    return [
        ratio("ViT-B, published settings: reference / engine exact", [(reference.whole, exact.whole)], VIT_B_BARS[0]),
        ratio(f"the same / engine at the adaptive budget, {options.precision}", [(reference.whole, adaptive.whole)],
              VIT_B_BARS[1]),
    ]  # fmt: skip


def measure_decoder(options: argparse.Namespace) -> Figures:
    """``decoder.py`` prints its own bars."""
    decoder.main(["--threads", str(options.threads)])
    return []


MEASURES: Final[dict[str, Callable[[argparse.Namespace], Figures]]] = {
    "adaptive": measure_adaptive,
    "vit_b": measure_vit_b,
    "decoder": measure_decoder,
    "memory": measure_memory,
    "mosaic": measure_mosaic,
}
REFERENCE_PARTS: Final = ("exact", "overhead", "published")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, nargs="?")
    parts = [*REFERENCE_PARTS, *MEASURES]
    parser.add_argument("--parts", nargs="*", default=parts, choices=parts)
    parser.add_argument("--model", type=Path, help="folder of another export of the same network")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--repeats", type=int, default=3, help="of the engine's runs; the reference runs once")
    parser.add_argument("--images", type=int, help="how many micrographs (default: all)")
    parser.add_argument("--points-per-side", type=int, help="other than the paper's, for a trial run")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="int8", help="of ViT-B at the adaptive budget")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "samcolloid-edge" / "bench",
                        help="where the exports of ViT-B are kept")  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the bars here")
    parser.add_argument("--mosaic-times", type=int, default=TIMES, help="side of the mosaic, scenes of 2,048 px")
    options = parser.parse_args(arguments)
    options.grid = {"points_per_side": options.points_per_side} if options.points_per_side else {}
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    bars: Figures = []
    with_reference = [part for part in REFERENCE_PARTS if part in options.parts]
    if with_reference:
        bars += measure_reference(options, with_reference)
    for part, measured in MEASURES.items():
        if part in options.parts:
            bars += measured(options)
    print_bars("bars", bars)
    if options.json:
        what: dict[str, Any] = {"threads": options.threads, "torch": torch.__version__}
        write_json(options.json, {"software": what, "bars": bars_as_rows(bars)})


if __name__ == "__main__":
    main()
