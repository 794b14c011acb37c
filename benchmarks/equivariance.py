"""Whether the same lobes are found when a micrograph is turned, mirrored, brightened, inverted or scaled:
``python benchmarks/equivariance.py SHARED``.

What is found in the changed micrograph is held against what is found in the original, changed in the same way: F1 of
lobes at mask IoU 0.5 and 0.7, summed over micrographs. Scenes of the group "bar" of ``rendered.toml`` come to the
micrographs. Lobes that touch the border are left out, as what lies beyond it changes what is seen of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from bars import Bar, bars_as_rows, print_bars, print_software, software, write_json
from numpy.typing import NDArray
from published import shared_folder
from rendered import read_cases
from samcolloid_edge import Segmenter
from samcolloid_edge.engine import preprocess
from samcolloid_edge.engine.matching import Score, mask_overlaps, match
from samcolloid_edge.engine.read import read
from samcolloid_edge.engine.synthetic import render

BAR: Final = 0.97
BARRED_IOU: Final = 0.5
IOUS: Final = (BARRED_IOU, 0.7)
SCENES: Final = 5
"""Every so many of the rendered ones."""

Image = NDArray[np.uint8]
Change = Callable[[NDArray[Any]], NDArray[Any]]


def grey(image: Image, gain: float, offset: float) -> Image:
    """Grey values times ``gain`` plus ``offset``, within 0 to 255."""
    return np.clip(image * gain + offset, 0, 255).round().astype(np.uint8)


def scaled(array: NDArray[Any], factor: float) -> NDArray[Any]:
    """An image, or labels (int32), at another number of pixels."""
    how = cv2.INTER_NEAREST_EXACT if array.dtype == np.int32 else cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    size = [round(side * factor) for side in array.shape[::-1]]
    return cv2.resize(array.astype(np.float32), size, interpolation=how).clip(0, None).round().astype(array.dtype)


def same(labels: NDArray[Any]) -> NDArray[Any]:
    """Unchanged."""
    return labels


CHANGES: Final[dict[str, tuple[Change, Change]]] = {
    "mirrored, left to right": (np.fliplr, np.fliplr),
    "mirrored, top to bottom": (np.flipud, np.flipud),
    "turned by 90°": (np.rot90, np.rot90),
    "turned by 180°": (partial(np.rot90, k=2), partial(np.rot90, k=2)),
    "20 grey values brighter": (partial(grey, gain=1.0, offset=20.0), same),
    "20 grey values darker": (partial(grey, gain=1.0, offset=-20.0), same),
    "contrast × 0.7": (partial(grey, gain=0.7, offset=38.0), same),
    "inverted": (partial(grey, gain=-1.0, offset=255.0), same),
    **{f"scaled × {f}": (partial(scaled, factor=f), partial(scaled, factor=f)) for f in (0.7, 0.85, 1.2, 1.4)},
}
"""What is done to the image, and to labels."""


def images(shared: Path | None, every: int) -> Iterator[tuple[str, Image]]:
    """Names and grey values of micrographs and rendered scenes."""
    for path in sorted((shared_folder(shared) / "micrographs").glob("*.tif")):
        micrograph = read(path)
        yield path.name, np.ascontiguousarray(preprocess.Grey.of_micrograph(micrograph).of(micrograph.area))
    for case in [case for case in read_cases() if case.group == "bar"][::every]:
        yield f"scene {case.scene.seed}", render(case.scene).image


def inner(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,) bool: labels 1 … N that do not touch the border."""
    n = int(labels.max(initial=0))
    border = np.concatenate([labels[:2].ravel(), labels[-2:].ravel(), labels[:, :2].ravel(), labels[:, -2:].ravel()])
    found: NDArray[np.bool_] = ~np.isin(np.arange(1, n + 1), border)
    return found


def agreement(expected: NDArray[Any], found: NDArray[Any]) -> dict[float, Score]:
    """By mask IoU, lobes of two label images; those at the border are neither missed nor false."""
    overlaps = mask_overlaps(np.ascontiguousarray(expected), np.ascontiguousarray(found))
    ours, theirs = inner(expected), inner(found)
    scores = {}
    for iou in IOUS:
        pairs = match(overlaps, iou)
        hit = int(np.count_nonzero(ours[pairs[:, 0]] | theirs[pairs[:, 1]]))
        lone = [np.setdiff1d(np.flatnonzero(sides), pairs[:, k]) for k, sides in enumerate((ours, theirs))]
        scores[iou] = Score(hit, hit + len(lone[0]), hit + len(lone[1]))
    return scores


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, nargs="?")
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled one)")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--every", type=int, default=SCENES, help="of the rendered scenes")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args(arguments)
    segmenter = Segmenter(options.model, device="cpu", threads=options.threads)
    total = {name: {iou: Score(0, 0, 0) for iou in IOUS} for name in CHANGES}
    what: dict[str, Any] = {}
    for title, image in images(options.shared, options.every):
        result = segmenter.analyze(image)
        what = what or software(result)
        labels, line = result.masks.labels(), [title]
        for name, (change, of_labels) in CHANGES.items():
            found = segmenter.analyze(np.ascontiguousarray(change(image))).masks.labels()
            scores = agreement(of_labels(labels), found)
            line.append(f"{scores[BARRED_IOU].f1:.3f}")
            total[name] = {iou: total[name][iou] + scores[iou] for iou in IOUS}
        print("  ".join(line), flush=True)
    print_software(what)
    bars = [Bar(f"{name}: F1 at mask IoU {BARRED_IOU}", found[BARRED_IOU].f1, BAR,
                detail=f"at {IOUS[1]}: {found[IOUS[1]].f1:.3f}") for name, found in total.items()]  # fmt: skip
    print_bars("lobes of a changed micrograph against those of the original", bars)
    if options.json:
        write_json(options.json, {"software": what, "bars": bars_as_rows(bars)})


if __name__ == "__main__":
    main()
