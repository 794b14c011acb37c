"""Which pixel size is used, and what is said where two disagree."""

from __future__ import annotations

import math
from typing import Any

import pytest
from samcolloid_edge.engine.pixel_size import PixelSize, in_nm
from samcolloid_edge.engine.scale_choice import choose
from samcolloid_edge.models.errors import ImageError

TAG = PixelSize(4.466, 4.466, "a tag")


def test_the_user_comes_before_the_file_and_the_file_before_its_scale_bar() -> None:
    options: dict[str, Any] = {"columns": 1024, "bar": 67.0, "label": 300.0}
    assert choose([TAG], given=4.45, **options).size == 4.45
    assert choose([TAG], **options).size == 4.466
    assert choose([], **options).size == 4.47761
    nothing = choose([], 1024)
    assert (nothing.size, nothing.source, nothing.uncertainty, nothing.warnings) == (None, "none", None, ())


def test_a_size_from_the_scale_bar_alone_has_the_uncertainty_of_its_ends() -> None:
    scale = choose([], 1024, bar=67.0, label=300.0)
    assert scale.source == "scale bar of 300 nm, 67 px long"
    assert scale.size is not None
    assert scale.uncertainty == pytest.approx(scale.size / 67 / math.sqrt(3))
    assert choose([], 1024, uncertainty=0.01, bar=67.0, label=300.0).uncertainty == 0.01
    assert choose([TAG], 1024, bar=67.0, label=300.0).uncertainty is None


@pytest.mark.parametrize(("other", "is_said"), [(4.466, False), (4.5, False), (4.52, True), (4.4, True)])
def test_two_sources_more_than_one_per_cent_apart_are_both_said(other: float, is_said: bool) -> None:
    scale = choose([TAG, PixelSize(other, other, "another")], 1024)
    assert scale.size == 4.466
    assert len(scale.warnings) == is_said
    if is_said:
        assert "4.466 nm (a tag), which is used" in scale.warnings[0]
        assert f"{other:g} nm (another)" in scale.warnings[0]
    assert [size.source for size in scale.found] == ["a tag", "another"]


@pytest.mark.parametrize(("bar", "is_said"), [(66.2, False), (67, False), (68, False), (69, True), (134, True)])
def test_a_scale_bar_disagrees_from_one_px_or_one_per_cent_on(bar: float, is_said: bool) -> None:
    scale = choose([TAG], 1024, bar=bar, label=300.0)
    assert len(scale.warnings) == is_said
    if is_said:
        assert "The pixel size, 4.466 nm (a tag), and the scale bar's, " in scale.warnings[0]
    assert len(choose([], 1024, given=4.466, bar=bar, label=300.0).warnings) == is_said


def test_a_long_scale_bar_is_held_to_one_per_cent() -> None:
    assert choose([TAG], 1024, bar=400.0, label=4.466 * 400 * 1.009).warnings == ()
    assert len(choose([TAG], 1024, bar=400.0, label=4.466 * 400 * 1.011).warnings) == 1


def test_a_label_without_a_bar_is_said() -> None:
    assert choose([TAG], 1024, label=300.0).warnings == (
        "No scale bar was found to measure, so its label, 300 nm, tells nothing.",
    )


def test_pixels_that_are_not_square_are_refused_and_not_for_a_second_source() -> None:
    with pytest.raises(ImageError, match=r"not square \(4 × 5 nm, a tag\)"):
        choose([PixelSize(4, 5, "a tag")], 1024)
    assert "25 % apart" in choose([PixelSize(4, 4, "a tag"), PixelSize(4, 5, "another")], 1024).warnings[0]


@pytest.mark.parametrize("unit", ["1/nm", "1 / nm", "nm^-1", "nm-1", "1/\u00c5", "nm\u207b\u00b9"])
def test_a_reciprocal_unit_is_told_from_a_length(unit: str) -> None:
    from samcolloid_edge.engine.pixel_size import NoScaleError

    with pytest.raises(NoScaleError, match="reciprocal space"):
        in_nm(1, 1, unit, "")


@pytest.mark.parametrize("number", ["", "nan", "inf", "-1", "0", None, "4,4", [4]])
def test_what_is_no_size_makes_no_sense(number: Any) -> None:
    assert not in_nm(number, 1, "nm", "").makes_sense


def test_a_number_cut_in_its_exponent_makes_no_sense() -> None:
    assert in_nm("4.466e-09", "4.466e-09", "m", "").makes_sense
    assert not in_nm("4.466e-09", "4.4", "m", "").makes_sense
