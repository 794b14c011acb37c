"""What the report page is made of: outlines that are the masks, and pictures that are the micrographs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from handmade import TRIMER_AND_DUMBBELL, discs, result_of, small_result
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from samcolloid_edge.engine import page_data, report
from samcolloid_edge.engine.page_data import EdgeOutlines, PageImage, outlines, read_results
from samcolloid_edge.engine.types import Result
from samcolloid_edge.models.errors import OutputError

PIXELS = np.random.default_rng(1).integers(0, 256, (120, 110), np.uint8)


def corners(found: EdgeOutlines, polygon: int) -> NDArray[np.int32]:
    """(K, 2) corners (x, y) of a polygon, by the rule that the page follows."""
    first = int(found.count[:polygon].sum())
    runs = found.runs[first : first + found.count[polygon]]
    steps = np.zeros((len(runs), 2), np.int32)
    steps[0::2, 0], steps[1::2, 1] = runs[0::2], runs[1::2]
    ends: NDArray[np.int32] = found.start[polygon] + np.cumsum(steps, axis=0)
    assert np.array_equal(ends[-1], found.start[polygon]), "it is closed"
    return np.vstack((found.start[polygon], ends[:-1])).astype(np.int32)


def filled(found: EdgeOutlines, shape: tuple[int, int]) -> NDArray[np.int32]:
    """The label image that the outlines tell, by the even-odd rule at pixel centres."""
    labels = np.zeros(shape, np.int32)
    x, y = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    for label in np.unique(found.owner):
        inside = np.zeros(shape, bool)
        for polygon in np.flatnonzero(found.owner == label):
            points = corners(found, int(polygon))
            for (x0, y0), (_, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
                inside ^= ((y0 > y) != (y1 > y)) & (x < x0)
        labels[inside] = label
    return labels


def written(result: Result, folder: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Path:
    """``folder`` with the result of a file beside it."""
    source = folder.parent / f"{folder.name}.tif"
    source.parent.mkdir(exist_ok=True)
    tifffile.imwrite(source, pixels)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    result = replace(result, micrograph=replace(result.micrograph, source=str(source), sha256=sha256))
    report.write(folder, report.contents(result, report.record(result)))
    return folder


def only(folder: Path, *images: Path) -> PageImage:
    (found,) = read_results([folder], images)
    assert isinstance(found, PageImage)
    return found


def shown(image: PageImage) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(image.picture, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return np.asarray(picture, np.uint8)


@given(arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 11)), elements=st.integers(0, 3)))
def test_outlines_are_the_masks_whatever_their_shape_parts_and_holes(labels: NDArray[np.int32]) -> None:
    assert np.array_equal(filled(outlines(labels, 3), labels.shape), labels)


def test_a_disc_is_told_in_few_bytes() -> None:
    labels, _ = discs((400, 400), [(200, 200, 150, 0)])
    found = outlines(labels, 1)
    assert np.array_equal(filled(found, labels.shape), labels)
    assert len(found.runs) < 4 * 150 * 1.3


def test_no_labels_no_outlines() -> None:
    assert len(outlines(np.zeros((5, 7), np.int32), 0).owner) == 0


def test_a_result_is_shown_with_its_own_tables_on_its_own_micrograph(tmp_path: Path) -> None:
    image = only(written(small_result(), tmp_path / "a", PIXELS))
    assert image.name == "a.tif"
    assert image.lobes == (tmp_path / "a" / "lobes.csv").read_text("utf-8")
    assert (image.scale, image.note) == (1.0, "")
    assert abs(shown(image).astype(int) - PIXELS).mean() < 3  # JPEG of noise, which is its worst case
    labels, set_index = discs((120, 110), TRIMER_AND_DUMBBELL)
    groups = np.append(0, set_index + 1).astype(np.int32)[labels]
    assert np.array_equal(filled(image.lobe_outlines, labels.shape), labels)
    assert np.array_equal(filled(image.set_outlines, labels.shape), groups)


def test_deeper_micrographs_are_shown_as_the_model_saw_them(tmp_path: Path) -> None:
    pixels = (PIXELS.astype(np.uint16) + 1000) * 16
    result = replace(small_result(pixels=pixels), grey_range=(16_000.0, 20_080.0))
    image = only(written(result, tmp_path / "a", pixels))
    assert abs(shown(image).astype(int) - PIXELS).mean() < 3


def test_a_large_micrograph_is_shown_smaller_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_data, "MAX_PIXELS", 120 * 110 / 4)
    monkeypatch.setattr(page_data, "LEAST_PIXELS", 1)
    image = only(written(small_result(), tmp_path / "a", PIXELS))
    assert shown(image).shape == (60, 55)
    assert image.scale == pytest.approx(0.5)
    assert "55 × 60 px of 110 × 120 px" in image.note


def test_without_its_micrograph_a_result_is_shown_with_a_note(tmp_path: Path) -> None:
    folder = written(small_result(), tmp_path / "results" / "a", PIXELS)
    source = tmp_path / "results" / "a.tif"
    moved = tmp_path / "elsewhere" / "a.tif"
    moved.parent.mkdir()
    source.rename(moved)
    image = only(folder)
    assert image.picture == b""
    assert "is not there any longer" in image.note
    assert only(folder, moved.parent).picture
    tifffile.imwrite(source, 255 - PIXELS)
    assert "has changed since" in only(folder).note


@pytest.mark.parametrize("name", ["result.json", "lobes.csv", "sets.csv", "labels.tif"])
def test_a_result_that_is_not_whole_is_told_and_the_others_are_shown(tmp_path: Path, name: str) -> None:
    folders = [written(small_result(), tmp_path / folder, PIXELS) for folder in ("a", "b")]
    (folders[0] / name).write_bytes(b"{}")
    first, second = read_results(folders)
    assert isinstance(first, OutputError)
    assert str(folders[0]) in str(first)
    assert isinstance(second, PageImage)


def test_a_result_in_which_nothing_was_found_has_a_page(tmp_path: Path) -> None:
    nothing = result_of(np.zeros((120, 110), np.int32), np.zeros(0, np.int32))
    image = only(written(nothing, tmp_path / "a", PIXELS))
    assert len(image.lobe_boxes) == 0
