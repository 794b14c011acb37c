"""Lobes and particles as COCO JSON, which annotation and training programs read (https://cocodataset.org/#format-data).

Masks are COCO's compressed run lengths. The encoding is a dozen lines, and pycocotools would have to be compiled where
there is no wheel of it; a test holds ours against it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .masks import from_labels
from .table import Table
from .types import I64, Bool, Masks, Result

LOBE: Final = 1
PARTICLE: Final = 2
CATEGORIES: Final = (
    {"id": LOBE, "name": "lobe", "supercategory": "particle"},
    {"id": PARTICLE, "name": "particle", "supercategory": "particle"},
)


def coco_json(result: Result) -> bytes:
    """One image, an annotation a lobe (``id`` is its label), then one a set (``set`` is its number).

    ``bbox`` is [x, y, width, height] in px, x and y the left upper edge; ``area`` in px². Of a lobe ``set`` is the
    set it belongs to (0: none) and ``role`` its role there. ``excluded_by`` is the filter that leaves it out, or "".
    """
    micrograph, lobes = result.micrograph, result.lobes
    height, width = result.masks.shape
    image = {"id": 1, "file_name": Path(micrograph.source).name, "width": width, "height": height,
             "pixel_size_nm": micrograph.pixel_size}  # fmt: skip
    annotations = [*_lobes(result.masks, lobes), *_sets(result)]
    for number, annotation in enumerate(annotations, start=1):
        annotation |= {"id": number, "image_id": 1}
    values = {
        "info": {"description": "Lobes and particles found by samcolloid-edge", "model": result.found_by},
        "images": [image],
        "categories": CATEGORIES,
        "annotations": annotations,
    }
    return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


def _lobes(masks: Masks, lobes: Table) -> Iterator[dict[str, Any]]:
    said = {"set": lobes["set"].tolist(), "role": lobes["lobe"].tolist(),
            "score": masks.iou.astype(np.float64).round(4).tolist(), "excluded_by": lobes["excluded_by"].tolist()}
    for i, annotation in enumerate(_annotations(masks, LOBE)):
        values = {name: values[i] for name, values in said.items()}
        yield annotation | {name: value for name, value in values.items() if value == value}  # NaN: unscored


def _sets(result: Result) -> Iterator[dict[str, Any]]:
    of_label = np.concatenate([np.zeros(1, np.int32), result.lobes["set"].astype(np.int32)])
    unscored = np.zeros(result.sets.n_rows, np.float32)
    whole = from_labels(of_label[result.masks.labels()], unscored, unscored)
    said = {name: result.sets[name].tolist() for name in ("set", "kind", "excluded_by")}
    for i, annotation in enumerate(_annotations(whole, PARTICLE)):
        yield annotation | {name: values[i] for name, values in said.items()}


def _annotations(masks: Masks, category: int) -> Iterator[dict[str, Any]]:
    """What COCO says of each mask."""
    height, width = masks.shape
    for i, (x0, y0, x1, y1) in enumerate(masks.boxes.tolist()):
        bitmap = masks.bitmap(i)
        counts = _counts(bitmap, x0, y0, masks.shape)
        yield {
            "category_id": category,
            "segmentation": {"size": [height, width], "counts": _compressed(counts)},
            "area": int(np.count_nonzero(bitmap)),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "iscrowd": 0,
        }


def _counts(bitmap: Bool, x0: int, y0: int, shape: tuple[int, int]) -> I64:
    """Run lengths of a mask in an image of ``shape``, column by column, the first outside the mask (may be 0)."""
    height, width = shape
    steps = np.diff(np.pad(bitmap.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = (_positions(steps == step, x0, y0, height) for step in (1, -1))
    goes_on = starts[1:] == ends[:-1]  # from the foot of a column to the head of the next
    starts, ends = starts[np.append(True, ~goes_on)], ends[np.append(~goes_on, True)]
    turns = np.stack([starts, ends], 1).ravel()
    counts: I64 = np.diff(turns, prepend=0, append=height * width)
    return counts if counts[-1] else counts[:-1]


def _positions(at: Bool, x0: int, y0: int, height: int) -> I64:
    """Column-major positions in the image of what is true in (columns, rows + 1) of a box."""
    columns, rows = np.nonzero(at)
    return np.asarray((x0 + columns) * height + y0 + rows, np.int64)


def _compressed(counts: I64) -> str:
    """COCO's text of run lengths: differences to the last but one, 5 bits a letter (``rleToString``, maskApi.c)."""
    rest = counts.copy()
    rest[3:] -= counts[1:-2]
    letters: list[NDArray[np.uint8]] = []
    more = np.ones(len(rest), bool)
    is_used = []
    while more.any():
        is_used.append(more)
        low, rest = rest & 0x1F, rest >> 5
        more = more & np.where(low & 0x10, rest != -1, rest != 0)
        letters.append((low + np.where(more, 0x20, 0) + 48).astype(np.uint8))
    return bytes(np.stack(letters, 1)[np.stack(is_used, 1)]).decode("ascii")
