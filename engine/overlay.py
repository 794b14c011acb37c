"""Draws what was found on a copy of the micrograph, to check it by eye."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .masks import deepest_points
from .preprocess import Grey
from .types import F32, I32, I64, U8, Area, Bool, Micrograph, Result

PALETTE: Final = np.array(
    [(86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0), (0, 114, 178)],
    np.uint8,
)
"""RGB, told apart with every kind of colour blindness: M. Okabe and K. Ito, Color Universal Design (2008), without
their black, which the micrograph has."""
ALONE: Final = np.array((255, 255, 255), np.uint8)
"""Colour of a lobe that belongs to no set."""
EXCLUDED_OPACITY: Final = 0.35
"""Of the outline of a lobe that a filter leaves out."""
LOBE_OPACITY: Final = 0.8
"""Of the line between two lobes of one set; a set's own outline is opaque."""
CASING: Final = 0.35
"""Brightness that is left to the background right outside an outline: colours show on bright and on dark ground."""
NEIGHBOUR_PX: Final = {2: 100, 6: 10, 14: 1}
"""Sets whose outlines come as close as this get different colours; where those run out, by these weights."""
LONG_SIDE: Final = 1600
"""Pictures with a shorter long side are magnified a whole number of times, up to ``MOST``, to reach it, px."""
MOST: Final = 4
ROLES: Final = {"large": "L", "small": "S", "sphere": ""}
"""What is written into a lobe for its role; other roles are letters themselves."""
LINE_SHARE: Final = 1 / 24
"""Width of the line around a set as a share of the width of the median lobe, at least 1 px."""
MOST_LINE: Final = 4
"""Widest line around a set, px."""
LETTER_SHARE: Final = 0.5
"""Font size of a letter as a share of the width of its lobe, at most of the median lobe."""
LETTER_PX: Final = (10, 30)
"""Smallest and largest font size, px; a lobe with no room for the smallest gets no letter."""
BAR_SHARE: Final = 0.2
"""Longest scale bar as a share of the analysed width."""
BAR_MIN_SHAPE: Final = (64, 128)
"""Smallest analysed area (height, width), px, with room for a scale bar."""


def draw(result: Result) -> U8:
    """(kH, kW, 3) uint8 RGB: the micrograph, magnified k = ``magnification`` times, with outlines, roles and scale bar.

    A set's outline has its colour and lies inside its mask; the lines between its lobes are finer, and those of lobes
    that a filter leaves out faint. A lobe is marked by its role where there is room: L and S in a dumbbell, letters in
    other sets. The scale bar is there where the
    pixel size is known and the analysed area has room for it.
    """
    labels = result.masks.labels()
    k = magnification(labels.shape)
    canvas = _magnified(result, k)
    numbers = _group_numbers(result)
    lobes = labels if k == 1 else _filled(result, k)
    groups = numbers[lobes]
    _darken_beside(canvas, groups)
    by_label = np.concatenate([np.zeros((1, 3), np.uint8), colours(result)])
    strength = np.where(np.append(True, counts(result)), 1.0, EXCLUDED_OPACITY)
    widths = k * result.lobes["axis_minor_length"]
    around_sets = _rim(groups, int(np.clip(LINE_SHARE * np.median(widths), 1, MOST_LINE)) if len(widths) else 1)
    for line, of_line in ((_rim(lobes, 1) & ~around_sets, LOBE_OPACITY), (around_sets, 1.0)):
        rows, cols = np.nonzero(line)
        of = lobes[rows, cols]
        opacity = of_line * strength[of, None]
        mixed = opacity * by_label[of] + (1 - opacity) * canvas[rows, cols]
        canvas[rows, cols] = np.rint(mixed).astype(np.uint8)
    picture = Image.fromarray(canvas)
    _write_roles(picture, result, k * (deepest_points(labels) + 0.5), widths)
    _scale_bar(picture, result.micrograph, k)
    return np.array(picture)


