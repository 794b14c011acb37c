"""ImageJ's regions, read back by roifile."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import discs, result_of, small_result
from roifile import ROI_TYPE, ImagejRoi, roiread
from samcolloid_edge.engine.outline import Outlines
from samcolloid_edge.engine.overlay import colours
from samcolloid_edge.engine.report_roi import roi_zip
from samcolloid_edge.engine.types import Result


def opened(result: Result, folder: Path) -> list[ImagejRoi]:
    path = folder / "rois.zip"
    path.write_bytes(roi_zip(result))
    return list(roiread(path))


def test_every_lobe_is_a_polygon_where_its_outline_is(tmp_path: Path) -> None:
    result = small_result()
    rois = opened(result, tmp_path)
    assert [roi.roitype for roi in rois] == [ROI_TYPE.POLYGON] * 5
    for i, roi in enumerate(rois):
        np.testing.assert_allclose(roi.coordinates(), result.outlines.polygon(i), atol=1e-4)
        x, y = roi.coordinates().T
        area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
        assert area == pytest.approx(result.lobes["area"][i], rel=0.02)
        assert roi.stroke_color == bytes((255, *colours(result)[i]))


def test_positions_between_and_beyond_65_535_pixels_stay(tmp_path: Path) -> None:
    triangle = np.array([[0.25, 1.5], [70_000.5, 3.75], [8.0, 9.125]])
    labels, sets = discs((30, 30), [(15, 15, 8, 0)])
    far = replace(result_of(labels, sets), outlines=Outlines(triangle, np.array([0, 3]), np.ones(3, bool), np.ones(1)))
    (roi,) = opened(far, tmp_path)
    np.testing.assert_allclose(roi.coordinates(), triangle)


def test_names_tell_set_role_and_label_and_sort_by_set(tmp_path: Path) -> None:
    lobes = [(20, 20 + 40 * i, 10, s) for i, s in enumerate([0, -1, 1, 0])]
    rois = opened(result_of(*discs((40, 170), lobes)), tmp_path)
    names = [roi.name for roi in rois]
    assert names == ["set 1 large lobe 1", "no set lobe 2", "set 2 sphere lobe 3", "set 1 small lobe 4"]
    assert rois[3].properties == {"label": 4, "role": "small", "set": 1, "excluded_by": ""}
    with zipfile.ZipFile(tmp_path / "rois.zip") as archive:
        assert archive.namelist() == [f"{name}.roi" for name in names]
        assert archive.testzip() is None


def test_nothing_found_is_an_empty_zip(tmp_path: Path) -> None:
    assert opened(result_of(np.zeros((5, 7), np.int32), np.zeros(0, np.int32)), tmp_path) == []
