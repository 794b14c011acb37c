"""Time and memory of one analysis, against one torch ViT-B image encoding on the same machine:
``python benchmarks/cost.py ../shared``.

The encoding is segment-anything's ViT-B image encoder, fp32, random weights (they do not change the work),
one 1024×1024 input, with the same number of threads. Both are timed in one process, in turn, and the medians
are divided. Peak memory and the first analysis are taken in processes of their own; the first analysis counts
from the start of the interpreter, with empty compile caches.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from bars import Bar, bars_as_rows, print_bars, print_software, print_table, software, write_json
from published import shared_folder
from samcolloid_edge import Segmenter
from samcolloid_edge.engine.machine import cores
from samcolloid_edge.engine.types import Result

IMAGES: Final = ("GM 59_20.tif", "GM 116_20.tif", "GM 124_00.tif")
"""One micrograph of each sample; the slowest and the largest one count."""
WARM_BAR: Final = 0.25
MEMORY_BAR: Final = 700.0
"""MB (1e6 bytes)."""
FIRST_BAR: Final = 2.0


def in_own_process(
    image: Path, model: Path | None, threads: int, caches: Path | None, *more: str
) -> tuple[float, dict[str, float]]:
    """Wall seconds of a fresh interpreter that analyses one micrograph, and what it printed of itself.

    With ``caches`` every compile cache is looked for in that folder, empty at first. ``more`` goes to its command line.
    """
    environment = dict(os.environ)
    if caches is not None:
        environment["NUMBA_CACHE_DIR"] = str(caches)
    script = Path(__file__).resolve().with_name("one_analysis.py")
    command = [sys.executable, str(script), str(image), "--threads", str(threads)]
    command += [*(["--model", str(model)] if model else []), *more]
    start = time.perf_counter()
    finished = subprocess.run(
        command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    seconds = time.perf_counter() - start
    if finished.returncode:
        raise SystemExit(f"The analysis in its own process failed:\n{finished.stderr}")
    return seconds, json.loads(finished.stdout.splitlines()[-1])


def vit_b_encoding(threads: int) -> Callable[[], None]:
    """A function that runs segment-anything's ViT-B image encoder once, on noise."""
    import torch
    from segment_anything import sam_model_registry

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"](checkpoint=None).eval()
    image = sam.preprocess(torch.randint(0, 256, (1, 3, 768, 1024)).float())

    def encode() -> None:
        with torch.inference_mode():
            sam.image_encoder(image)

    return encode


def seconds_of(call: Callable[[], Any]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, nargs="?")
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled one)")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--repeats", type=int, default=5, help="of the warm timings")
    parser.add_argument("--first-repeats", type=int, default=3, help="of the first analysis")
    parser.add_argument("--json", type=Path, help="write all figures here")
    measure(parser.parse_args(arguments))


def in_turn(
    segmenter: Segmenter, images: Sequence[Path], encode: Callable[[], None], repeats: int
) -> tuple[list[float], dict[str, list[float]], dict[str, list[Result]]]:
    """Seconds of the encodings, and by image the seconds and the results of the analyses, all warm."""
    results: dict[str, list[Result]] = {image.name: [] for image in images}
    encodings: list[float] = []
    warm: dict[str, list[float]] = {image.name: [] for image in images}
    for image in images:
        segmenter.analyze(image)
    encode()
    for _ in range(repeats):
        encodings.append(seconds_of(encode))
        for image in images:
            start = time.perf_counter()
            result = segmenter.analyze(image)
            warm[image.name].append(time.perf_counter() - start)
            results[image.name].append(result)
    return encodings, warm, results


def print_stages(results: Mapping[str, Sequence[Result]], whole: Mapping[str, float]) -> None:
    """Median seconds of each step, by image."""
    names = list(results)
    steps = list(dict.fromkeys(step for runs in results.values() for run in runs for step in run.timings))
    rows: list[list[object]] = [
        [step, *(float(np.median([run.timings.get(step, 0.0) for run in results[name]])) for name in names)]
        for step in steps
    ]
    rows.append(["whole analyze", *(whole[name] for name in names)])
    rows.append(["lobes found", *(results[name][0].lobes.n_rows for name in names)])
    print_table("steps of the warm analysis, s (median)", ("step", *names), rows)


def measure(options: argparse.Namespace) -> None:
    """Take all figures and print them beside their bars."""
    images = [shared_folder(options.shared) / "micrographs" / name for name in IMAGES]
    peaks = {
        image.name: in_own_process(image, options.model, options.threads, None)[1]["peak"] for image in images
    }
    encode = vit_b_encoding(options.threads)
    segmenter = Segmenter(options.model, device="cpu", threads=options.threads)
    encodings, warm, results = in_turn(segmenter, images, encode, options.repeats)
    first: list[float] = []
    parts: list[dict[str, float]] = []
    for _ in range(options.first_repeats):
        encodings.append(seconds_of(encode))
        with tempfile.TemporaryDirectory() as folder:
            seconds, part = in_own_process(images[-1], options.model, options.threads, Path(folder))
        first.append(seconds)
        parts.append(part)
    peaks["first analysis"] = max(part["peak"] for part in parts)

    encoding, first_median = statistics.median(encodings), statistics.median(first)
    medians = {name: statistics.median(values) for name, values in warm.items()}
    slowest, largest = max(medians, key=medians.__getitem__), max(peaks, key=peaks.__getitem__)
    what = software(results[IMAGES[0]][0]) | {"threads": options.threads}
    print_software(what)
    print_stages(results, medians)
    spans = {"torch ViT-B image encoding": encodings, "first analysis, whole process": first}
    spans |= {f"  of it {name}": [part[name] for part in parts] for name in ("import", "load", "analyze")}
    print_table(
        "ViT-B encoding and first analysis, s",
        ("what", "median", "least", "most"),
        [[name, statistics.median(values), min(values), max(values)] for name, values in spans.items()],
    )
    print_table("peak memory, MB", ("process", "peak"), [[name, peak] for name, peak in peaks.items()])
    bars = [
        Bar(
            f"warm analyze / ViT-B encoding ({slowest})",
            medians[slowest] / encoding,
            most=WARM_BAR,
            detail=f"{medians[slowest]:.3f}/{encoding:.3f} s",
        ),
        Bar(f"peak memory of analyze, MB ({largest})", peaks[largest], most=MEMORY_BAR),
        Bar(
            "first analyze, empty caches / ViT-B encoding",
            first_median / encoding,
            most=FIRST_BAR,
            detail=f"{first_median:.3f}/{encoding:.3f} s",
        ),
    ]
    print_bars("bars", bars)
    if options.json:
        stages = {name: [dict(run.timings) for run in runs] for name, runs in results.items()}
        figures = {
            "encoding": encodings,
            "warm": warm,
            "stages": stages,
            "first": first,
            "first_parts": parts,
        }
        write_json(options.json, {"software": what, "bars": bars_as_rows(bars), "peak": peaks, **figures})


if __name__ == "__main__":
    main()
