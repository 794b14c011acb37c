"""One analysis in a process of its own; prints what it cost as one line of JSON. ``cost.py`` runs it.

Nothing is imported before the clock starts but the standard library.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path


def main() -> None:
    """Analyse the micrograph of the command line once and print seconds, peak memory (MB) and lobes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--settings", type=Path, help="TOML")
    parser.add_argument("--points-per-side", type=int, help="a grid of prompts, all of which pass the IoU gate")
    options = parser.parse_args()

    start = time.perf_counter()
    from samcolloid_edge import Segmenter, Settings
    from samcolloid_edge.engine import ahead

    ahead.start()  # as the command does
    imported = time.perf_counter()
    segmenter = Segmenter(options.model, device="cpu", threads=options.threads)
    loaded = time.perf_counter()
    grid = options.points_per_side
    settings = Settings() if grid is None else Settings(points_per_side=grid, pred_iou_thresh=0.0)
    if options.settings is not None:
        settings = Settings.from_toml(options.settings)
    result = segmenter.analyze(options.image, settings=settings)
    done = time.perf_counter()
    seconds = {"import": imported - start, "load": loaded - imported, "analyze": done - loaded}
    from samcolloid_edge.engine import memory

    peak = memory.peak() / 1e6
    pixels = result.micrograph.pixels
    columns = [*result.lobes.values(), *result.sets.values()]
    # The input, a label image of 32 bit, the tables and the outlines that belong to them.
    held = (pixels.nbytes + 4 * pixels.size + sum(column.nbytes for column in columns)) / 1e6
    held += result.outlines.points.nbytes / 1e6
    print(json.dumps({**seconds, "peak": peak, "held": held, "lobes": result.lobes.n_rows}))


if __name__ == "__main__":
    main()
