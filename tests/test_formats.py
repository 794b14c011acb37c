"""Every kind of file gives the values it holds; one that is damaged gives none."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from image_files import (
    COLOUR,
    DEEP,
    GREY,
    coded_bytes,
    luminance,
    read_tiff,
    refusal,
    tiff_bytes,
    written,
)
from numpy.typing import NDArray
from samcolloid_edge.engine.read import read


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"rowsperstrip": 7},
        {"tile": (16, 32)},
        {"compression": "lzw"},
        {"compression": "lzw", "predictor": True},
        {"compression": "lzw", "predictor": True, "rowsperstrip": 7},
        {"compression": "zlib", "predictor": True},
        {"compression": "zlib", "predictor": True, "tile": (16, 16)},
        {"compression": "packbits"},
    ],
    ids=str,
)
@pytest.mark.parametrize("pixels", [GREY, DEEP, GREY.astype(np.float32) / 7], ids=lambda p: str(p.dtype))
def test_a_tiff_keeps_its_values_and_dtype(
    tmp_path: Path, pixels: NDArray[Any], options: dict[str, Any]
) -> None:
    micrograph = read_tiff(tmp_path, pixels, **options)
    np.testing.assert_array_equal(micrograph.pixels, pixels)
    assert micrograph.pixels.dtype == pixels.dtype
    assert micrograph.pixels.dtype.isnative
    assert micrograph.pixels.flags.c_contiguous
    assert micrograph.pixels.flags.writeable
    assert micrograph.warnings == ()


@pytest.mark.parametrize(
    ("name", "pixels"), [("a.png", GREY), ("a.png", DEEP), ("a.bmp", GREY), ("A.TIF", GREY)]
)
def test_other_formats_keep_their_values_too(tmp_path: Path, name: str, pixels: NDArray[Any]) -> None:
    micrograph = read(written(tmp_path, coded_bytes(Path(name).suffix.lower(), pixels), name))
    np.testing.assert_array_equal(micrograph.pixels, pixels)
    assert micrograph.pixels.dtype == pixels.dtype
    assert (micrograph.pixel_size, micrograph.pixel_size_source, micrograph.warnings) == (None, "none", ())


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_is_read(tmp_path: Path, progressive: int) -> None:
    smooth = cv2.GaussianBlur(GREY, (0, 0), 4)
    data = bytes(cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1])
    pixels = read(written(tmp_path, data, "a.jpeg")).pixels
    assert np.abs(pixels.astype(int) - smooth).max() <= 4


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(written(tmp_path, tiff_bytes(GREY), "a.png")).pixels, GREY)
    np.testing.assert_array_equal(read(written(tmp_path, coded_bytes(".png", GREY), "a.tif")).pixels, GREY)


def test_a_grey_palette_gives_its_greys_and_no_warning(tmp_path: Path) -> None:
    greys = np.arange(256, dtype=np.uint16)[::-1] * 257
    micrograph = read_tiff(tmp_path, GREY, photometric="palette", colormap=np.stack([greys] * 3))
    np.testing.assert_array_equal(micrograph.pixels, 255 - GREY)
    assert micrograph.pixels.dtype == np.uint8
    assert micrograph.warnings == ()


def test_a_palette_of_8_bit_entries_is_not_taken_for_black(tmp_path: Path) -> None:
    greys = np.arange(256, dtype=np.uint16)
    micrograph = read_tiff(tmp_path, GREY, photometric="palette", colormap=np.stack([greys] * 3))
    np.testing.assert_array_equal(micrograph.pixels, GREY)


def test_a_coloured_palette_becomes_luminance_with_a_warning(tmp_path: Path) -> None:
    palette = np.random.default_rng(3).integers(0, 256, (3, 256), np.uint16)
    micrograph = read_tiff(tmp_path, GREY, photometric="palette", colormap=palette * 256)
    np.testing.assert_array_equal(micrograph.pixels, luminance(palette.T[GREY]))
    assert "Rec. 601" in micrograph.warnings[0]


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colour_becomes_luminance_with_a_warning_that_says_how_coloured(tmp_path: Path, planar: str) -> None:
    rgb = np.repeat(GREY[..., None], 3, axis=2)
    rgb[0, :42] = (255, 0, 10)
    stored = rgb if planar == "contig" else np.moveaxis(rgb, -1, 0)
    micrograph = read_tiff(tmp_path, stored, photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(micrograph.pixels, luminance(rgb))
    assert micrograph.pixels.dtype == np.uint8
    (warning,) = micrograph.warnings
    assert "0.84 % of the pixels, by up to 255" in warning


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tif"])
def test_red_green_and_blue_are_not_mixed_up(tmp_path: Path, extension: str) -> None:
    data = coded_bytes(extension, COLOUR[..., ::-1])
    np.testing.assert_array_equal(read(written(tmp_path, data)).pixels, luminance(COLOUR))


@pytest.mark.parametrize("pixels", [GREY, DEEP], ids=lambda p: str(p.dtype))
def test_grey_stored_as_colour_is_grey_without_a_warning(tmp_path: Path, pixels: NDArray[Any]) -> None:
    rgb = np.repeat(pixels[..., None], 3, axis=2)
    for data in (tiff_bytes(rgb, photometric="rgb"), coded_bytes(".png", rgb)):
        micrograph = read(written(tmp_path, data))
        np.testing.assert_array_equal(micrograph.pixels, pixels)
        assert micrograph.warnings == ()


@pytest.mark.parametrize("container", ["tiff", "png", "array"])
def test_opacity_is_dropped_and_told_where_it_was_used(tmp_path: Path, container: str) -> None:
    for transparent, n_warnings in ((0, 0), (30, 1)):
        rgba = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)])
        rgba[:transparent, :, 3] = 17
        if container == "array":
            micrograph = read(rgba)
        elif container == "png":
            micrograph = read(written(tmp_path, coded_bytes(".png", rgba)))
        else:
            micrograph = read_tiff(tmp_path, rgba, photometric="rgb", extrasamples=["unassalpha"])
        np.testing.assert_array_equal(micrograph.pixels, GREY)
        assert len(micrograph.warnings) == n_warnings
        assert all("50 % of the pixels are not opaque" in w for w in micrograph.warnings)


def test_a_second_detector_is_named_and_not_taken_for_opacity(tmp_path: Path) -> None:
    both = np.dstack([GREY, GREY // 2])
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    micrograph = read_tiff(tmp_path, both, **options)
    np.testing.assert_array_equal(micrograph.pixels, GREY)
    assert micrograph.warnings == ("The file has 2 channels; the first was read, the rest ignored.",)
    micrograph = read_tiff(tmp_path, both, **options, extrasamples=["unassalpha"])
    np.testing.assert_array_equal(micrograph.pixels, GREY)
    assert "not opaque" in micrograph.warnings[0]


def test_where_white_is_zero_the_values_are_turned_round(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_tiff(tmp_path, GREY, photometric="miniswhite").pixels, 255 - GREY)
    np.testing.assert_array_equal(read_tiff(tmp_path, DEEP, photometric="miniswhite").pixels, 65535 - DEEP)


def test_fewer_than_8_bits_are_spread_over_8(tmp_path: Path) -> None:
    bilevel = GREY > 128
    black = read_tiff(tmp_path, bilevel, photometric="minisblack")
    np.testing.assert_array_equal(black.pixels, np.where(bilevel, 255, 0))
    assert black.pixels.dtype == np.uint8
    white = read_tiff(tmp_path, bilevel, photometric="miniswhite")
    np.testing.assert_array_equal(white.pixels, np.where(bilevel, 0, 255))
    np.testing.assert_array_equal(read_tiff(tmp_path, GREY // 16, bitspersample=4).pixels, GREY // 16 * 17)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"photometric": "minisblack"}, "3 pages; the first was read, pages 2 to 3 were ignored"),
        ({"imagej": True}, "3 pages; the first was read, pages 2 to 3 were ignored"),
    ],
)
def test_of_several_pages_the_first_is_read_and_the_rest_named(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    micrograph = read_tiff(tmp_path, np.stack([GREY, GREY // 2, GREY // 3]), **options)
    np.testing.assert_array_equal(micrograph.pixels, GREY)
    assert len(micrograph.warnings) == 1
    assert told in micrograph.warnings[0]


def test_an_image_inside_the_page_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "sub.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY, subifds=1, compression="lzw", predictor=True)
        writer.write(GREY[::2, ::2])
    micrograph = read(path)
    np.testing.assert_array_equal(micrograph.pixels, GREY)
    assert micrograph.warnings == ()


@pytest.mark.parametrize("name", ["empty.tif", "empty.png"])
def test_an_empty_file_is_empty(tmp_path: Path, name: str) -> None:
    assert "the file is empty (0 bytes)" in refusal(written(tmp_path, b"", name))


def test_text_under_the_name_of_a_tiff_is_no_image(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, b"Mag = 25 K X\n"))
    assert message.startswith("not a TIFF, PNG, JPEG, BMP, DM3, DM4, EMD or MRC image (it begins with b'Mag = 25')")


@pytest.mark.parametrize(
    "header", [b"II*\0", b"MM\0*", b"II+\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"]
)
@pytest.mark.parametrize(
    "rest", [b"", b"\0" * 60, b"\xff" * 60, b"some text that follows the header of an image"]
)
def test_a_header_with_rubbish_behind_it_is_damaged(tmp_path: Path, header: bytes, rest: bytes) -> None:
    assert "cut short or damaged" in refusal(written(tmp_path, header + rest))


TIFFS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 16)},
    "lzw": {"compression": "lzw", "predictor": True},
    "lzw strips": {"compression": "lzw", "rowsperstrip": 7},
    "deflate": {"compression": "zlib", "predictor": True},
    "imagej": {"imagej": True},
}


@pytest.mark.parametrize("kind", TIFFS)
def test_a_tiff_that_is_cut_short_is_never_filled_up(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = tiff_bytes(GREY, **TIFFS[kind])
    for kept in (*range(4, 400, 9), len(data) // 2, len(data) - 200, len(data) - 1):
        assert "cut short or damaged" in refusal(written(tmp_path, data[:kept])), kept
    assert capfd.readouterr() == ("", "")


def test_a_tiff_whose_directory_comes_last_is_cut_short_too(tmp_path: Path) -> None:
    strip = GREY.tobytes()
    entries = [(256, 4, GREY.shape[1]), (257, 4, GREY.shape[0]), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    entries += [(273, 4, 8), (277, 3, 1), (278, 4, GREY.shape[0]), (279, 4, len(strip))]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in entries)
    data = struct.pack("<4sI", b"II*\0", 8 + len(strip)) + strip + directory + bytes(4)
    np.testing.assert_array_equal(read(written(tmp_path, data)).pixels, GREY)
    for kept in range(100, len(data) - 4, 97):
        assert "cut short or damaged" in refusal(written(tmp_path, data[:kept]))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp"])
def test_other_formats_that_are_cut_short_are_refused(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = coded_bytes(Path(name).suffix, GREY)
    for kept in (10, 12, 20, 30, 60, len(data) // 2, len(data) - 100, len(data) - 1):
        assert "cut short or damaged" in refusal(written(tmp_path, data[:kept], name)), kept
    assert capfd.readouterr() == ("", "")


def test_a_png_with_a_flipped_bit_is_damaged(tmp_path: Path) -> None:
    data = bytearray(coded_bytes(".png", GREY))
    data[len(data) // 2] ^= 1
    assert "cut short or damaged" in refusal(written(tmp_path, bytes(data), "a.png"))


@pytest.mark.parametrize("dtype", ["i8", "u8", "c8", "f2"])
def test_a_tiff_of_another_dtype_is_refused(tmp_path: Path, dtype: str) -> None:
    assert "its pixels are" in refusal(written(tmp_path, tiff_bytes(GREY.astype(dtype))))


def test_a_tiff_with_printing_inks_or_depth_is_refused(tmp_path: Path) -> None:
    inks = np.dstack([COLOUR, GREY])
    assert "SEPARATED" in refusal(written(tmp_path, tiff_bytes(inks, photometric="separated")))
    stack = np.stack([GREY[:48, :48]] * 16)
    volume = tiff_bytes(stack, photometric="minisblack", tile=(16, 16, 16), volumetric=True)
    assert "export" in refusal(written(tmp_path, volume))
