"""Draws what was found on a copy of the micrograph, to check it by eye."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from .preprocess import Grey
from .types import I32, I64, U8, Area, Bool, Micrograph, Result

# RGB: the hues of Okabe and Ito, told apart with every kind of colour blindness, brighter for thin lines.
PALETTE: Final = np.array(
    [(0, 200, 255), (255, 145, 0), (0, 225, 140), (255, 238, 0), (255, 80, 200), (255, 70, 0), (0, 110, 255)],
    np.uint8,
)
ALONE: Final = np.array((255, 255, 255), np.uint8)
"""Colour of a lobe that belongs to no set."""
LOBE_OPACITY: Final = 0.6
"""Of the line between two lobes of one set; a set's own outline is opaque."""
NEIGHBOUR_PX: Final = (1, 6, 14)
"""Sets whose outlines come as close as this get different colours."""
BAR_SHARE: Final = 0.2
"""Longest scale bar as a share of the analysed width."""
BAR_MIN_SHAPE: Final = (64, 128)
"""Smallest analysed area (height, width), px, with room for a scale bar."""


def draw(result: Result) -> U8:
    """(H, W, 3) uint8 RGB: the micrograph with outlines one pixel wide, a colour a set, and a scale bar.

    A set's outline is opaque, the lines between its lobes are fainter; both lie inside their mask.
    The scale bar is there where the pixel size is known and the analysed area has room for it.
    """
    grey = Grey(result.micrograph.pixels, result.grey_range)
    canvas = np.repeat(grey.of(Area(0, 0, *result.micrograph.pixels.shape))[:, :, None], 3, axis=2)
    lobes = result.masks.labels()
    # A lobe of no set is drawn as a set of its own, in ALONE: its number lies above all set numbers.
    sets = result.lobes["set"].astype(np.int32)
    last = int(sets.max(initial=0))
    alone = last + np.arange(1, len(sets) + 1, dtype=np.int32)
    lobes_to_sets = np.concatenate([np.zeros(1, np.int32), np.where(sets > 0, sets, alone)])
    groups = lobes_to_sets[lobes]
    colours = np.tile(ALONE, (1 + last + len(sets), 1))
    colours[1 : last + 1] = PALETTE[colour_numbers(groups, last)]
    for labels, opacity in ((lobes, LOBE_OPACITY), (groups, 1.0)):
        rows, cols = np.nonzero(_inner_outline(labels))
        mixed = opacity * colours[groups[rows, cols]] + (1 - opacity) * canvas[rows, cols]
        canvas[rows, cols] = np.rint(mixed).astype(np.uint8)
    _scale_bar(canvas, result.micrograph)
    return canvas


def _inner_outline(labels: I32) -> Bool:
    """(H, W) bool: labelled pixels with a 4-neighbour of another label or of none."""
    outline = np.zeros(labels.shape, bool)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    outline[:, 1:] |= across
    outline[:, :-1] |= across
    outline[1:] |= down
    outline[:-1] |= down
    return outline & (labels > 0)


def colour_numbers(groups: I32, last: int) -> I64:
    """(last,) palette index of the sets 1..last: of the colours that no near set has, the least used one."""
    near: list[set[int]] = [set() for _ in range(last + 1)]
    for one, other in _close_pairs(groups, last):
        near[one].add(other)
        near[other].add(one)
    numbers = np.full(last + 1, -1, np.int64)
    used = np.zeros(len(PALETTE), np.int64)
    for group in range(1, last + 1):
        around = np.bincount([numbers[n] for n in near[group] if numbers[n] >= 0], minlength=len(PALETTE))
        numbers[group] = np.lexsort((used, around))[0]
        used[numbers[group]] += 1
    return numbers[1:]


def _close_pairs(groups: I32, last: int) -> Iterator[tuple[int, int]]:
    """Pairs of sets 1..last that have pixels ``NEIGHBOUR_PX`` apart along a row, a column or a diagonal."""
    height, width = groups.shape
    for distance in NEIGHBOUR_PX:
        for down, right in ((0, distance), (distance, 0), (distance, distance), (distance, -distance)):
            here = groups[: max(0, height - down), max(0, -right) : max(0, width - max(0, right))]
            there = groups[down:, max(0, right) : max(0, width + min(0, right))]
            touching = (here > 0) & (there > 0) & (here != there) & (here <= last) & (there <= last)
            codes = here[touching].astype(np.int64) * (last + 1) + there[touching]
            for code in np.unique(codes):
                yield divmod(int(code), last + 1)


def _scale_bar(canvas: U8, micrograph: Micrograph) -> None:
    """Draw a bar of a round length, and the length, into the lower right corner of the analysed area."""
    height, width = micrograph.area.shape
    if micrograph.pixel_size is None or height < BAR_MIN_SHAPE[0] or width < BAR_MIN_SHAPE[1]:
        return
    nanometres = _round_length(BAR_SHARE * width * micrograph.pixel_size)
    length = round(nanometres / micrograph.pixel_size)
    text = f"{nanometres / 1000:g} um" if nanometres >= 1000 else f"{nanometres:g} nm"
    size = min(max(min(height, width) / 1000, 0.4), 4.0)
    stroke, gap = max(1, round(2 * size)), max(3, round(8 * size))
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, stroke)
    thick = max(3, round(6 * size))
    box_width, box_height = max(length, text_width) + 2 * gap, text_height + thick + 3 * gap
    right, bottom = micrograph.area.col1 - gap, micrograph.area.row1 - gap
    left, top = right - box_width, bottom - box_height
    canvas[top:bottom, left:right] //= 3  # dark ground: the bar shows on bright micrographs as well
    centre = (left + right) // 2
    bar = bottom - gap - thick
    canvas[bar : bar + thick, centre - length // 2 : centre - length // 2 + length] = 255
    origin = (centre - text_width // 2, bar - gap)
    cv2.putText(canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), stroke, cv2.LINE_AA)


def _round_length(longest: float) -> float:
    """The longest of 1, 2, 5 × 10^k that is not above ``longest``, nm."""
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9)))
