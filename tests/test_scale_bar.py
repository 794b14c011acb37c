"""The burnt-in scale bar is measured as it was drawn, whatever its style; what is none is not measured."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from samcolloid_edge.engine.databar import find_data_bar
from samcolloid_edge.engine.read import read
from samcolloid_edge.engine.scale_bar import measure_scale_bar
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.engine.types import Area

U8 = NDArray[np.uint8]
HEIGHT, WIDTH, BAR = 400, 640, 60
AREA = Area(0, 0, HEIGHT - BAR, WIDTH)
LENGTHS = (40, 67, 200)


def with_data_bar(ink: int = 255, paper: int = 0) -> tuple[U8, U8]:
    """A noisy picture above a data bar with some text, and the data bar as a view to draw on."""
    image = np.random.default_rng(0).integers(60, 200, (HEIGHT, WIDTH), np.uint8)
    band = image[HEIGHT - BAR :]
    band[:] = paper
    band[[0, -1]] = ink
    for x, text in ((330, "EHT = 3.00 kV"), (480, "WD = 2.7 mm --- E")):
        cv2.putText(band, text, (x, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.4, ink, 1, cv2.LINE_AA)
    return image, band


def draw_marked(band: U8, x: int, length: int, ink: int = 255, tick: int = 2) -> None:
    """A line whose end marks are ``length`` px apart, middle to middle; their first one begins at ``x``."""
    band[38:40, x : x + length + tick] = ink
    band[32:46, x : x + tick] = ink
    band[32:46, x + length : x + length + tick] = ink


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("ink", "paper"), [(255, 0), (0, 255), (200, 30)])
@pytest.mark.parametrize("tick", [1, 2, 3])
def test_a_line_between_marks_is_measured_between_their_middles(length: int, ink: int, paper: int, tick: int) -> None:
    image, band = with_data_bar(ink, paper)
    draw_marked(band, 20, length, ink, tick)
    cv2.putText(band, "300 nm", (22, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.4, ink, 1, cv2.LINE_AA)
    assert measure_scale_bar(image, AREA) == pytest.approx(length, abs=0.01)
    assert measure_scale_bar(image, find_data_bar(image)) == pytest.approx(length, abs=0.01)


@pytest.mark.parametrize("length", (100, 250))
def test_a_line_that_its_label_interrupts_is_measured_as_one(length: int) -> None:
    image, band = with_data_bar()
    draw_marked(band, 20, length)
    middle = 21 + length // 2
    band[30:48, middle - 25 : middle + 25] = 0
    cv2.putText(band, "5 um", (middle - 18, 44), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1, cv2.LINE_AA)
    assert measure_scale_bar(image, AREA) == pytest.approx(length, abs=0.01)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("thickness", [2, 5])
def test_a_rectangle_is_measured_from_end_to_end(length: int, thickness: int) -> None:
    image, band = with_data_bar()
    band[40 : 40 + thickness, 20 : 20 + length] = 255
    assert measure_scale_bar(image, AREA) == pytest.approx(length, abs=0.01)


def test_the_end_of_a_smoothed_rectangle_lies_between_two_px() -> None:
    image, band = with_data_bar()
    band[40:45, 20:87] = 255
    band[40:45, 87] = 102
    assert measure_scale_bar(image, AREA) == pytest.approx(67.4, abs=0.01)


@pytest.mark.parametrize("step", [5, 10, 20])
def test_a_ruler_of_eleven_marks_is_measured_from_the_first_to_the_last(step: int) -> None:
    image, band = with_data_bar()
    for i in range(11):
        band[34:46, 20 + i * step : 21 + i * step] = 255
    assert measure_scale_bar(image, AREA) == pytest.approx(10 * step, abs=0.01)


def test_a_ruling_across_the_data_bar_is_no_scale_bar() -> None:
    image, band = with_data_bar()
    band[30] = 255
    band[:, 300] = 255
    assert measure_scale_bar(image, AREA) is None


def test_two_different_lines_measure_nothing() -> None:
    image, band = with_data_bar()
    band[40:43, 20:87] = 255
    band[50:53, 20:120] = 255
    assert measure_scale_bar(image, AREA) is None


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("ink", [0, 255])
def test_a_bar_drawn_into_the_picture_is_measured(length: int, ink: int) -> None:
    whole = Area(0, 0, HEIGHT, WIDTH)
    for drawn in ("rectangle", "marked"):
        image = with_data_bar()[0]
        image[HEIGHT - BAR :] = np.random.default_rng(1).integers(60, 200, (BAR, WIDTH), np.uint8)
        cv2.putText(image, "300 nm", (22, 325), cv2.FONT_HERSHEY_SIMPLEX, 0.6, ink, 2)
        if drawn == "marked":
            draw_marked(image[HEIGHT - BAR :], 20, length, ink)
        else:
            image[350:356, 20 : 20 + length] = ink
        assert measure_scale_bar(image, whole, in_picture=True) == pytest.approx(length, abs=0.01)
        assert measure_scale_bar(image, whole) is None


def test_no_particle_is_taken_for_a_scale_bar() -> None:
    for seed in range(5):
        for particle in ("sphere", "trimer"):
            truth = render(Scene(shape=(300, 400), radius_px=14, particle=particle, seed=seed))
            assert measure_scale_bar(truth.image, Area(0, 0, *truth.image.shape), in_picture=True) is None


def test_without_a_data_bar_or_with_a_blank_one_nothing_is_measured() -> None:
    image, band = with_data_bar()
    assert measure_scale_bar(image, AREA) is None
    assert measure_scale_bar(image, Area(0, 0, HEIGHT, WIDTH)) is None
    band[:] = 0
    assert measure_scale_bar(image, AREA) is None


@pytest.mark.parametrize("quality", [95, 80])
def test_after_jpeg_it_is_measured_to_a_quarter_of_a_px(quality: int) -> None:
    image, band = with_data_bar()
    draw_marked(band, 20, 134)
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    found = measure_scale_bar(np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8), AREA)
    assert found == pytest.approx(134, abs=0.25)


def test_of_every_published_micrograph_the_bar_agrees_with_the_metadata(published: Path) -> None:
    paths = sorted((published / "micrographs").glob("*.tif"))
    assert len(paths) == 15
    for path in paths:
        micrograph = read(path, scale_bar=300)  # as is written at each of them
        assert micrograph.scale_bar == pytest.approx(67, abs=0.01)
        assert micrograph.pixel_sizes[-1].x == pytest.approx(4.466, rel=0.003)
        assert (micrograph.pixel_size, micrograph.warnings) == (4.466, ())
