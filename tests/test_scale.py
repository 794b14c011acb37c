"""Pixel sizes come from the metadata that mean a specimen, to the last digit, and from nothing else."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from samcolloid_edge.engine.pixel_size import PixelSize, Stated
from samcolloid_edge.engine.scale import pixel_sizes
from samcolloid_edge.engine.scale_sem import CZ_SEM

PIXELS = np.zeros((6, 1024), np.uint8)
MICRO = "\u00b5"
UNNAMED = "0\r\n0\r\n0\r\n4.466000e-09\r\n2.500000e+04\r\n6\r\n"


def stated(**options: Any) -> PixelSize | None:
    """The pixel size read from a TIFF written with tifffile's ``options``."""
    found, _ = all_stated(**options)
    return found[0] if found else None


def all_stated(pixels: NDArray[Any] = PIXELS, **options: Any) -> Stated:
    """All pixel sizes read from it, and what is said of metadata that state none."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    with tifffile.TiffFile(io.BytesIO(file.getvalue())) as tiff:
        return pixel_sizes(tiff)


def zeiss(text: str) -> PixelSize | None:
    """What a Zeiss tag with ``text`` states; the tag is in the code page of the microscope's Windows."""
    return stated(extratags=[(CZ_SEM, 2, None, text.encode("cp1252"), True)])


def imagej(size: float, unit: str, y: float | None = None, **metadata: str) -> PixelSize | None:
    sizes = [Fraction(str(s)).limit_denominator(2**31) for s in (size, y or size)]
    resolution = [(s.denominator, s.numerator) for s in sizes]
    return stated(imagej=True, resolution=resolution, metadata={"unit": unit, **metadata})


@pytest.mark.parametrize(
    ("written", "nm"),
    [
        ("446.6 pm", 0.4466),
        ("4.466 nm", 4.466),
        ("44.66 nm", 44.66),
        ("1.116 µm", 1116),
        ("1.116 um", 1116),
        ("0.0021 mm", 2100),
        ("4.466nm", 4.466),
        ("4,466 nm", 4.466),
        ("5 nm", 5),
    ],
)
def test_zeiss_states_the_size_with_any_prefix(written: str, nm: float) -> None:
    found = zeiss(
        f"{UNNAMED}DP_DETECTOR\r\nSignal = SE2\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {written}\r\n"
    )
    assert found == PixelSize(nm, nm, "Zeiss CZ_SEM AP_IMAGE_PIXEL_SIZE")


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 0.0 fm\r\n",
        "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = No\r\n",
    ],
)
def test_without_that_entry_zeiss_is_read_from_the_header(entry: str) -> None:
    found = zeiss(f"{UNNAMED}AP_WD\r\nWD = 2.4 mm\r\n{entry}")
    assert found == PixelSize(4.466, 4.466, "Zeiss CZ_SEM header calibration")


@pytest.mark.parametrize("text", ["", "0\r\n0\r\n0\r\n0\r\n", "0\r\n0\r\n", "AP_WD\r\nWD = 2.4 mm\r\n"])
def test_a_zeiss_tag_without_a_size_states_none(text: str) -> None:
    assert zeiss(text + " ") is None
    (note,) = all_stated(extratags=[(CZ_SEM, 2, None, text.encode() + b" ", True)])[1]
    assert note.startswith("The Zeiss metadata state no pixel size that makes sense;")


def test_the_zeiss_header_is_calibrated_for_1024_px_whatever_the_width() -> None:
    for width in (512, 1024, 2048, 3072):
        tag = (CZ_SEM, 2, None, UNNAMED.encode(), True)
        (found,), notes = all_stated(np.zeros((6, width), np.uint8), extratags=[tag])
        assert found.x == pytest.approx(4.466 * 1024 / width, rel=1e-11)
        assert notes == ()


