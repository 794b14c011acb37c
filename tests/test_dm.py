"""DigitalMicrograph files, written here byte for byte after the layout known of versions 3 and 4."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from image_files import COLOUR, GREY, luminance, refusal, written
from numpy.typing import NDArray
from samcolloid_edge.engine.read import read
from samcolloid_edge.engine.types import Micrograph

TYPES: Final = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7, "u1": 8, "i1": 9, "c8": 6}
"""Encoded type of the elements of an array."""
KINDS: Final = {"i2": 1, "f4": 2, "c8": 3, "u1": 6, "i4": 7, "i1": 9, "u2": 10, "u4": 11, "f8": 12}
"""DataType of an image."""


class Dm:
    """Writes a tag tree of dicts, numbers, texts and arrays as DM3 or DM4, in either order of bytes."""

    def __init__(self, version: int, order: str = "<") -> None:
        self.version, self.order = version, order
        self.word = ">q" if version == 4 else ">i"

    def file(self, tags: dict[str, Any]) -> bytes:
        body = self.group(tags) + bytes(8)
        size = struct.pack(self.word, len(body) - 4)
        return struct.pack(">i", self.version) + size + struct.pack(">i", int(self.order == "<")) + body

    def group(self, tags: dict[str, Any]) -> bytes:
        return b"\1\0" + struct.pack(self.word, len(tags)) + b"".join(self.tag(*item) for item in tags.items())

    def tag(self, name: str, value: Any) -> bytes:
        known = b"" if name.isdecimal() else name.encode("latin-1")  # unnamed tags are numbered here
        is_group = isinstance(value, dict)
        body = self.group(value) if is_group else b"%%%%" + self.data(value)
        size = struct.pack(">q", len(body)) if self.version == 4 else b""
        return struct.pack(">BH", 20 if is_group else 21, len(known)) + known + size + body

    def data(self, value: Any) -> bytes:
        if isinstance(value, tuple):  # a struct of longs
            return self.words(1 + 2 + 2 * len(value), 15, 0, len(value), *([0, 3] * len(value))) + struct.pack(
                f"{self.order}{len(value)}i", *value
            )
        if isinstance(value, list):  # an array of structs of two floats
            flat = np.array(value, f"{self.order}f4")
            return self.words(9, 20, 15, 0, 2, 0, 6, 0, 6, len(value)) + flat.tobytes()
        if isinstance(value, str):
            text = value.encode("utf-16-le" if self.order == "<" else "utf-16-be")
            return self.words(3, 20, 4, len(text) // 2) + text
        if isinstance(value, np.ndarray):
            kind = value.dtype.str[1:]
            n = value.size * (2 if kind == "c8" else 1)
            return self.words(3, 20, TYPES[kind], n) + value.astype(self.order + kind).tobytes()
        kind = "f4" if isinstance(value, float) else "u4"
        return self.words(1, TYPES[kind]) + np.array(value, self.order + kind).tobytes()

    def words(self, *numbers: int) -> bytes:
        return b"".join(struct.pack(self.word, number) for number in numbers)


def image(pixels: NDArray[Any], scale: tuple[float, ...] = (4.466, 4.466), unit: str = "nm") -> dict[str, Any]:
    dimension = {str(i): {"Origin": 0.0, "Scale": s, "Units": unit} for i, s in enumerate(scale)}
    return {
        "ImageData": {
            "Calibrations": {"Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""}, "Dimension": dimension},
            "Data": pixels,
            "DataType": KINDS[pixels.dtype.str[1:]],
            "Dimensions": {str(i): n for i, n in enumerate(pixels.shape[::-1])},
            "PixelDepth": pixels.dtype.itemsize,
        },
        "Name": "image",
    }


def tags(content: dict[str, Any]) -> dict[str, Any]:
    """The tree of a file with a thumbnail, as DigitalMicrograph writes it, cut down."""
    return {
        "ApplicationBounds": (0, 0, 1000, 1600),
        "DocumentTags": {"Curve": [(0.0, 1.0), (1.0, 2.0)]},
        "ImageList": {"0": image(np.zeros((16, 16), np.int32)), "1": content},
        "Thumbnails": {"0": {"ImageIndex": 0}},
    }


def opened(folder: Path, content: dict[str, Any], version: int = 3, order: str = "<") -> Micrograph:
    return read(written(folder, Dm(version, order).file(tags(content)), f"image.dm{version}"))


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_the_image_keeps_values_and_dtype_and_has_its_scale(
    tmp_path: Path, version: int, order: str, kind: str
) -> None:
    shift = -100 if kind[0] == "i" else 0
    pixels = (GREY.astype(np.int64) // 2 + shift).astype(kind)
    micrograph = opened(tmp_path, image(pixels), version, order)
    np.testing.assert_array_equal(micrograph.pixels, pixels)
    assert micrograph.pixels.dtype == pixels.dtype
    assert (micrograph.pixel_size, micrograph.warnings) == (pytest.approx(4.466, rel=1e-7), ())
    assert micrograph.pixel_size_source == "Gatan DigitalMicrograph calibration"


@pytest.mark.parametrize(("unit", "scale", "nm"), [("nm", 0.25, 0.25), ("\u00b5m", 0.25, 250), ("\u00c5", 2.5, 0.25)])
def test_units_are_read(tmp_path: Path, unit: str, scale: float, nm: float) -> None:
    assert opened(tmp_path, image(GREY, (scale, scale), unit)).pixel_size == nm


def test_of_a_stack_the_first_frame_is_read_with_a_warning(tmp_path: Path) -> None:
    stack = np.stack([GREY, 255 - GREY, GREY // 2])
    micrograph = opened(tmp_path, image(stack, (2.0, 2.0, 1.0)), 4)
    np.testing.assert_array_equal(micrograph.pixels, GREY)
    assert micrograph.warnings == ("The file has 3 frames; the first was read, frames 2 to 3 were ignored.",)


def test_colour_is_stored_blue_first(tmp_path: Path) -> None:
    stored = np.dstack([COLOUR[..., ::-1], np.zeros_like(COLOUR[..., :1])])
    content = image(GREY)
    content["ImageData"] |= {"Data": np.ascontiguousarray(stored).view("<i4")[..., 0], "DataType": 23}
    np.testing.assert_array_equal(opened(tmp_path, content).pixels, luminance(COLOUR))


def test_without_a_unit_there_is_no_scale_and_no_word(tmp_path: Path) -> None:
    micrograph = opened(tmp_path, image(GREY, (1.0, 1.0), ""))
    assert (micrograph.pixel_size, micrograph.warnings) == (None, ())


def test_a_diffraction_pattern_has_no_scale(tmp_path: Path) -> None:
    micrograph = opened(tmp_path, image(GREY, (0.01, 0.01), "1/nm"))
    assert micrograph.pixel_size is None
    assert micrograph.warnings == ("The Gatan metadata are of reciprocal space (1/nm), so that lengths have no scale.",)


def test_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, Dm(3).file(tags(image(GREY, (4.0, 5.0)))))
    assert refusal(path).startswith("its pixels are not square (4 × 5 nm, Gatan DigitalMicrograph calibration);")


def test_nan_complex_and_lines_are_refused(tmp_path: Path) -> None:
    bad = GREY.astype(np.float32)
    bad[3, 4] = np.nan
    assert "1 of 4980 values are NaN or infinite" in refusal(written(tmp_path, Dm(3).file(tags(image(bad)))))
    transform = written(tmp_path, Dm(3).file(tags(image(GREY.astype(np.complex64)))))
    assert "take its magnitude" in refusal(transform)
    line = written(tmp_path, Dm(3).file(tags(image(np.arange(300, dtype=np.float32), (1.0,)))))
    assert "a line of values, not an image" in refusal(line)
    content = image(GREY)
    content["ImageData"]["DataType"] = 5
    assert "data type 5, not read here" in refusal(written(tmp_path, Dm(3).file(tags(content))))


@pytest.mark.parametrize("version", [3, 4])
def test_wherever_a_file_is_cut_one_sentence_says_so(tmp_path: Path, version: int) -> None:
    data = Dm(version).file(tags(image(GREY[:20, :15])))
    path = tmp_path / "image.dm3"
    for n in range(16, len(data) - 200, 37):
        assert "cut short or damaged" in refusal(written(tmp_path, data[:n], path.name))


def test_damaged_bytes_never_end_in_anything_but_a_sentence(tmp_path: Path) -> None:
    data = Dm(3).file(tags(image(GREY[:20, :15])))
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        damaged[int(rng.integers(16, len(data)))] = int(rng.integers(256))
        path = written(tmp_path, bytes(damaged))
        try:
            read(path)
        except Exception as error:
            assert str(error).startswith(f"{path}: ")  # an ImageError; anything else has no path in front
