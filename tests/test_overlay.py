"""The overlay: what it draws, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from handmade import TRIMER_AND_DUMBBELL, discs, result_of, small_result
from samcolloid_edge.engine.overlay import draw

NOTHING = np.zeros(0, np.int32)


def outline(labels: np.ndarray) -> np.ndarray:
    padded = np.pad(labels, 1, mode="edge")
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return (labels > 0) & np.logical_or.reduce([labels != other for other in around])


def test_only_outlines_are_drawn_and_the_micrograph_is_not_written_to() -> None:
    result = small_result(pixel_size=None)
    before = result.micrograph.pixels.copy()
    picture = draw(result)
    changed = (picture != before[:, :, None]).any(axis=2)
    assert np.array_equal(changed, outline(result.masks.labels()))
    assert np.array_equal(result.micrograph.pixels, before)
    assert picture.shape == (*before.shape, 3)
    assert picture.dtype == np.uint8


def test_outlines_of_a_set_have_its_colour_and_inner_lines_are_fainter() -> None:
    labels, sets = discs((120, 110), TRIMER_AND_DUMBBELL)
    picture = draw(result_of(labels, sets, pixel_size=None)).astype(int)
    members = np.concatenate([[-1], sets])[labels] + 1
    outer = outline(members)
    inner = outline(labels) & ~outer
    colours = [np.unique(picture[outer & (members == s)], axis=0) for s in (1, 2)]
    assert [len(c) for c in colours] == [1, 1]
    assert not np.array_equal(*colours)
    away = np.abs(picture - 180).sum(axis=2)
    assert 0 < away[inner & (members == 1)].min() < away[outer & (members == 1)].min()


def test_sets_next_to_each_other_differ_in_colour() -> None:
    lobes = [(10 + 20 * r, 10 + 20 * c, 9, 6 * r + c) for r in range(6) for c in range(6)]
    picture = draw(result_of(*discs((120, 120), lobes), pixel_size=None))
    colour = {(r, c): tuple(picture[10 + 20 * r, 1 + 20 * c]) for r in range(6) for c in range(6)}
    for (r, c), here in colour.items():
        assert all(colour.get((r + dr, c + dc)) != here for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1)))


def test_lobes_of_no_set_are_white() -> None:
    labels, _ = discs((60, 60), [(30, 30, 10, 0)])
    picture = draw(result_of(labels, np.array([-1], np.int32), pixel_size=None))
    assert (picture[outline(labels)] == 255).all()


@pytest.mark.parametrize(("pixel_size", "length"), [(2.0, 100), (0.013, 77), (4000.0, 125)])
def test_the_scale_bar_has_a_round_length_and_spares_the_data_bar(pixel_size: float, length: int) -> None:
    empty = np.zeros((400, 630), np.int32)
    result = result_of(empty, NOTHING, pixel_size=pixel_size, bar=50)
    picture = draw(result)
    assert (picture[350:] == 60).all()
    white = (picture == 255).all(axis=2)
    runs = [max(map(len, "".join("x" if p else " " for p in row).split()), default=0) for row in white]
    assert max(runs) == length


@pytest.mark.parametrize("shape", [(1, 1), (10, 20000), (700, 9)])
def test_any_shape_can_be_drawn(shape: tuple[int, int]) -> None:
    assert draw(result_of(np.zeros(shape, np.int32), NOTHING)).shape == (*shape, 3)
    assert draw(result_of(np.ones(shape, np.int32), np.zeros(1, np.int32))).shape == (*shape, 3)
