"""Where edges are, by the mean grey profile across the outlines of a micrograph.

A model's outlines are calibrated for one kind of light. Where a signal grows with thickness, as in transmission, it
fades towards the edge and outlines lie inside it; where edges shine, they lie outside. The profile tells these apart.
It is held against that of a sphere's edge (``_columns``), at every place that the edge may have; outlines that run free
move there, all of a micrograph by the same distance, as all are seen in the same light.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .outline import F64, I32, Bool, Outlines, calibrated

STEP: Final = 0.1
"""Of all distances, px."""
OFFSETS: Final = STEP * np.arange(-15, 16)
"""Where the edge may be, px outwards of the outlines."""
BLURS: Final = np.array([0.5, 0.7, 1.0, 1.4, 2.0])
"""SD of the blur of a profile, px: of the image, and as outlines differ by chance."""
FADES: Final = np.array([0.04, 0.1, 0.25])
"""How far inside a shining edge fades to 1/e, radii; at least ``LEAST_FADE``."""
LEAST_FADE: Final = 0.5
"""px."""
INSIDE: Final = (0.4, 2.5, 12.0)
OUTSIDE: Final = (0.25, 2.0, 6.0)
"""How far a profile reaches: radii, and at least and at most so many px."""
DISTANCES: Final = 40
"""About so many of them."""
POINTS: Final = (200, 5000)
"""A profile needs so many points of outlines, and of more than these it takes some."""
CLEAR: Final = 1.0
"""Further than this from the outline, px, a pixel counts only if it is the lobe's own, or, outside, no lobe's."""
SHIFT_SD: Final = 0.8
"""Before the profile is looked at: the SD of where the edge is, px, …"""
BLUR: Final = (1.0, 0.5)
"""… the median of its blur, px, and the SD of the blur's logarithm."""
MISFIT: Final = 0.0007
"""Share of a profile's variance that real edges leave beyond the sphere's; …"""
WORTH: Final = 20.0
"""… and how many independent grey values a profile is worth."""


class Profile(NamedTuple):
    """The mean grey value by distance from the outlines."""

    distance: F64
    """(D,) outwards, px, multiples of ``STEP``."""
    grey: F64
    """(D,) in units of the file."""
    points: int
    """Places of outlines that the mean is of."""
    radius: float
    """Median radius of the lobes there, px."""


@dataclass(frozen=True, slots=True)
class EdgeFit:
    """What moved the outlines of a micrograph."""

    profile: Profile
    offset: float
    """How far the profile has moved the outlines, px outwards; the model's calibration comes to it."""
    blur: float
    """SD of the blur of the profile, px."""
    misfit: float
    """Share of the variance of the profile that the best edge leaves, 0–1."""

    @property
    def described(self) -> dict[str, Any]:
        """As in ``result.json``."""
        return {
            "outlines_moved_outwards_px": round(self.offset, 4),
            "blur_px": round(self.blur, 3),
            "misfit": round(self.misfit, 6),
            "points": self.profile.points,
            "distance_outwards_px": np.round(self.profile.distance, 3).tolist(),
            "mean_grey": np.round(self.profile.grey, 3).tolist(),
        }


def settled(
    outlines: Outlines, labels: I32, pixels: NDArray[Any], calibration: Mapping[str, Any]
) -> tuple[Outlines, EdgeFit | None]:
    """The outlines where the profile has the edge; as they are, and None, where too few of them run free.

    Parameters: ``labels`` (H, W) int32, outline i around label i + 1; ``pixels`` (H, W), any numbers; ``calibration``
    of the card, what the fit leaves on rendered spheres (see ``outline.offset``).
    """
    seen = profile(outlines, labels, pixels)
    if seen is None:
        return outlines, None
    found = fit(seen)
    return calibrated(outlines.moved(np.full(len(outlines), found.offset)), calibration), found


