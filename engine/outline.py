"""The outline of every lobe: a closed polygon, finer than the pixels where the model's logits are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from . import kernels_outline as kernels
from . import kernels_polygon

if TYPE_CHECKING:
    from .ragged import Patches

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

AT_ONCE: Final = 1 << 18
"""Points that are moved at once: of all together there may be tens of millions."""


@dataclass(frozen=True, slots=True)
class Outlines:
    """N closed polygons in one ragged array: the outer outline of each lobe; holes are not told.

    Polygon i runs through ``points[offsets[i]:offsets[i + 1]]``, clockwise as seen on the screen, and from its last
    point to its first.
    """

    points: F64
    """(V, 2) (x, y), edge coordinates of the file, px: the first pixel's centre is (0.5, 0.5)."""
    offsets: I64
    """(N + 1,)."""
    free: Bool
    """(V,) whether the lobe ends there by itself, not at another lobe or at the border of what is analysed."""
    zoom: F64
    """(N,) model px per px of the file at which the model drew it; NaN where no model did."""

    def __post_init__(self) -> None:
        whole = self.offsets[0] == 0 and len(self.zoom) == len(self)
        if not whole or not self.points.shape == (self.offsets[-1], 2) == (len(self.free), 2):
            raise ValueError(f"Outlines: points {self.points.shape} do not belong to {self.offsets[-1]} places")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def polygon(self, i: int) -> F64:
        """(K, 2) points (x, y) of outline ``i``, edge coordinates, px."""
        return self.points[self.offsets[i] : self.offsets[i + 1]]

    @property
    def next(self) -> I64:
        """(V,) index of the point that follows each, round its polygon."""
        after = np.arange(1, len(self.points) + 1)
        after[self.offsets[1:] - 1] = self.offsets[:-1]
        return after

    @property
    def radii(self) -> F64:
        """(N,) radius of the circle of the area that each encloses, px."""
        area = kernels_polygon.sums(self.points, self.offsets)[:, 0]
        radius: F64 = np.sqrt(np.maximum(area, 1e-9) / np.pi)
        return radius

    def lobes_at(self, places: I64) -> I64:
        """(K,) which outline each of K points is of."""
        found: I64 = np.searchsorted(self.offsets, places, "right") - 1
        return found

    def normals_at(self, places: I64) -> F64:
        """(K, 2) unit vectors (x, y) outwards at K points, across the line through their neighbours' neighbours."""
        lobe = self.lobes_at(places)
        first, size = self.offsets[lobe], np.diff(self.offsets)[lobe]
        x, y = (self.points[first + (places - first + 2) % size] - self.points[first + (places - first - 2) % size]).T
        normal: F64 = np.stack([y, -x], 1) / np.maximum(np.hypot(x, y), 1e-9)[:, None]
        return normal

    def moved(self, outwards: F64) -> Outlines:
        """The same, each of N moved outwards by so many px where it is free."""
        points = self.points.copy()
        for first in range(0, len(points), AT_ONCE):
            places = first + np.flatnonzero(self.free[first : first + AT_ONCE])
            points[places] += outwards[self.lobes_at(places), None] * self.normals_at(places)
        return replace(self, points=points)


class Gathered:
    """Outlines as they come in, each kept once: memory grows with them, and none is copied in the end."""

    def __init__(self) -> None:
        # Their memory is moved as it grows, not copied.
        self._points, self._free = bytearray(), bytearray()
        self._sizes, self._zoom = [np.zeros(1, np.int64)], [np.empty(0)]

    def add(self, more: Outlines) -> None:
        """Add outlines after those that are there."""
        self._points += more.points.tobytes()
        self._free += more.free.tobytes()
        self._sizes.append(np.diff(more.offsets))
        self._zoom.append(more.zoom)

    def whole(self) -> Outlines:
        """All of them; nothing can be added from then on."""
        return Outlines(np.frombuffer(self._points, np.float64).reshape(-1, 2), np.cumsum(np.concatenate(self._sizes)),
                        np.frombuffer(self._free, np.bool_), np.concatenate(self._zoom))  # fmt: skip


_NOTHING: Final = (np.empty((0, 4), np.int32), np.zeros(1, np.int64), np.empty(0, np.float32))
"""Patches where no logits are known."""


def of_labels(labels: NDArray[Any]) -> Outlines:
    """Outlines of a label image (H, W) alone: through the middles of the pixel edges.

    Labels 1 … N without a gap, each one 8-connected part (of several the one that holds its first pixel is outlined).
    """
    plain = np.require(labels, np.int32, ["C", "W"])
    return of_pixels(plain, int(plain.max(initial=0)))[0]


def of_pixels(labels: I32, n: int) -> tuple[Outlines, I32]:
    """The same of n labels, of which some may lack pixels; and (V,) int32 the label beyond each point.

    0 is background, −1 beyond the image.
    """
    points, ends, free, beyond = kernels.trace(labels, labels, n, *_NOTHING)
    return Outlines(points, ends, free, np.full(len(ends) - 1, np.nan)), beyond


def of_patches(labels: I32, resolved: I32, patches: Patches, corner: tuple[int, int]) -> Outlines:
    """Outlines of those labels that have pixels, where the logits are zero or those of a neighbour are as high.

    Parameters: ``labels`` (h, w) int32, the pixels each patch got in the end, patch i as label i + 1; ``resolved``
    (h, w) int32, which patch is strongest in a pixel (see ``masks.resolve``); ``patches`` with a rim (see
    ``upsample.RIM``), px of the tile; ``corner`` (x, y) of the tile, px of the file.

    Between the centres of two pixels logits are taken to run straight, so a point is exact to the curvature of the
    logits over one pixel; where they do not decide (a pixel that another tile holds) it lies in the middle.
    """
    points, ends, free, _ = kernels.trace(labels, resolved, len(patches), *patches.plain)
    sizes = np.diff(ends)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes[sizes > 0])])
    return Outlines(points + np.array(corner, np.float64), offsets, free, patches.zoom[sizes > 0].astype(np.float64))


def calibrated(outlines: Outlines, calibration: Mapping[str, Any]) -> Outlines:
    """Outlines moved outwards by what a model's card says, where they are free; the same where it says nothing.

    Parameters: ``calibration`` as ``offset`` takes it. The radius of a lobe is that of the circle of its area.
    """
    if not calibration or len(outlines) == 0:
        return outlines
    return outlines.moved(offset(calibration, outlines.radii * outlines.zoom, outlines.zoom) / outlines.zoom)


def offset(calibration: Mapping[str, Any], radius: F64, zoom: F64) -> F64:
    """How far outlines are to be moved outwards, model px, at (N,) radii, model px, and zooms.

    ``calibration`` has ``radius`` (K,), rising, and ``offset`` (K,), both in model px: straight lines between them over
    the logarithm of the radius, the ends going on. To that comes ``slope`` × (zoom − 1), as a micrograph that is
    enlarged is blurred by it, and one that is shrunken is sharper; beyond the two of ``zooms`` it stays as there.
    """
    found: F64 = np.interp(np.log(radius), np.log(calibration["radius"]), calibration["offset"])
    found += calibration["slope"] * (np.clip(zoom, *calibration["zooms"]) - 1)
    return found
