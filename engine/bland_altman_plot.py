"""The picture of Bland and Altman: differences over means, with bias and limits of agreement.

Drawn with Pillow, which is there anyway, at ``FINER`` times its size and made smaller, so that lines are smooth. Its
own font has Latin letters alone.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .compare import ROLES, Comparison
from .matching import F64

SIZE: Final = (1400, 950)
"""Width and height of the picture, px."""
FINER: Final = 2
MARGIN: Final = (110, 70, 300, 90)
"""Left, top, right and bottom of the axes, px."""
COLOURS: Final = {
    "sphere": "#56B4E9", "large": "#0072B2", "small": "#E69F00", "a": "#D55E00", "b": "#009E73", "c": "#CC79A7",
    "": "#666666",
}  # fmt: skip
"""Of Okabe and Ito, told apart with every kind of colour blindness; roles of one kind of set differ in shape too."""
SHAPES: Final = {"small": "square", "b": "triangle", "c": "square"}
POINT: Final = 4
"""Half the width of a point, px."""
OPACITY: Final = 0.6
CROWD: Final = 200
"""Of more points each is see-through."""
TICKS: Final = 7
"""At most so many along an axis."""
ROOM: Final = 0.06
"""Free share of an axis at each end."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """A straight axis: values low … high lie at first … last px."""

    low: float
    high: float
    first: float
    last: float

    def at(self, value: Any) -> Any:
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self) -> list[float]:
        step = _round_step((self.high - self.low) / TICKS)
        return [k * step for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def draw(comparison: Comparison, names: tuple[str, str]) -> bytes:
    """PNG of the lobes' differences, a colour and a shape a role; ``names`` of the sides. Axes alone where none is."""
    table, suffix = comparison.table, "_nm" if comparison.unit == "nm" else ""
    chosen = (table["what"] == "lobe") & table["compared"]
    first, second = (table[f"diameter_{side}{suffix}"][chosen] for side in "ab")
    role = np.where(table["role_b"] == "", table["role_a"], table["role_b"])[chosen]
    agreement = comparison.agreements.get("lobes")
    mean, difference = (first + second) / 2, first - second
    limits = [] if agreement is None else [v for v in (agreement.bias, *agreement.limits) if math.isfinite(v)]
    width, height = SIZE[0] * FINER, SIZE[1] * FINER
    left, top, right, bottom = (m * FINER for m in MARGIN)
    x = _axis(mean, left, width - right)
    y = _axis(np.concatenate([difference, limits, [0.0]]), height - bottom, top)
    page = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(page)
    _frame(pen, x, y, comparison.unit)
    pen.line([(x.first, y.at(0)), (x.last, y.at(0))], fill="#999999", width=FINER)
    shown = [r for r in (*ROLES, "") if (role == r).any()]
    for name in shown:
        here = role == name
        page = _with_points(page, x.at(mean[here]), y.at(difference[here]), name, OPACITY if len(mean) > CROWD else 1.0)
    pen = ImageDraw.Draw(page)
    if agreement is not None:
        labels = ("+1.96 SD", "bias", "-1.96 SD")
        values = (agreement.limits[1], agreement.bias, agreement.limits[0])
        spans = (agreement.limit_intervals[1], agreement.bias_interval, agreement.limit_intervals[0])
        for label, value, span, dashed in zip(labels, values, spans, (True, False, True), strict=True):
            if math.isfinite(value):
                _level(pen, x, y.at(value), dashed)
                ends = f"({span[0]:+.2f} to {span[1]:+.2f})" if math.isfinite(span[0]) else ""
                pen.text((x.last + 8 * FINER, y.at(value)), f"{label} {value:+.2f} {comparison.unit}\n{ends}",
                         fill="black", font=_font(15), anchor="lm")  # fmt: skip
    _legend(pen, shown, role, x)
    title = f"A: {_drawable(names[0])}    B: {_drawable(names[1])}    {len(mean)} lobes"
    pen.text((x.first, 20 * FINER), title, fill="black", font=_font(19))
    file = io.BytesIO()
    page.resize(SIZE, Image.Resampling.LANCZOS).save(file, "PNG")
    return file.getvalue()


def _axis(values: NDArray[Any], first: float, last: float) -> _Axis:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    room = ROOM * (high - low) or max(abs(high), 1.0) * ROOM
    return _Axis(low - room, high + room, first, last)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 × 10^k that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least)


def _frame(pen: ImageDraw.ImageDraw, x: _Axis, y: _Axis, unit: str) -> None:
    pen.rectangle([x.first, y.last, x.last, y.first], outline="black", width=FINER)
    tick = 6 * FINER
    for value in x.ticks():
        pen.line([(x.at(value), y.first), (x.at(value), y.first + tick)], fill="black", width=FINER)
        pen.text((x.at(value), y.first + 2 * tick), f"{value:g}", fill="black", font=_font(16), anchor="mt")
    for value in y.ticks():
        pen.line([(x.first - tick, y.at(value)), (x.first, y.at(value))], fill="black", width=FINER)
        pen.text((x.first - 2 * tick, y.at(value)), f"{value:g}", fill="black", font=_font(16), anchor="rm")
    middle = (x.first + x.last) / 2
    below, above = y.first + 50 * FINER, y.last - 18 * FINER
    pen.text((middle, below), f"mean of both diameters, {unit}", fill="black", font=_font(18), anchor="mm")
    pen.text((x.first, above), f"difference A - B, {unit}", fill="black", font=_font(18), anchor="lm")


def _with_points(page: Image.Image, xs: F64, ys: F64, role: str, opacity: float) -> Image.Image:
    """The page with the points of one role over it."""
    over = page.copy()
    pen = ImageDraw.Draw(over)
    for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
        _point(pen, x, y, role)
    return Image.blend(page, over, opacity)


def _point(pen: ImageDraw.ImageDraw, x: float, y: float, role: str) -> None:
    r, colour = POINT * FINER, COLOURS[role if role in COLOURS else ""]
    match SHAPES.get(role):
        case "square":
            pen.rectangle([x - 0.85 * r, y - 0.85 * r, x + 0.85 * r, y + 0.85 * r], fill=colour)
        case "triangle":
            pen.polygon([(x, y - 1.2 * r), (x - 1.1 * r, y + 0.8 * r), (x + 1.1 * r, y + 0.8 * r)], fill=colour)
        case _:
            pen.ellipse([x - r, y - r, x + r, y + r], fill=colour)


def _level(pen: ImageDraw.ImageDraw, x: _Axis, y: float, dashed: bool) -> None:
    if not dashed:
        pen.line([(x.first, y), (x.last, y)], fill="black", width=2 * FINER)
        return
    dash = 10 * FINER
    for start in np.arange(x.first, x.last, 2 * dash).tolist():
        pen.line([(start, y), (min(start + dash, x.last), y)], fill="black", width=2 * FINER)


def _legend(pen: ImageDraw.ImageDraw, shown: list[str], role: NDArray[Any], x: _Axis) -> None:
    """One line a role, right of the title."""
    at = x.last + 16 * FINER
    for k, name in enumerate(shown):
        y = (24 + 24 * k) * FINER
        _point(pen, at, y, name)
        text = f"{name or 'no role'} ({int((role == name).sum())})"
        pen.text((at + 14 * FINER, y), text, fill="black", font=_font(16), anchor="lm")


def _font(size: int) -> Any:
    return ImageFont.load_default(size * FINER)


def _drawable(text: str, most: int = 44) -> str:
    """With letters that the font has, its end where it is long."""
    plain = text.encode("ascii", "replace").decode("ascii")
    return plain if len(plain) <= most else f"...{plain[3 - most :]}"
