"""The report page in headless Chromium: how soon the first picture is there, how soon figures follow a click.

The page is that of one rendered micrograph with 5,000 lobes or more, its truth standing for what an analysis found.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import tifffile
from bars import Bar, bars_as_rows, print_bars, print_software, write_json
from samcolloid_edge.engine import report
from samcolloid_edge.engine.page_html import write_page
from samcolloid_edge.engine.synthetic import Scene, render

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from browser import Browser, chromium
from handmade import result_of

SCENE: Final = Scene(seed=900, shape=(3072, 4096), particle="trimer", radius_px=24.0, packing=0.55)
LEAST_LOBES: Final = 5000
FIRST_PICTURE: Final = 2000.0
"""ms from the start of the navigation until the picture with all outlines is drawn."""
FIGURES_FOLLOW: Final = 100.0
"""ms from a click until statistics, histogram, table and picture are drawn anew."""
IN_PAGE: Final = """
const [particle, done] = arguments, start = performance.now();
report.toggle(particle);
requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
"""
"""Milliseconds from what a click calls until the frame that shows it is drawn."""


def written(folder: Path) -> tuple[Path, int, int, float]:
    """The page of ``SCENE``, its lobes and sets, and the seconds that making the page took."""
    scene = render(SCENE)
    seen = np.unique(scene.lobes)[1:]  # those hidden under others have no pixels
    labels = np.searchsorted(np.append(0, seen), scene.lobes).astype(np.int32)
    _, set_index = np.unique(scene.particle_of_lobe[seen - 1], return_inverse=True)
    result = result_of(labels, set_index.astype(np.int32), pixels=scene.image, pixel_size=SCENE.pixel_size)
    source = folder / "rendered.tif"
    tifffile.imwrite(source, scene.image)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    result = replace(result, micrograph=replace(result.micrograph, source=str(source), sha256=sha256))
    report.write(folder / "rendered", report.contents(result, report.record(result)))
    start = time.perf_counter()
    page, _ = write_page([folder / "rendered"], folder / "report.html")
    assert page is not None
    return page, result.lobes.n_rows, result.sets.n_rows, time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the page, open it, click."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="times the page is opened")
    parser.add_argument("--clicks", type=int, default=40, help="particles excluded and restored")
    parser.add_argument("--json", type=Path, help="keep everything in this file")
    options = parser.parse_args(arguments)
    if chromium() is None:
        sys.exit("No chromium and chromedriver in the path: install them, and run this again.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        page, lobes, sets, seconds = written(folder)
        browser = Browser(folder)
        try:
            opened = []
            for _ in range(options.repeats):
                browser.open(page)
                opened.append(float(browser.run("return document.documentElement.dataset.ready")))
            particles = np.random.default_rng(0).choice(sets, options.clicks // 2, replace=False).tolist()
            clicks = [browser.driver.execute_async_script(IN_PAGE, particle) for particle in particles * 2]
            version = browser.driver.capabilities["browserVersion"]
        finally:
            browser.driver.quit()
        megabytes = page.stat().st_size / 1e6
    bars = [
        Bar("lobes", lobes, least=LEAST_LOBES, detail=f"{sets} sets, {SCENE.shape[1]} × {SCENE.shape[0]} px"),
        Bar("first picture, ms", statistics.median(opened), most=FIRST_PICTURE,
            detail=f"median of {len(opened)}, slowest {max(opened):.0f}"),
        Bar("click to updated figures, ms", statistics.median(clicks), most=FIGURES_FOLLOW,
            detail=f"median of {len(clicks)}, slowest {max(clicks):.0f}"),
        Bar("size of the page, MB", megabytes),
        Bar("making the page, s", seconds),
    ]  # fmt: skip
    software = {"chromium": version, "machine": f"{platform.system()} {platform.machine()}"}
    print_bars("Report page", bars)
    print_software(software)
    if options.json:
        write_json(options.json, {"bars": bars_as_rows(bars), "software": software})


if __name__ == "__main__":
    main()