@pytest.mark.parametrize(
    ("unit", "nm"), [("nm", 1), (f"{MICRO}m", 1e3), ("mm", 1e6), ("pm", 1e-3), ("Å", 0.1), ("m", 1e9)]
)
def test_ome_states_size_and_unit(unit: str, nm: float) -> None:
    metadata = {
        "PhysicalSizeX": 4.466,
        "PhysicalSizeXUnit": unit,
        "PhysicalSizeY": 4.5,
        "PhysicalSizeYUnit": unit,
    }
    found = stated(ome=True, metadata=metadata)
    assert found is not None
    assert (found.x, found.y) == pytest.approx((4.466 * nm, 4.5 * nm), rel=1e-12)
    assert found.source == "OME-TIFF PhysicalSizeX"


def test_ome_without_a_unit_means_micrometres_and_without_y_square_pixels() -> None:
    assert stated(ome=True, metadata={"PhysicalSizeX": 0.25}) == PixelSize(250, 250, "OME-TIFF PhysicalSizeX")


@pytest.mark.parametrize("metadata", [{}, {"PhysicalSizeX": 2.0, "PhysicalSizeXUnit": "pixel"}])
def test_ome_without_a_length_states_none(metadata: dict[str, Any]) -> None:
    assert stated(ome=True, metadata=metadata) is None


@pytest.mark.parametrize("size", [4.466, 0.1, 1 / 3, 4.411764705882, 123.456789, 1e-3])
def test_an_imagej_tiff_gives_back_the_size_it_was_written_with(size: float) -> None:
    found = imagej(size, "nm")
    assert found is not None
    assert found.x == found.y == pytest.approx(size, rel=1e-11, abs=0)
    assert found.source == "ImageJ unit and resolution"
    assert imagej(4.466, "nm") == PixelSize(4.466, 4.466, found.source)


@pytest.mark.parametrize(
    ("unit", "nm"),
    [
        ("um", 1e3),
        ("\\u00B5m", 1e3),
        ("micron", 1e3),
        ("microns", 1e3),
        ("mm", 1e6),
        ("cm", 1e7),
        ("inch", 2.54e7),
    ],
)
def test_imagej_units_are_lengths(unit: str, nm: float) -> None:
    found = imagej(0.004466, unit)
    assert found is not None
    assert found.x == pytest.approx(0.004466 * nm, rel=1e-11)


def test_imagej_pixels_may_be_taller_than_wide() -> None:
    found = imagej(4, "nm", y=5)
    assert found is not None
    assert (found.x, found.y) == (4, 5)
    found = imagej(4, "nm", y=0.005, yunit="um")
    assert found is not None
    assert (found.x, found.y) == (4, 5)


@pytest.mark.parametrize("unit", ["pixel", "", "1", "deg"])
def test_an_imagej_unit_that_is_no_length_states_none(unit: str) -> None:
    assert imagej(4.466, unit) is None


def test_the_reciprocal_of_a_length_is_no_scale_and_said() -> None:
    found, notes = all_stated(imagej=True, resolution=(1.0, 1.0), metadata={"unit": "1/nm"})
    assert found == ()
    assert notes == ("The ImageJ metadata are of reciprocal space (1/nm), so that lengths have no scale.",)


@pytest.mark.parametrize("resolution_unit", ["INCH", "CENTIMETER", "NONE"])
def test_dots_per_inch_are_no_scale(resolution_unit: str) -> None:
    assert stated(resolution=(300, 300), resolutionunit=resolution_unit) is None
    assert stated(resolution=(300, 300), resolutionunit=resolution_unit, imagej=True) is None


def test_zeiss_comes_before_the_rest() -> None:
    entry = (CZ_SEM, 2, None, b"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 2 nm\r\n", True)
    found = stated(imagej=True, resolution=(1.0, 1.0), metadata={"unit": "nm"}, extratags=[entry])
    assert found is not None
    assert found.x == 2


def test_every_published_micrograph_has_its_size(published: Path) -> None:
    paths = sorted((published / "micrographs").glob("*.tif"))
    assert len(paths) == 15
    for path in paths:
        with tifffile.TiffFile(path) as tiff:
            sizes, notes = pixel_sizes(tiff)
        assert [(size.x, size.y, size.source) for size in sizes] == [
            (4.466, 4.466, "Zeiss CZ_SEM AP_IMAGE_PIXEL_SIZE"), (4.466, 4.466, "Zeiss CZ_SEM header calibration"),
        ]  # fmt: skip
        assert notes == ()
