"""MRC files, written here byte for byte after MRC2014."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import GREY, refusal, written
from numpy.typing import NDArray
from samcolloid_edge.engine.read import read

MODES = {"i1": 0, "i2": 1, "f4": 2, "c8": 4, "u2": 6, "f2": 12}


def mrc(
    stack: NDArray[Any], angstrom: tuple[float, float] = (44.66, 44.66), order: str = "<", extended: int = 0
) -> bytes:
    """The file of a ``(frames, H, W)`` stack with so many Å per px (Cheng et al. 2015, table 1)."""
    n_frames, height, width = stack.shape
    header = bytearray(1024)
    kind = stack.dtype.str[1:]
    struct.pack_into(f"{order}10i", header, 0, width, height, n_frames, MODES[kind], 0, 0, 0, width, height, n_frames)
    struct.pack_into(f"{order}6f", header, 40, width * angstrom[0], height * angstrom[1], n_frames, 90, 90, 90)
    struct.pack_into(f"{order}3i", header, 64, 1, 2, 3)
    struct.pack_into(f"{order}2i", header, 88, 0, extended)
    header[208:212] = b"MAP "
    header[212:216] = b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0"
    return bytes(header) + bytes(extended) + stack.astype(order + kind).tobytes()


@pytest.mark.parametrize("kind", ["i1", "i2", "u2", "f4"])
@pytest.mark.parametrize(("order", "extended"), [("<", 0), (">", 0), ("<", 1024)])
def test_the_image_keeps_values_and_dtype_and_has_its_scale(
    tmp_path: Path, kind: str, order: str, extended: int
) -> None:
    pixels = (GREY.astype(np.int64) - (0 if kind == "u2" else 128)).astype(kind)
    micrograph = read(written(tmp_path, mrc(pixels[None], order=order, extended=extended), "image.mrc"))
    np.testing.assert_array_equal(micrograph.pixels, pixels)
    assert micrograph.pixels.dtype == pixels.dtype
    assert (micrograph.pixel_size, micrograph.pixel_size_source) == (4.466, "MRC header cell")
    assert micrograph.warnings == ()


def test_of_a_movie_the_first_frame_is_read_with_a_warning(tmp_path: Path) -> None:
    movie = np.stack([GREY, 255 - GREY]).astype(np.int16)
    micrograph = read(written(tmp_path, mrc(movie), "movie.mrcs"))
    np.testing.assert_array_equal(micrograph.pixels, GREY)
    assert micrograph.warnings == ("The file has 2 frames; the first was read, frame 2 was ignored.",)


def test_no_scale_is_told_from_a_default_and_from_nonsense(tmp_path: Path) -> None:
    def stated(*angstrom: float) -> tuple[float | None, tuple[str, ...]]:
        micrograph = read(written(tmp_path, mrc(GREY.astype(np.int16)[None], (angstrom[0], angstrom[-1]))))
        return micrograph.pixel_size, micrograph.warnings

    assert stated(0) == (None, ())
    size, (warning,) = stated(1)
    assert size is None
    assert warning.startswith("The MRC metadata state 1 Å per px, as programs write where they know no scale")
    for odd in (-3, float("nan"), float("inf")):
        size, (warning,) = stated(odd)
        assert size is None
        assert warning.startswith("The MRC metadata state no pixel size that makes sense;")


def test_what_is_no_micrograph_is_refused(tmp_path: Path) -> None:
    def refused(stack: NDArray[Any], **options: Any) -> str:
        return refusal(written(tmp_path, mrc(stack, **options)))

    bad = GREY.astype(np.float32)
    bad[3, 4] = np.inf
    assert "1 of 4980 values are NaN or infinite" in refused(bad[None])
    assert "not square (4 × 5 nm, MRC header cell)" in refused(GREY.astype(np.int16)[None], angstrom=(40, 50))
    assert "take its magnitude" in refused(GREY.astype(np.complex64)[None])
    assert "convert it to float32" in refused(GREY.astype(np.float16)[None])


def test_a_file_cut_short_says_so(tmp_path: Path) -> None:
    data = mrc(GREY.astype(np.int16)[None])
    for n in (212, 1000, 1024, 2000, len(data) - 1):
        assert "cut short or damaged" in refusal(written(tmp_path, data[:n]))


def test_a_damaged_header_never_ends_in_anything_but_a_sentence(tmp_path: Path) -> None:
    data = mrc(GREY.astype(np.int16)[None])
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        damaged[int(rng.integers(0, 240))] = int(rng.integers(256))
        path = written(tmp_path, bytes(damaged))
        try:
            read(path)
        except Exception as error:
            assert str(error).startswith(f"{path}: ")  # an ImageError; anything else has no path in front


def test_without_mrcfile_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, mrc(GREY.astype(np.int16)[None]))
    monkeypatch.setitem(sys.modules, "mrcfile", None)
    assert refusal(path).endswith('run pip install "samcolloid-edge[formats]".')
