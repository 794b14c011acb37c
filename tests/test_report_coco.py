"""COCO JSON, read back by pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from handmade import discs, result_of, small_result
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from samcolloid_edge.engine.report_coco import _compressed, _counts, coco_json
from samcolloid_edge.engine.settings import Settings
from samcolloid_edge.engine.types import Result

# pycocotools' own array type is older than NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def opened(result: Result, folder: Path) -> COCO:
    path = folder / "coco.json"
    path.write_bytes(coco_json(result))
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_masks_boxes_and_areas_are_those_of_the_lobes_and_sets(tmp_path: Path) -> None:
    result = small_result(source="day 1/Probe ä.tif")
    coco = opened(result, tmp_path)
    (image,) = coco.loadImgs(coco.getImgIds())
    assert (image["file_name"], image["height"], image["width"]) == ("Probe ä.tif", 120, 110)
    assert image["pixel_size_nm"] == 2.0
    lobes, sets = (coco.loadAnns(coco.getAnnIds(catIds=coco.getCatIds([name]))) for name in ("lobe", "particle"))
    labels = result.masks.labels()
    for annotation, row in zip(lobes, range(5), strict=True):
        assert np.array_equal(coco.annToMask(annotation), labels == annotation["id"])
        row0, col0, row1, col1 = (result.lobes[f"bbox-{k}"][row] for k in range(4))
        assert annotation["bbox"] == [col0, row0, col1 - col0, row1 - row0]
        assert annotation["area"] == result.lobes["area"][row]
        assert annotation["set"] == result.lobes["set"][row]
        assert annotation["role"] == result.lobes["lobe"][row]
    for annotation, members in zip(sets, ([1, 2, 3], [4, 5]), strict=True):
        assert np.array_equal(coco.annToMask(annotation), np.isin(labels, members))
        assert annotation["bbox"] == coco_mask.toBbox(coco.annToRLE(annotation)).tolist()
        assert annotation["area"] == coco_mask.area(coco.annToRLE(annotation))
    assert [(a["set"], a["kind"]) for a in sets] == [(1, "trimer"), (2, "dumbbell")]


def test_lobes_are_detections_that_cocos_evaluation_takes(tmp_path: Path) -> None:
    coco = opened(small_result(), tmp_path)
    lobes = coco.loadAnns(coco.getAnnIds(catIds=[1]))
    with contextlib.redirect_stdout(io.StringIO()):
        assert len(coco.loadRes(lobes).getAnnIds()) == 5


def test_nothing_found_and_a_lobe_of_no_set_are_fine(tmp_path: Path) -> None:
    nothing = opened(result_of(np.zeros((5, 7), np.int32), np.zeros(0, np.int32), pixel_size=None), tmp_path)
    assert nothing.getAnnIds() == []
    assert [c["name"] for c in nothing.loadCats(nothing.getCatIds())] == ["lobe", "particle"]
    labels, _ = discs((60, 60), [(30, 30, 10, 0)])
    (alone,) = json.loads(coco_json(result_of(labels, np.array([-1], np.int32))))["annotations"]
    assert (alone["set"], alone["role"], alone["excluded_by"]) == (0, "", "")


def test_what_a_filter_leaves_out_stays_and_says_so() -> None:
    labels, sets = discs((60, 90), [(30, 25, 20, 0), (30, 70, 10, 1)])
    result = result_of(labels, sets, settings=Settings(min_diameter=60.0))  # at 2 nm per px
    annotations = json.loads(coco_json(result))["annotations"]
    assert [(a["category_id"], a["excluded_by"]) for a in annotations] == [(1, ""), (1, "min_diameter"), (2, "")]


@given(
    mask=arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    before=st.tuples(st.integers(0, 300), st.integers(0, 3)),
    after=st.tuples(st.integers(0, 300), st.integers(0, 3)),
)
def test_run_lengths_are_those_of_pycocotools(
    mask: np.ndarray, before: tuple[int, int], after: tuple[int, int]
) -> None:
    mask = mask.copy()
    mask[0, 0] = True  # a mask has a pixel
    whole = np.pad(mask, tuple(zip(before, after, strict=True)))
    height, width = whole.shape
    ours = _compressed(_counts(mask, before[1], before[0], (height, width)))
    assert ours.encode("ascii") == coco_mask.encode(np.asfortranarray(whole, np.uint8))["counts"]
