"""The data bar: found to the row, whatever the vendor, and never where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from samcolloid_edge.engine.databar import find_data_bar
from samcolloid_edge.engine.read import read
from samcolloid_edge.engine.types import Area

U8 = NDArray[np.uint8]

BARS: dict[str, dict[str, Any]] = {
    "zeiss": {"height": 66, "background": 0, "ink": 255, "border": 2},
    "fei": {"height": 60, "background": 0, "ink": 255, "border": 1},
    "jeol": {"height": 64, "background": 0, "ink": 255},
    "tescan": {"height": 90, "background": 40, "ink": 230, "border": 1, "line": cv2.LINE_AA},
    "grey": {"height": 50, "background": 90, "ink": 255, "line": cv2.LINE_AA},
    "white": {"height": 48, "background": 255, "ink": 0},
}


def picture(height: int = 700, width: int = 1024, mean: float = 110, noise: float = 9, seed: int = 0) -> U8:
    """(height, width) bright spheres on a darker substrate, noisy all over."""
    rng = np.random.default_rng(seed)
    scene = np.full((height, width), mean, np.float32)
    for _ in range(height * width // 10_000):
        centre = int(rng.integers(width)), int(rng.integers(height))
        cv2.circle(
            scene, centre, int(rng.integers(15, 45)), float(mean + rng.uniform(30, 90)), -1, cv2.LINE_AA
        )
    return np.clip(scene + rng.normal(0, noise, scene.shape), 0, 255).astype(np.uint8)


def bar(
    height: int, background: int, ink: int, border: int = 0, line: int = cv2.LINE_8, width: int = 1024
) -> U8:
    """(height, width) two lines of text and a scale bar."""
    drawn = np.full((height, width), background, np.uint8)
    for y in (height // 2 - 3, height - 8):
        text = "HV 10.00 kV  mag 25 000 x  WD 4.6 mm  det TLD  HFW 5.97 um  14:05:06"
        cv2.putText(drawn, text, (8, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, 1, line)
    drawn[height // 2 : height // 2 + 4, width - 150 : width - 30] = ink
    drawn[:border] = ink
    return drawn


def jpeg(pixels: U8, quality: int) -> U8:
    coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED), np.uint8)


def whole(pixels: NDArray[Any]) -> Area:
    return Area(0, 0, *pixels.shape)


@pytest.mark.parametrize("vendor", BARS)
def test_the_bar_of_every_vendor_is_found_to_the_row(vendor: str) -> None:
    pixels = np.vstack([picture(), bar(**BARS[vendor])])
    assert find_data_bar(pixels) == Area(0, 0, 700, 1024)


@pytest.mark.parametrize("vendor", BARS)
def test_a_bar_at_the_top_is_found_too(vendor: str) -> None:
    height = BARS[vendor]["height"]
    pixels = np.vstack([bar(**BARS[vendor])[::-1], picture()])
    assert find_data_bar(pixels) == Area(height, 0, height + 700, 1024)


@pytest.mark.parametrize("quality", [60, 75, 90])
@pytest.mark.parametrize("vendor", BARS)
def test_a_bar_that_went_through_jpeg_is_found_within_two_rows(vendor: str, quality: int) -> None:
    for rows in (700, 696, 691):
        pixels = jpeg(np.vstack([picture(rows), bar(**BARS[vendor])]), quality)
        area = find_data_bar(pixels)
        assert area.row0 == 0
        assert abs(area.row1 - rows) <= 2


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_the_bar_is_the_same_at_every_depth(dtype: type[np.generic]) -> None:
    # A 12 bit picture under a bar drawn at full scale, as several instruments write it.
    noisy = picture().astype(np.float64) * 16 + np.random.default_rng(1).normal(0, 9, (700, 1024))
    drawn = bar(**BARS["zeiss"]).astype(np.float64) * 257
    pixels = np.vstack([np.clip(noisy, 0, 4095).round(), drawn]).astype(dtype)
    assert find_data_bar(pixels) == Area(0, 0, 700, 1024)


def test_rows_and_a_column_of_the_picture_around_the_bar_do_not_hide_it() -> None:
    # Zeiss leaves the last row and the last column to the picture.
    pixels = picture(767)
    pixels[700:766, :1023] = bar(**BARS["zeiss"])[:, :1023]
    assert find_data_bar(pixels) == Area(0, 0, 700, 1024)


def test_a_black_bar_below_a_picture_that_is_half_black_is_found() -> None:
    dark = cv2.subtract(picture(), np.full((700, 1024), 112, np.uint8))
    assert 0.3 < np.mean(dark == 0) < 0.75
    assert find_data_bar(np.vstack([dark, bar(**BARS["jeol"])])) == Area(0, 0, 700, 1024)


@pytest.mark.parametrize("noise", [0, 1, 3, 9, 30])
@pytest.mark.parametrize("mean", [0, 15, 110, 250])
def test_no_bar_is_seen_in_a_picture_without_one(mean: float, noise: float) -> None:
    for seed in range(3):
        pixels = picture(768, mean=mean, noise=noise, seed=seed)
        assert find_data_bar(pixels) == whole(pixels)
        assert find_data_bar(jpeg(pixels, 80)) == whole(pixels)


@pytest.mark.parametrize("noise", [0, 2, 8])
def test_a_dark_substrate_at_the_bottom_is_no_bar(noise: float) -> None:
    pixels = np.vstack([picture(600), picture(168, mean=4, noise=noise)])
    assert find_data_bar(pixels) == whole(pixels)
    clipped = np.vstack([picture(600), np.zeros((168, 1024), np.uint8)])
    assert find_data_bar(clipped) == whole(clipped)


def test_a_jump_of_the_brightness_is_no_bar() -> None:
    # Charging: from one scan line to the next all is 40 grey levels darker.
    for noise in (0.5, 1, 2, 4):
        pixels = picture(mean=120, noise=noise)
        pixels[560:] -= 40
        assert find_data_bar(pixels) == whole(pixels)
        assert find_data_bar(jpeg(pixels, 85)) == whole(pixels)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (10, 20000), (20000, 10), (9, 40)])
@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_uniform_image_of_any_shape_is_analysed_whole(shape: tuple[int, int], value: int) -> None:
    pixels = np.full(shape, value, np.uint8)
    assert find_data_bar(pixels) == whole(pixels)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert find_data_bar(noise) == whole(noise)


def test_a_binary_image_has_no_bar() -> None:
    pixels = np.where(picture(noise=0) > 112, 255, 0).astype(np.uint8)
    assert find_data_bar(pixels) == whole(pixels)


def test_the_published_micrographs_end_at_their_bar(published: Path) -> None:
    for path in sorted((published / "micrographs").glob("*.tif")):
        pixels = read(path).pixels
        assert abs(find_data_bar(pixels).row1 - 701) <= 2, path.name
        assert abs(find_data_bar(jpeg(pixels[5:], 75)).row1 - 696) <= 2, path.name
        assert find_data_bar(pixels[:701]) == Area(0, 0, 701, 1024), path.name
