"""The overlay: what it draws, and what it leaves alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from handmade import TRIMER_AND_DUMBBELL, discs, result_of
from numpy.typing import NDArray
from samcolloid_edge.engine.overlay import PALETTE, colours, draw, magnification
from samcolloid_edge.engine.settings import Settings

NOTHING = np.zeros(0, np.int32)


def near(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=steps) > 0


def rim(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of the mask that have a side in common with the outside."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return mask & (cv2.dilate((~mask).astype(np.uint8), cross) > 0)


@pytest.mark.parametrize(("long_side", "times"), [(640, 3), (1024, 2), (1599, 2), (1600, 1), (9000, 1), (60, 4)])
def test_small_micrographs_are_magnified(long_side: int, times: int) -> None:
    assert magnification((50, long_side)) == magnification((long_side, 7)) == times


def test_a_large_micrograph_is_as_it_was_but_for_outlines_and_what_is_right_beside_them() -> None:
    labels, sets = discs((60, 1600), [(30, 30, 20, 0)])
    result = result_of(labels, sets, pixel_size=None)
    before = result.micrograph.pixels.copy()
    picture = draw(result)
    changed = (picture != before[:, :, None]).any(axis=2)
    inside = labels > 0
    assert changed[rim(inside)].all()
    assert not changed[~near(rim(inside), 1)].any()
    assert np.array_equal(result.micrograph.pixels, before)
    assert picture.dtype == np.uint8


def test_a_set_has_one_colour_of_the_palette_around_it_and_paler_lines_inside() -> None:
    labels, sets = discs((120, 1600), TRIMER_AND_DUMBBELL)
    result = result_of(labels, sets, pixel_size=None)
    picture, chosen = draw(result), colours(result)
    members = np.concatenate([[-1], sets])[labels]
    for number, lobe in ((0, 0), (1, 3)):
        assert (picture[rim(members == number)] == chosen[lobe]).all()
        assert any((chosen[lobe] == colour).all() for colour in PALETTE)
    assert not np.array_equal(chosen[0], chosen[3])
    seam = rim(labels == 1) & ~rim(members == 0)
    assert (picture[seam] != 180).any(axis=1).all()
    assert (picture[seam] != chosen[0]).any(axis=1).all()


@pytest.mark.parametrize(("step", "radius"), [(20, 9), (12, 5)])
def test_sets_next_to_each_other_differ_in_colour_also_where_more_are_near_than_there_are_colours(
    step: int, radius: int
) -> None:
    lobes = [(10 + step * r, 10 + step * c, radius, 6 * r + c) for r in range(6) for c in range(6)]
    chosen = colours(result_of(*discs((120, 120), lobes), pixel_size=None)).reshape(6, 6, 3)
    assert (chosen[1:] != chosen[:-1]).any(axis=2).all()
    assert (chosen[:, 1:] != chosen[:, :-1]).any(axis=2).all()


def test_lobes_of_no_set_are_white() -> None:
    labels, _ = discs((60, 1600), [(30, 30, 10, 0)])
    result = result_of(labels, np.array([-1], np.int32), pixel_size=None)
    inside = labels > 0
    assert (draw(result)[rim(inside)] == 255).all()
    assert (colours(result) == 255).all()


def test_lobes_that_a_filter_leaves_out_are_faint() -> None:
    labels, sets = discs((60, 1600), [(30, 30, 20, 0), (30, 80, 10, 1)])
    result = result_of(labels, sets, settings=Settings(min_diameter=60.0))  # at 2 nm per px
    assert result.lobes["excluded_by"].tolist() == ["", "min_diameter"]
    outline = rim(labels == 2)
    # White would be 255, the lobe itself is 180.
    assert set(draw(result)[outline].ravel().tolist()) == {206}


@pytest.mark.parametrize(("radius", "is_written"), [(12, True), (3, False)])
def test_roles_are_written_where_there_is_room(radius: int, is_written: bool) -> None:
    labels, sets = discs((40, 1600), [(20, 20, radius, 0), (20, 60, radius, 0), (20, 100, radius, 1)])
    picture = draw(result_of(labels, sets, pixel_size=None))
    written = [(picture[16:25, column - 4 : column + 5] > 220).all(axis=2).any() for column in (20, 60, 100)]
    assert written == [is_written, is_written, False]  # a sphere has no other role


@pytest.mark.parametrize(("pixel_size", "length"), [(2.0, 100), (0.013, 77), (4000.0, 125)])
def test_the_scale_bar_has_a_round_length_and_spares_the_data_bar(pixel_size: float, length: int) -> None:
    empty = np.zeros((400, 630), np.int32)
    result = result_of(empty, NOTHING, pixel_size=pixel_size, bar=50)
    picture = draw(result)
    k = magnification((400, 630))
    assert (picture[350 * k :] == 60).all()
    white = (picture == 255).all(axis=2)
    runs = [max(map(len, "".join("x" if p else " " for p in row).split()), default=0) for row in white]
    assert max(runs) == pytest.approx(k * length, abs=k / 2)
    assert (draw(result_of(empty, NOTHING, pixel_size=None)) == 60).all()


@pytest.mark.parametrize("shape", [(1, 1), (10, 20000), (700, 9)])
def test_any_shape_can_be_drawn(shape: tuple[int, int]) -> None:
    k = magnification(shape)
    for labels, sets in ((np.zeros(shape, np.int32), NOTHING), (np.ones(shape, np.int32), np.zeros(1, np.int32))):
        assert draw(result_of(labels, sets)).shape == (k * shape[0], k * shape[1], 3)
