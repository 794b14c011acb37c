"""Measuring 2,000 lobes against scikit-image's ``regionprops_table``: ``python benchmarks/measuring.py``.

Both in turn in one process, the same label image, after one run each that does not count: scikit-image with every
property that is a column of ours; ours first with the columns of the same names, as ``--columns skimage`` measures them
with all standard ones, then with all columns. Medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from bars import Bar, bars_as_rows, print_bars, write_json
from samcolloid_edge.engine.columns import lobe_columns
from samcolloid_edge.engine.measure import measure
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.engine.types import Micrograph
from skimage.measure import regionprops_table
from skimage.measure._regionprops import COL_DTYPES

LOBES: Final = 2000
BAR: Final = 20.0


def properties() -> list[str]:
    """Every property of scikit-image that columns of ours are named after."""
    ours = {column.name.split("-")[0] for column in lobe_columns("skimage")}
    return sorted(ours & set(COL_DTYPES))


def lobes(seed: int) -> tuple[Any, Micrograph]:
    """The first 2,000 lobes of a rendered micrograph as labels, and the micrograph."""
    truth = render(Scene(seed=seed, shape=(1600, 2200), particle="trimer", radius_px=16, packing=0.6))
    labels = np.where(truth.lobes <= LOBES, truth.lobes, 0).astype(np.int32)
    return labels, Micrograph(truth.image, "rendered", "", 2.0, "rendered", truth.area)


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median time of a call."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args(arguments)
    labels, micrograph = lobes(850_000)
    n = int(labels.max())
    scores = np.ones(n, np.float32)
    names = properties()

    def theirs() -> object:
        return regionprops_table(labels, micrograph.pixels, properties=names)

    def ours(choice: Any) -> object:
        return measure(labels, micrograph, scores, scores, columns=choice)

    ours("all")
    reference = seconds(theirs, options.repeats)
    same, everything, standard = (seconds(lambda c=c: ours(c), 5) for c in ("skimage", "all", "standard"))
    detail = f"{reference:.2f} s of {n} lobes, {len(names)} properties"
    bars = [
        Bar("scikit-image / ours, the same columns", reference / same, BAR, detail=f"{detail}; ours {same:.3f} s"),
        Bar("scikit-image / ours with all columns", reference / everything, BAR, detail=f"ours {everything:.3f} s"),
        Bar("ours, standard columns, s", standard),
    ]
    print_bars("measuring", bars)
    if options.json:
        write_json(options.json, {"bars": bars_as_rows(bars)})


if __name__ == "__main__":
    main()