def profile(outlines: Outlines, labels: I32, pixels: NDArray[Any]) -> Profile | None:
    """Mean grey values across the places where outlines are free and nothing else is near; None if these are few."""
    free = np.flatnonzero(outlines.free)
    if len(free) < POINTS[0]:
        return None
    chosen = free[:: max(1, len(free) // POINTS[1])]
    lobe = outlines.lobes_at(chosen)
    radius = float(np.median(outlines.radii[lobe]))
    distance = _distances(radius)
    places = outlines.points[chosen, None] + distance[:, None] * outlines.normals_at(chosen)[:, None]
    x, y = places[..., 0] - 0.5, places[..., 1] - 0.5
    height, width = labels.shape
    within = ((x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)).all(1)
    x, y, lobe = x[within], y[within], lobe[within]
    owner = labels[np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)]
    own = owner == lobe[:, None] + 1
    clear: Bool = np.where(distance < -CLEAR, own, np.where(distance > CLEAR, owner == 0, own | (owner == 0))).all(1)
    if np.count_nonzero(clear) < POINTS[0]:
        return None
    return Profile(distance, _bilinear(pixels, x[clear], y[clear]).mean(0), int(np.count_nonzero(clear)), radius)


def _distances(radius: float) -> F64:
    """(D,) multiples of ``STEP``, evenly, about ``DISTANCES`` of them."""
    inside, outside = (min(max(share * radius, least), most) for share, least, most in (INSIDE, OUTSIDE))
    every = max(1, round((inside + outside) / DISTANCES / STEP))
    return STEP * every * np.arange(-round(inside / STEP / every), round(outside / STEP / every) + 1, dtype=np.float64)


def _bilinear(pixels: NDArray[Any], x: F64, y: F64) -> F64:
    """Grey values between the centres of pixels, (x, y) being whole numbers there."""
    height, width = pixels.shape
    column, row = (np.minimum(a.astype(np.intp), most - 2) for a, most in ((x, width), (y, height)))
    x, y = x - column, y - row
    above = pixels[row, column] * (1 - x) + pixels[row, column + 1] * x
    below = pixels[row + 1, column] * (1 - x) + pixels[row + 1, column + 1] * x
    grey: F64 = above * (1 - y) + below * y
    return grey


def fit(seen: Profile) -> EdgeFit:
    """The mean of where the edge may be, by how well a sphere's edge there explains the profile.

    For each place, blur and fade the heights of ``_columns`` are those of least squares. What they leave is measured in
    the profile's variance, beside which ``MISFIT`` is always left; it weighs as much as ``WORTH`` independent values do
    whose SD is not known, Student's t.
    """
    grey = seen.grey - seen.grey.mean()
    variance = max(float(grey @ grey), 1e-12)
    reach = round((float(np.abs(seen.distance).max()) + OFFSETS[-1]) / STEP)
    depth = STEP * np.arange(-reach, reach + 1)
    index = np.rint((OFFSETS[:, None] - seen.distance) / STEP).astype(np.intp) + reach
    left = np.empty((len(BLURS), len(FADES), len(OFFSETS)))
    for i, blur in enumerate(BLURS):
        for j, fade in enumerate(FADES):
            columns = _columns(depth, seen.radius, max(fade * seen.radius, LEAST_FADE), blur)[:, index].swapaxes(0, 1)
            columns = columns - columns.mean(2, keepdims=True)
            products = columns @ columns.swapaxes(1, 2) + 1e-6 * len(grey) * np.eye(columns.shape[1])
            heights = np.linalg.solve(products, (columns @ grey)[..., None])[..., 0]
            left[i, j] = np.square(np.einsum("okd,ok->od", columns, heights) - grey).sum(1) / variance
    median, sd = BLUR
    likely = -WORTH / 2 * np.log1p(left / MISFIT) - np.square(OFFSETS / SHIFT_SD) / 2
    likely -= (np.square(np.log(BLURS / median) / sd) / 2)[:, None, None]
    share = np.exp(likely - likely.max())
    share /= share.sum()
    return EdgeFit(seen, float(share.sum((0, 1)) @ OFFSETS), float(share.sum((1, 2)) @ BLURS), float(left.min()))


def _columns(depth: F64, radius: float, fade: float, blur: float) -> F64:
    """(4, T) what the grey values of a sphere's edge are made of, blurred; by depth (T,) within it, px.

    A step; one that grows with the sphere's thickness; one that shines at the edge and fades inwards, as secondary
    electrons make it; and a slope outside, of its shadow.
    """
    share = np.clip(depth / radius, 0, 1)
    # Half of what is at the edge itself is inside.
    inside = np.where(np.abs(depth) < STEP / 2, 0.5, depth > 0)
    plain = np.stack([inside, np.sqrt(share * (2 - share)), inside * np.exp(-np.maximum(depth, 0) / fade),
                      np.minimum(depth, 0) / radius])  # fmt: skip
    half = int(np.ceil(4 * blur / STEP))
    kernel = np.exp(-np.square(STEP * np.arange(-half, half + 1) / blur) / 2)
    padded = np.pad(plain, ((0, 0), (half, half)), mode="edge")
    return np.stack([np.convolve(row, kernel / kernel.sum(), "valid") for row in padded])
