"""Tiles cover what is analysed, at the model's scale."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from handmade import CARD
from hypothesis import given
from hypothesis import strategies as st
from samcolloid_edge.engine.preprocess import model_input, tiles, to_grey8
from samcolloid_edge.engine.read import read
from samcolloid_edge.engine.settings import Settings
from samcolloid_edge.engine.types import Area, Frame

NATIVE = replace(CARD, resize="native", side=256, largest_radius=20.0)
FIT = replace(CARD, resize="fit", side=256)


def test_8_bit_files_stay_as_they_are():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16) // 2
    grey, mapping = to_grey8(read(pixels))
    assert (grey == pixels).all()
    assert mapping is None


def test_16_bit_files_are_mapped_between_their_quantiles_and_say_so():
    pixels = np.linspace(1000, 3000, 10_000).astype(np.uint16).reshape(100, 100)
    grey, mapping = to_grey8(read(pixels))
    assert grey.min() == 0
    assert grey.max() == 255
    assert mapping == pytest.approx((1002, 2998), abs=1.5)


def test_a_flat_16_bit_file_is_black_and_no_error():
    grey, mapping = to_grey8(read(np.full((9, 9), 500, np.uint16)))
    assert not grey.any()
    assert mapping == (500, 500)


@given(st.integers(1, 900), st.integers(1, 900))
def test_native_tiles_cover_the_area_and_overlap_by_a_particle(height, width):
    area = Area(3, 5, 3 + height, 5 + width)
    held = np.zeros((height, width), int)
    frames = [frame for frame, _ in tiles(area, NATIVE, Settings())]
    for frame in frames:
        assert frame.model_shape == frame.area.shape
        assert max(frame.model_shape) <= 256
        a = frame.area
        held[a.row0 - 3 : a.row1 - 3, a.col0 - 5 : a.col1 - 5] += 1
    assert held.min() == 1
    rows = sorted({(f.area.row0, f.area.row1) for f in frames})
    assert all(above[1] - below[0] >= 80 for above, below in itertools.pairwise(rows))


def test_a_model_that_fits_sees_one_tile_with_its_long_side():
    ((frame, layer),) = tiles(Area(0, 0, 300, 600), FIT, Settings())
    assert (frame.model_shape, layer) == ((128, 256), 0)


def test_crop_layers_magnify():
    frames = tiles(Area(0, 0, 200, 200), NATIVE, Settings(crop_n_layers=1))
    assert [layer for _, layer in frames] == [0, 1, 1, 1, 1]
    assert all(frame.scale[0] > 1 for frame, layer in frames if layer)


def test_a_frame_leads_there_and_back():
    frame = Frame(Area(10, 20, 110, 220), (150, 300))
    points = np.array([[20, 10], [57.5, 33.25]], np.float32)
    assert frame.to_model(points)[0].tolist() == [0, 0]
    np.testing.assert_allclose(frame.to_image(frame.to_model(points)), points, rtol=1e-6)


def test_the_model_sees_grey_rgb_of_the_frame_shape():
    grey = np.arange(64 * 32, dtype=np.uint8).reshape(64, 32)
    assert model_input(grey, Frame(Area(0, 0, 64, 32), (64, 32))).shape == (64, 32, 3)
    assert (model_input(grey, Frame(Area(0, 0, 64, 32), (64, 32)))[..., 1] == grey).all()
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
        ((frame, _),) = tiles(area, replace(FIT, side=side), Settings())
        seen = model_input(grey, frame)
        crop = np.repeat(grey[area.slices][..., None], 3, 2)
        sams = ResizeLongestSide(side).apply_image(crop)
        assert seen.shape == sams.shape
        assert seen.dtype == sams.dtype == np.uint8
        assert np.abs(seen.astype(int) - sams).max() <= 1


def test_resizing_writes_nothing_into_the_micrograph():
    grey = np.arange(64 * 32, dtype=np.uint8).reshape(64, 32)
    grey.flags.writeable = False
    model_input(grey, Frame(Area(3, 4, 40, 20), (64, 28)))
    model_input(grey, Frame(Area(0, 0, 64, 32), (64, 32)))[:] = 0
    assert grey.any()