def magnification(shape: tuple[int, int]) -> int:
    """How many times a micrograph of ``shape`` (H, W) is magnified for the overlay."""
    return int(min(MOST, max(1, -(-LONG_SIDE // max(shape)))))


def colours(result: Result) -> U8:
    """(N, 3) uint8 RGB: the colour of every lobe, which is that of its set."""
    sets = result.lobes["set"].astype(np.int64)
    groups = _group_numbers(result)[result.masks.labels()]
    of_sets = PALETTE[colour_numbers(groups, int(sets.max(initial=0)))]
    return np.concatenate([ALONE[None], of_sets])[sets]


def counts(result: Result) -> Bool:
    """(N,) bool: no filter leaves the lobe out."""
    return np.asarray(result.lobes["excluded_by"] == "")


def _group_numbers(result: Result) -> I32:
    """(N + 1,) by label, 0 of the background: its set; a lobe of no set is one by itself, numbered above all sets."""
    sets = result.lobes["set"].astype(np.int32)
    alone = int(sets.max(initial=0)) + np.arange(1, len(sets) + 1, dtype=np.int32)
    return np.concatenate([np.zeros(1, np.int32), np.where(sets > 0, sets, alone)])


def _magnified(result: Result, k: int) -> U8:
    grey = Grey(result.micrograph.pixels, result.grey_range).of(Area(0, 0, *result.micrograph.pixels.shape))
    if k > 1:
        grey = np.asarray(cv2.resize(grey, None, fx=k, fy=k, interpolation=cv2.INTER_CUBIC), np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _filled(result: Result, k: int) -> I32:
    """(kH, kW) label image of the outlines, which are finer than the pixels."""
    height, width = result.masks.shape
    labels = np.zeros((k * height, k * width), np.int32)
    for i in range(len(result.outlines)):
        corners = np.rint((result.outlines.polygon(i) * k - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(labels, [corners], i + 1, shift=4)
    return labels


def _rim(labels: I32, width: int) -> Bool:
    """(H, W) bool: labelled pixels with another label, or none, at most ``width`` steps to a side away."""
    rim = np.zeros(labels.shape, np.uint8)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    rim[:, 1:] |= across
    rim[:, :-1] |= across
    rim[1:] |= down
    rim[:-1] |= down
    if width > 1:
        cv2.dilate(rim, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), rim, iterations=width - 1)
    return np.asarray((rim > 0) & (labels > 0))


def _darken_beside(canvas: U8, groups: I32) -> None:
    """Darken the background right outside the sets."""
    inside = (groups > 0).astype(np.uint8)
    beside = (cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))) > inside).nonzero()
    canvas[beside] = np.rint(CASING * canvas[beside]).astype(np.uint8)


def _write_roles(picture: Image.Image, result: Result, places: F32, widths: NDArray[np.float64]) -> None:
    """A letter in the middle (N, 2) (x, y) px of each lobe, which is so wide (N,) px."""
    usual = min(LETTER_SHARE * float(np.median(widths)), LETTER_PX[1]) if len(widths) else 0.0
    pen = ImageDraw.Draw(picture)
    font = cache(ImageFont.load_default)  # loading takes longer than writing
    for role, width, (x, y) in zip(result.lobes["lobe"].tolist(), widths.tolist(), places.tolist(), strict=True):
        text = ROLES.get(role, role)
        size = int(min(LETTER_SHARE * width / max(1, len(text)), usual))
        if text and size >= LETTER_PX[0]:
            pen.text((x, y), text, (255, 255, 255), font(size), "mm", stroke_width=1, stroke_fill=(0, 0, 0))


def colour_numbers(groups: I32, last: int) -> I64:
    """(last,) palette index of the sets 1..last: of the colours that no near set has, the least used one."""
    near: list[dict[int, int]] = [{} for _ in range(last + 1)]
    for one, other, weight in _close_pairs(groups, last):
        near[one].setdefault(other, weight)  # the closest comes first
        near[other].setdefault(one, weight)
    numbers = np.full(last + 1, -1, np.int64)
    used = np.zeros(len(PALETTE), np.int64)
    for group in range(1, last + 1):
        around = np.zeros(len(PALETTE), np.int64)
        for other, weight in near[group].items():
            if numbers[other] >= 0:
                around[numbers[other]] += weight
        numbers[group] = np.lexsort((used, around))[0]
        used[numbers[group]] += 1
    return numbers[1:]


def _close_pairs(groups: I32, last: int) -> Iterator[tuple[int, int, int]]:
    """Pairs of sets 1..last with pixels ``NEIGHBOUR_PX`` apart along a row, a column or a diagonal; their weight."""
    height, width = groups.shape
    for distance, weight in NEIGHBOUR_PX.items():
        for down, right in ((0, distance), (distance, 0), (distance, distance), (distance, -distance)):
            here = groups[: max(0, height - down), max(0, -right) : max(0, width - max(0, right))]
            there = groups[down:, max(0, right) : max(0, width + min(0, right))]
            touching = (here > 0) & (there > 0) & (here != there) & (here <= last) & (there <= last)
            codes = here[touching].astype(np.int64) * (last + 1) + there[touching]
            for code in np.unique(codes):
                yield (*divmod(int(code), last + 1), weight)


def _scale_bar(picture: Image.Image, micrograph: Micrograph, k: int) -> None:
    """A bar of a round length, and the length, in the lower right corner of the analysed area."""
    height, width = micrograph.area.shape
    if micrograph.pixel_size is None or height < BAR_MIN_SHAPE[0] or width < BAR_MIN_SHAPE[1]:
        return
    nanometres = _round_length(BAR_SHARE * width * micrograph.pixel_size)
    length = round(k * nanometres / micrograph.pixel_size)
    text = f"{nanometres / 1000:g} um" if nanometres >= 1000 else f"{nanometres:g} nm"
    size = round(min(max(k * min(height, width) / 30, 12), 100))
    font = ImageFont.load_default(size)
    left, top, right, bottom = map(round, font.getbbox(text))
    thick, gap = max(3, size // 5), size // 2
    box_width, box_height = max(length, right - left) + 2 * gap, bottom - top + thick + round(2.6 * gap)
    x1, y1 = k * micrograph.area.col1 - gap, k * micrograph.area.row1 - gap
    x0, y0 = x1 - box_width, y1 - box_height
    # On dark ground the bar shows on bright micrographs as well.
    picture.paste(picture.crop((x0, y0, x1, y1)).point(lambda value: value // 4), (x0, y0))
    pen, start, foot = ImageDraw.Draw(picture), (x0 + x1 - length) // 2, y1 - gap
    pen.rectangle((start, foot - thick, start + length - 1, foot - 1), (255, 255, 255))
    pen.text(((x0 + x1) / 2, foot - thick - 0.6 * gap), text, (255, 255, 255), font, "mb")


def _round_length(longest: float) -> float:
    """The longest of 1, 2, 5 × 10^k that is not above ``longest``, nm."""
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9)))
