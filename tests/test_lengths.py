"""Lengths as people and files write them."""

from __future__ import annotations

import pytest
from samcolloid_edge.engine.lengths import length, nanometres, with_uncertainty
from samcolloid_edge.models.errors import SettingsError


def test_both_micro_letters_are_one_unit_and_words_are_none() -> None:
    assert nanometres("\u00b5m") == nanometres("\u03bcm") == nanometres(" um ") == nanometres("Micron") == 1e3
    assert nanometres("\u212b") == nanometres("\u00c5") == nanometres("angstrom") == 0.1
    for word in ("", "pixel", "reference frame", "mA", "am", "datum"):
        assert nanometres(word) is None


@pytest.mark.parametrize(
    ("size", "value", "uncertainty"),
    [
        (4.466, 4.466, None),
        ("4.466", 4.466, None),
        (" 4.466±0.05 ", 4.466, 0.05),
        ("4.466 +- 0.05", 4.466, 0.05),
        ("4.466+/-0.05", 4.466, 0.05),
        ("4e+0+-1e-2", 4, 0.01),
        ("4.466±0", 4.466, 0),
    ],
)
def test_a_size_comes_with_or_without_its_uncertainty(
    size: float | str, value: float, uncertainty: float | None
) -> None:
    assert with_uncertainty(size) == (value, uncertainty)


@pytest.mark.parametrize("size", ["", "±0.05", "4.466±", "4.466 0.05", "4,466", "0±0", "nan", "-4", 0, "5±5", "5±nan"])
def test_what_is_no_size_is_refused_with_the_text(size: float | str) -> None:
    with pytest.raises(SettingsError, match="pixel_size") as caught:
        with_uncertainty(size)
    assert repr(size) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "nm"),
    [("300nm", 300), ("0.5 um", 500), (" 1,5 \u00b5m ", 1500), ("2\u03bcm", 2000), ("20 \u00c5", 2), ("1mm", 1e6)],
)
def test_the_label_of_a_scale_bar_is_a_length(text: str, nm: float) -> None:
    assert length(text) == nm


@pytest.mark.parametrize("text", ["", "300", "nm", "0nm", "-3nm", "300 px", "1/nm", "3 0nm"])
def test_a_label_that_is_no_length_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(SettingsError, match="with its unit") as caught:
        length(text)
    assert repr(text) in str(caught.value)
