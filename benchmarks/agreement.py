"""Agreement with the published lobes and sets: ``python benchmarks/agreement.py ../shared``.

Every micrograph is analysed with default settings on the CPU. Matching is one to one on the lobes' boxes;
"split" and "merged" are defined in ``published.py``. The figures are development figures: renderings were
chosen by looking at these micrographs. What mean diameters say is told in ``agreement.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import diameters
import numpy as np
from bars import Bar, bars_as_rows, print_bars, print_software, print_table, software, write_json
from diameters import Compared
from numpy.typing import NDArray
from published import SAMPLES, Published, compare, read_published, shared_folder
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine.matching import F64
from samcolloid_edge.engine.types import I64, Micrograph, Result

FOUND_BARS: Final[dict[str, dict[float, float | None]]] = {
    "spheres": {0.5: None, 0.6: 0.99, 0.7: None},
    "dumbbells": {0.5: None, 0.6: 0.98, 0.7: 0.95},
    "trimers": {0.5: None, 0.6: 0.97, 0.7: 0.92},
}
SPLIT_BAR: Final = 0.02
DIAMETER_BAR: Final = (0.96, 1.03)
SAME_SETS_BARS: Final = {"dumbbells": 0.93, "trimers": 0.87}
SET_RATIO_BARS: Final = {"dumbbells": 1.7, "trimers": 1.4}

GREEN: Final = (0, 220, 0)
RED: Final = (0, 0, 255)


def lobe_boxes(result: Result) -> F64:
    """(M, 4) row0, col0, row1, col1 of our lobes."""
    return np.column_stack([result.lobes[f"bbox-{k}"] for k in range(4)]).astype(np.float64)


def compare_result(published: Published, result: Result) -> Compared:
    """One result against the rows of its image."""
    agreement = compare(published, result.masks.labels(), lobe_boxes(result), result.lobes["set"])
    return Compared(published, result.lobes, agreement)


def share(mask: Sequence[NDArray[Any]]) -> tuple[float, str]:
    """Share of True over several arrays, and the counts as text."""
    hits, total = sum(int(m.sum()) for m in mask), sum(len(m) for m in mask)
    return hits / total if total else float("nan"), f"{hits}/{total}"


def sample_bars(sample: str, images: Sequence[Compared]) -> list[Bar]:
    """Every figure of one sample beside its bar, images pooled."""
    bars = []
    for threshold, least in FOUND_BARS[sample].items():
        value, counts = share([c.agreement.found[threshold] for c in images])
        bars.append(
            Bar(f"{sample}: published lobes found, box IoU >= {threshold}", value, least, detail=counts)
        )
    for what, masks in (
        ("split over two of ours", [c.agreement.split for c in images]),
        ("two of them in one of ours", [c.agreement.merged for c in images]),
    ):
        value, counts = share(masks)
        bars.append(Bar(f"{sample}: published lobes, {what}", value, most=SPLIT_BAR, detail=counts))
    ours, theirs = (np.concatenate(d) for d in zip(*(c.matched(diameters.COLUMN) for c in images), strict=True))
    some = len(ours) > 0
    bars.append(
        Bar(
            f"{sample}: median diameter of matched lobes / published",
            float(np.median(ours) / np.median(theirs)) if some else float("nan"),
            *DIAMETER_BAR,
            detail=f"{np.median(ours):.2f}/{np.median(theirs):.2f} px" if some else "",
        )
    )
    bars.append(
        Bar(
            f"{sample}: median of the single ratios",
            float(np.median(ours / theirs)) if some else float("nan"),
            detail=f"{len(ours)} lobes",
        )
    )
    if sample in SAME_SETS_BARS:
        sets = sum(c.published.n_sets for c in images)
        same = sum(len(c.agreement.same) for c in images)
        found = sum(len(c.agreement.ours) for c in images)
        bars.append(
            Bar(
                f"{sample}: published sets found with the same members",
                same / sets,
                SAME_SETS_BARS[sample],
                detail=f"{same}/{sets}",
            )
        )
        bars.append(
            Bar(
                f"{sample}: sets of {SAMPLES[sample]} found / published",
                found / sets,
                SET_RATIO_BARS[sample],
                detail=f"{found}/{sets}",
            )
        )
    return bars


def image_row(compared: Compared) -> list[object]:
    """The same figures for one image, as a row of the table by image."""
    a, published = compared.agreement, compared.published
    ours, theirs = compared.matched(diameters.COLUMN)
    single = published.sample not in SAME_SETS_BARS
    return [
        published.name,
        len(published.boxes),
        compared.lobes.n_rows,
        *(float(f.mean()) for f in a.found.values()),
        int(a.split.sum()),
        int(a.merged.sum()),
        float(np.median(ours) / np.median(theirs)) if len(ours) else float("nan"),
        "" if single else f"{len(a.same)}/{published.n_sets}",
        "" if single else len(a.ours),
    ]


IMAGE_COLUMNS: Final = (
    "image",
    "published",
    "ours",
    "found .5",
    "found .6",
    "found .7",
    "split",
    "merged",
    "diameter",
    "same sets",
    "our sets",
)


def lobe_edges(labels: NDArray[Any], zoom: int) -> NDArray[np.bool_]:
    """(zoom H, zoom W) bool: the first pixels inside every lobe of a label image enlarged ``zoom`` times."""
    large = np.pad(labels.repeat(zoom, axis=0).repeat(zoom, axis=1), 1, mode="edge")
    inner = large[1:-1, 1:-1]
    differs = np.zeros(inner.shape, bool)
    for neighbour in (large[:-2, 1:-1], large[2:, 1:-1], large[1:-1, :-2], large[1:-1, 2:]):
        differs |= inner != neighbour
    return differs & (inner > 0)


def as_grey(micrograph: Micrograph) -> NDArray[np.uint8]:
    """(H, W) uint8 for looking at: the analysed area's 0.1–99.9 % range."""
    low, high = np.quantile(micrograph.pixels[micrograph.area.slices], (0.001, 0.999))
    scaled = (micrograph.pixels.astype(np.float64) - low) * 255 / max(high - low, 1e-9)
    grey: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return grey


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Encoded in memory and written by Python, so that any path works."""
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def write_overlay(path: Path, result: Result, compared: Compared, zoom: int = 2) -> None:
    """Our outlines thin in green, published boxes that none of ours matches at box IoU ≥ 0.6 in red."""
    grey = cv2.resize(as_grey(result.micrograph), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    picture[lobe_edges(result.masks.labels(), zoom)] = GREEN
    for row0, col0, row1, col1 in compared.published.boxes[~compared.agreement.found[0.6]].astype(int) * zoom:
        cv2.rectangle(picture, (col0, row0), (col1 - 1, row1 - 1), RED, 1)
    write_png(path, np.asarray(picture, np.uint8))


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "shared",
        type=Path,
        nargs="?",
        help="folder of micrographs/ and published/ (default: SAMCOLLOID_PUBLISHED, else ../shared)",
    )
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled one)")
    parser.add_argument("--settings", type=Path, help="settings as TOML (default: the defaults)")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--samples", nargs="+", choices=tuple(SAMPLES), default=tuple(SAMPLES))
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--pictures", type=Path, help="write an overlay of every image into this folder")
    options = parser.parse_args(arguments)

    settings = Settings.from_toml(options.settings) if options.settings else None
    segmenter = Segmenter(options.model, device="cpu", threads=options.threads)
    images: dict[str, list[Compared]] = {sample: [] for sample in options.samples}
    what: dict[str, Any] = {}
    for published in read_published(shared_folder(options.shared)):
        if published.sample not in images:
            continue
        result = segmenter.analyze(published.path, settings=settings)
        compared = compare_result(published, result)
        images[published.sample].append(compared)
        what = what or software(result)
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
            write_overlay(options.pictures / f"{published.name}.png", result, compared)

    print_software(what)
    rows = {sample: [image_row(c) for c in compared] for sample, compared in images.items()}
    for sample, table in rows.items():
        print_table(f"{sample}, by image", IMAGE_COLUMNS, table)
    means = diameters.rows(images)
    print_table("mean diameters, by role", diameters.NAMES, means)
    bars = [bar for sample, compared in images.items() for bar in sample_bars(sample, compared)]
    bars += diameters.bars(images)
    print_bars("bars (development figures; set precision is in rendered.py)", bars)
    if options.json:
        write_json(
            options.json,
            {
                "software": what,
                "bars": bars_as_rows(bars),
                "diameters": [dict(zip(diameters.NAMES, row, strict=True)) for row in means],
                "images": {
                    sample: [dict(zip(IMAGE_COLUMNS, row, strict=True)) for row in table]
                    for sample, table in rows.items()
                },
            },
        )


def our_extra_sets(compared: Compared) -> I64:
    """Numbers of our sets of the sample's kind that the published table does not have."""
    return np.setdiff1d(compared.agreement.ours, compared.agreement.same[:, 1])


if __name__ == "__main__":
    main()
