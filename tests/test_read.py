"""Micrographs from files and arrays, their scale, and what is refused in one sentence."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from image_files import (
    COLOUR,
    GREY,
    ZEISS,
    coded_bytes,
    luminance,
    read_tiff,
    refusal,
    tiff_bytes,
    written,
)
from samcolloid_edge.engine.read import read
from samcolloid_edge.engine.types import Area
from samcolloid_edge.models.errors import ImageError


@pytest.mark.parametrize("shape", [(1, 1), (10, 20000), (1, 300), (300, 1)])
def test_an_image_of_any_shape_is_read_whole(tmp_path: Path, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(4).integers(0, 256, shape, np.uint8)
    for data in (tiff_bytes(pixels), tiff_bytes(pixels, compression="lzw"), coded_bytes(".png", pixels)):
        micrograph = read(written(tmp_path, data))
        np.testing.assert_array_equal(micrograph.pixels, pixels)
        assert micrograph.area == Area(0, 0, *shape)


def test_paths_may_hold_spaces_and_any_letters(tmp_path: Path) -> None:
    folder = tmp_path / "Größe 粒子 №1"
    folder.mkdir()
    for name, data in (("ä µ.tif", tiff_bytes(GREY)), ("ñ 画像.png", coded_bytes(".png", GREY))):
        path = written(folder, data, name)
        np.testing.assert_array_equal(read(path).pixels, GREY)
        assert read(str(path)).source == os.fspath(path)


def test_the_hash_is_that_of_the_files_bytes(tmp_path: Path) -> None:
    data = tiff_bytes(GREY)
    assert read(written(tmp_path, data)).sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "u4", "i1", "i2", ">i2", "i4", "f4", "f8", ">f4"])
def test_an_array_keeps_its_values_and_is_not_shared(dtype: str) -> None:
    array = GREY.astype(dtype)[::-1, ::2]
    micrograph = read(array, 2)
    np.testing.assert_array_equal(micrograph.pixels, array)
    assert micrograph.pixels.dtype == array.dtype.newbyteorder("=")
    assert micrograph.pixels.flags.c_contiguous
    assert not np.shares_memory(micrograph.pixels, array)
    assert (micrograph.source, micrograph.pixel_size_source) == ("array", "given by the user")
    assert (micrograph.pixel_size, micrograph.file_pixel_size) == (2, None)


def test_the_hash_of_an_array_tells_values_shape_and_dtype_apart() -> None:
    arrays = [
        GREY,
        GREY.T,
        GREY + 1,
        GREY.astype(np.float32),
        np.zeros((2, 3), np.uint8),
        np.zeros((3, 2), np.uint8),
    ]
    assert len({read(a).sha256 for a in arrays}) == len(arrays)
    assert read(GREY).sha256 == read(np.asfortranarray(GREY)).sha256


def test_a_coloured_array_of_floats_becomes_luminance() -> None:
    rgb = COLOUR.astype(np.float32) / 255
    micrograph = read(rgb)
    np.testing.assert_allclose(micrograph.pixels, rgb @ [0.299, 0.587, 0.114], rtol=1e-6)
    assert micrograph.pixels.dtype == np.float32
    assert len(micrograph.warnings) == 1


def test_colour_of_signed_and_of_deep_numbers_becomes_luminance() -> None:
    for shift, dtype in ((-128, np.int16), (-40_000, np.int32), (4_294_967_000, np.uint32)):
        rgb = COLOUR.astype(np.int64) + shift
        found = read(rgb.astype(dtype)).pixels
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, luminance(COLOUR.astype(np.int64)) + shift)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
def test_nan_and_infinity_are_refused(tmp_path: Path, bad: float, shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, np.float32)
    array[3, 4] = bad
    told = f"{array.size - np.isfinite(array).sum()} of {array.size} values are NaN or infinite"
    assert told in refusal(array)
    photometric = "rgb" if array.ndim == 3 else "minisblack"
    assert told in refusal(written(tmp_path, tiff_bytes(array, photometric=photometric)))


@pytest.mark.parametrize("dtype", ["?", "i8", "u8", "f2", "c8", "M8[s]"])
def test_other_dtypes_are_refused_with_advice(dtype: str) -> None:
    message = refusal(np.zeros((20, 30), dtype))
    assert message.startswith(f"its pixels are {np.dtype(dtype)}, not uint8, int8, uint16, int16, ")


@pytest.mark.parametrize("shape", [(), (5,), (20, 30, 1), (20, 30, 2), (20, 30, 5), (2, 20, 30, 3)])
def test_other_ranks_are_refused(shape: tuple[int, ...]) -> None:
    assert f"its shape is {shape}; give (H, W)" in refusal(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0, 3)])
def test_an_array_without_pixels_is_refused(shape: tuple[int, ...]) -> None:
    assert "no pixels" in refusal(np.zeros(shape, np.uint8))


def test_what_is_neither_path_nor_array_is_refused() -> None:
    for thing in (None, [[1, 2], [3, 4]], 7):
        with pytest.raises(ImageError, match=f"path or a NumPy array, not {type(thing).__name__}"):
            read(thing)  # type: ignore[arg-type]


def test_the_files_scale_is_used_and_named(tmp_path: Path) -> None:
    micrograph = read_tiff(tmp_path, GREY, extratags=[ZEISS])
    assert (micrograph.pixel_size, micrograph.file_pixel_size) == (4.466, 4.466)
    assert micrograph.pixel_size_source == "Zeiss CZ_SEM AP_IMAGE_PIXEL_SIZE"


def test_a_size_given_overrides_the_files_and_both_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, tiff_bytes(GREY, extratags=[ZEISS]))
    micrograph = read(path, 4.45)
    assert (micrograph.pixel_size, micrograph.file_pixel_size, micrograph.warnings) == (4.45, 4.466, ())
    assert micrograph.pixel_size_source == (
        "given by the user (the file says 4.466 nm, Zeiss CZ_SEM AP_IMAGE_PIXEL_SIZE)"
    )
    assert read(path, 5).warnings == ("The pixel size given, 5 nm, is 12 % off the file's 4.466 nm.",)


def test_an_uncertainty_belongs_to_a_size_be_it_given_or_the_files(tmp_path: Path) -> None:
    path = written(tmp_path, tiff_bytes(GREY, extratags=[ZEISS]))
    assert read(path).pixel_size_uncertainty is None
    assert read(path, 4.45, 0.05).pixel_size_uncertainty == 0.05
    assert read(path, pixel_size_uncertainty=0.05).pixel_size_uncertainty == 0.05
    assert read(GREY, pixel_size_uncertainty=0.05).pixel_size_uncertainty is None


@pytest.mark.parametrize("given", [0, -1, -4.466, float("nan"), float("inf"), "4.466"])
def test_a_size_that_is_none_is_refused(tmp_path: Path, given: Any) -> None:
    told = f"the pixel size must be a number above 0 (nm per px), not {given!r}"
    assert told in refusal(written(tmp_path, tiff_bytes(GREY)), given)
    assert told in refusal(GREY, given)


def test_pixels_that_are_not_square_are_always_refused(tmp_path: Path) -> None:
    def imagej(x: float, y: float) -> bytes:
        return tiff_bytes(GREY, imagej=True, resolution=(1 / x, 1 / y), metadata={"unit": "nm"})

    for given in (None, 4):
        message = refusal(written(tmp_path, imagej(4, 4.01)), given)
        assert message.startswith("its pixels are not square (4 × 4.01 nm, ImageJ unit and resolution);")
    assert read(written(tmp_path, imagej(4, 4.003))).pixel_size == 4


def test_dots_per_inch_are_no_scale_and_imagejs_are_doubted(tmp_path: Path) -> None:
    assert read_tiff(tmp_path, GREY, resolution=(300, 300), resolutionunit="INCH").pixel_size is None
    micrograph = read_tiff(tmp_path, GREY, imagej=True, resolution=(300, 300), metadata={"unit": "inch"})
    assert "looks like a print resolution" in micrograph.warnings[0]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.tif") == "there is no such file; check the path."
    assert refusal(tmp_path / "none" / "none.tif") == "there is no such file; check the path."


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "this is a folder" in refusal(tmp_path)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    path = written(tmp_path, tiff_bytes(GREY))
    monkeypatch.setattr(Path, "read_bytes", denied)
    assert refusal(path) == "cannot be read (Permission denied); check the path and your permission."


def test_a_path_that_cannot_exist_is_refused() -> None:
    assert "cannot be read" in refusal("a\0b.tif")


def test_every_published_micrograph_is_read_as_it_is(published: Path) -> None:
    paths = sorted((published / "micrographs").glob("*.tif"))
    assert len(paths) == 15
    for path in paths:
        micrograph = read(path)
        assert micrograph.pixels.shape == (768, 1024)
        assert micrograph.pixels.dtype == np.uint8
        # Their palette is the identity.
        np.testing.assert_array_equal(micrograph.pixels, tifffile.imread(path))
        assert (micrograph.pixel_size, micrograph.warnings) == (4.466, ())
        assert abs(micrograph.area.row1 - 701) <= 2
        assert (micrograph.area.row0, micrograph.area.col0, micrograph.area.col1) == (0, 0, 1024)
