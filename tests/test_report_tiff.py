"""Label images: what tifffile, ImageJ and napari find in them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import tifffile
from handmade import discs, result_of, small_result
from samcolloid_edge.engine.report_tiff import label_tiff, lobes_tiff, sets_tiff


@pytest.mark.parametrize("n", [1, 65_535, 65_536])
def test_labels_carry_the_pixel_size_as_imagej_has_it(n: int) -> None:
    labels = np.arange(65_540, dtype=np.int32).reshape(2, -1).clip(max=n)
    with tifffile.TiffFile(BytesIO(label_tiff(labels, 4.466))) as file:
        page = file.pages[0]
        numerator, denominator = page.tags["XResolution"].value
        assert denominator / numerator == pytest.approx(4.466, rel=1e-6)
        assert page.tags["ResolutionUnit"].value == 1
        assert page.tags["ImageDescription"].value.startswith("ImageJ=")
        metadata = file.imagej_metadata
        assert (metadata["unit"], metadata["min"], metadata["max"]) == ("nm", 0, n)
        assert page.dtype == (np.uint16 if n < 65_536 else np.uint32)
        assert np.array_equal(file.asarray(), labels)


def test_without_a_pixel_size_no_scale_is_made_up() -> None:
    for labels in (np.zeros((3, 4), np.int32), np.full((3, 4), 70_000, np.int32)):
        with tifffile.TiffFile(BytesIO(label_tiff(labels, None))) as file:
            assert "unit" not in file.imagej_metadata
            assert file.pages[0].tags["XResolution"].value == (1, 1)


def test_the_label_images_show_lobes_and_the_sets_they_belong_to() -> None:
    result = small_result()
    lobes, sets = (tifffile.imread(BytesIO(write(result))) for write in (lobes_tiff, sets_tiff))
    assert np.array_equal(lobes, result.masks.labels())
    assert np.array_equal(sets, np.array([0, 1, 1, 1, 2, 2])[lobes])


def test_a_lobe_of_no_set_is_background_among_the_sets() -> None:
    labels, _ = discs((60, 90), [(30, 20, 10, 0), (30, 60, 12, 0)])
    result = result_of(labels, np.array([-1, 0], np.int32))
    assert np.array_equal(tifffile.imread(BytesIO(sets_tiff(result))), labels == 2)
