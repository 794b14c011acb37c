"""Tiles cover what is analysed, at the model's scale."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from handmade import CARD
from hypothesis import given
from hypothesis import strategies as st
from samcolloid_edge.engine.preprocess import Grey, fit, frames, model_input, tiles
from samcolloid_edge.engine.read import read
from samcolloid_edge.engine.settings import Settings
from samcolloid_edge.engine.types import Area, Frame

NATIVE = replace(CARD, resize="native", side=256, largest_radius=20.0)
FIT = replace(CARD, resize="fit", side=256)


def test_8_bit_files_stay_as_they_are():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16) // 2
    grey = Grey.of_micrograph(read(pixels))
    assert (grey.of(Area(2, 3, 9, 16)) == pixels[2:9, 3:]).all()
    assert grey.range is None


def test_16_bit_files_are_mapped_between_their_quantiles_and_say_so():
    pixels = np.linspace(1000, 3000, 10_000).astype(np.uint16).reshape(100, 100)
    grey = Grey.of_micrograph(read(pixels))
    seen = grey.of(Area(0, 0, 100, 100))
    assert seen.min() == 0
    assert seen.max() == 255
    assert grey.range == pytest.approx((1002, 2998), abs=1.5)
    assert (grey.of(Area(10, 20, 50, 30)) == seen[10:50, 20:30]).all()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_quantiles_of_16_bit_files_are_numpys(height, width, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, rng.choice([3, 300, 65535]), (height, width)).astype(np.uint16)
    micrograph = replace(read(np.zeros((1, 1), np.uint16)), pixels=pixels, area=Area(0, 0, height, width))
    found = Grey.of_micrograph(micrograph)
    np.testing.assert_allclose(found.range, np.quantile(pixels, (0.001, 0.999)), rtol=1e-12)


def test_a_flat_16_bit_file_is_black_and_no_error():
    grey = Grey.of_micrograph(read(np.full((9, 9), 500, np.uint16)))
    assert not grey.of(Area(0, 0, 9, 9)).any()
    assert grey.range == (500, 500)


@given(st.integers(1, 900), st.integers(1, 900))
def test_native_tiles_cover_the_area_and_overlap_by_a_particle(height, width):
    area = Area(3, 5, 3 + height, 5 + width)
    held = np.zeros((height, width), int)
    found = tiles(area, NATIVE, 1.0)
    for tile in found:
        ((frame, _),) = frames(tile.area, NATIVE, 1.0, Settings())
        assert frame.area == tile.area
        assert frame.model_shape == tile.area.shape
        assert max(frame.model_shape) <= 256
        core = tile.core
        held[core.row0 - 3 : core.row1 - 3, core.col0 - 5 : core.col1 - 5] += 1
        assert tile.area.row0 <= core.row0 < core.row1 <= tile.area.row1
        assert tile.area.col0 <= core.col0 < core.col1 <= tile.area.col1
    assert (held == 1).all()
    rows = sorted({(t.area.row0, t.area.row1) for t in found})
    assert all(above[1] - below[0] >= 80 for above, below in itertools.pairwise(rows))


@given(st.integers(1, 3000), st.integers(1, 3000), st.floats(0.05, 8))
def test_a_zoomed_tile_fits_the_model(height, width, zoom):
    area = Area(0, 0, height, width)
    for tile in tiles(area, NATIVE, zoom):
        ((frame, _),) = frames(tile.area, NATIVE, zoom, Settings())
        assert max(frame.model_shape) <= 256
        expected = tile.area.shape[1] * zoom
        assert frame.model_shape[1] == max(1, int(expected + 0.5))


def test_tiles_are_no_larger_than_it_takes_but_for_a_model_that_fits_them():
    area = Area(0, 0, 300, 430)
    native, fitted = ([t.area for t in tiles(area, card, 1.0)] for card in (NATIVE, replace(FIT, largest_radius=20.0)))
    assert len(native) == len(fitted) == 2 * 2
    assert {tile.shape for tile in native} == {(211, 256)}  # (300 + 1.5 · 80) / 2 and 1, but at most 256
    assert {tile.shape for tile in fitted} == {(256, 256)}


def test_a_model_that_fits_sees_one_tile_with_its_long_side():
    area = Area(0, 0, 300, 600)
    (tile,) = tiles(area, FIT, fit(area, FIT))
    ((frame, layer),) = frames(tile.area, FIT, fit(area, FIT), Settings())
    assert (tile.area, tile.core) == (area, area)
    assert (frame.model_shape, layer) == ((128, 256), 0)


def test_crop_layers_magnify():
    found = frames(Area(0, 0, 200, 200), NATIVE, 1.0, Settings(crop_n_layers=1))
    assert [layer for _, layer in found] == [0, 1, 1, 1, 1]
    assert all(frame.scale[0] > 1 for frame, layer in found if layer)


def test_a_frame_leads_there_and_back():
    frame = Frame(Area(10, 20, 110, 220), (150, 300))
    points = np.array([[20, 10], [57.5, 33.25]], np.float32)
    assert frame.to_model(points)[0].tolist() == [0, 0]
    np.testing.assert_allclose(frame.to_image(frame.to_model(points)), points, rtol=1e-6)


def test_the_model_sees_grey_rgb_of_the_frame_shape():
    pixels = np.arange(64 * 32, dtype=np.uint8).reshape(64, 32)
    grey = Grey(pixels)
    assert model_input(grey, Frame(Area(0, 0, 64, 32), (64, 32))).shape == (64, 32, 3)
    assert (model_input(grey, Frame(Area(0, 0, 64, 32), (64, 32)))[..., 1] == pixels).all()
    assert model_input(grey, Frame(Area(8, 4, 40, 20), (64, 32))).shape == (64, 32, 3)


@pytest.mark.parametrize("shape", [(300, 421), (511, 64), (1500, 1503), (257, 1999), (64, 64), (256, 131), (9, 700)])
def test_a_model_that_fits_sees_what_sam_sees(shape):
    """Within 1 grey level of segment_anything's own resizing, whole and cropped, enlarged and reduced."""
    from segment_anything.utils.transforms import ResizeLongestSide

    rng = np.random.default_rng(shape)
    noise = rng.integers(0, 256, shape, dtype=np.uint8)
    discs = np.where(np.add(*np.indices(shape)) // 37 % 2, 230, 20).astype(np.uint8)
    height, width = shape
    areas = [Area(0, 0, height, width), Area(height // 5, width // 7, height - height // 3, width - 3)]
    for grey, area, side in itertools.product((noise, discs), areas, (256, 1023)):
        card = replace(FIT, side=side)
        ((frame, _),) = frames(area, card, fit(area, card), Settings())
        seen = model_input(Grey(grey), frame)
        crop = np.repeat(grey[area.slices][..., None], 3, 2)
        sams = ResizeLongestSide(side).apply_image(crop)
        assert seen.shape == sams.shape
        assert seen.dtype == sams.dtype == np.uint8
        assert np.abs(seen.astype(int) - sams).max() <= 1


def test_resizing_writes_nothing_into_the_micrograph():
    grey = np.arange(64 * 32, dtype=np.uint8).reshape(64, 32)
    grey.flags.writeable = False
    model_input(Grey(grey), Frame(Area(3, 4, 40, 20), (64, 28)))
    model_input(Grey(grey), Frame(Area(0, 0, 64, 32), (64, 32)))[:] = 0
    assert grey.any()
