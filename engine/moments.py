"""The columns that scikit-image has besides: moments, inertia, holes, weighted centroids and Crofton's perimeter."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from . import kernels_measure_shape
from .lobes import F64, Lobes, Values, ratio

_DIAGONAL: Final = math.sqrt(2)
_CROFTON: Final = math.pi / 4 * np.array(
    [0, 1 + 1 / _DIAGONAL, 1 / _DIAGONAL, _DIAGONAL, 0, 1 + 1 / _DIAGONAL, 0, 1 / _DIAGONAL,
     1, 2, 1 / _DIAGONAL, 1 / _DIAGONAL, 1, 2, 0, 0])  # fmt: skip
"""Length that each pattern of 2 × 2 pixels adds, px: Lehmann and Legland, Efficient N-Dimensional surface estimation
using Crofton formula and run-length encoding, Insight Journal (2012), as in scikit-image."""
_EULER: Final = np.array([0, 0, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0, 0, 0, -1, 0])
"""Parts less holes that each pattern adds, 8-connected: Ohser and Mücklich, Statistical Analysis of Microstructures in
Materials Science (2000), as in scikit-image."""


def columns(lobes: Lobes) -> Values:
    """The columns of the group ``skimage``."""
    area, centroids = lobes.area, lobes.centroids
    corner = lobes.boxes[:, :2]
    height, width = (lobes.boxes[:, 2:] - corner).astype(np.int64).T
    squares = kernels_measure_shape.squares(lobes.labels, len(area))
    crofton = squares @ _CROFTON
    weight, row, col = lobes.weighted.T
    weighted = np.stack([ratio(row, weight), ratio(col, weight)], 1)
    values: Values = {
        "num_pixels": area,
        "area_bbox": height * width,
        "area_filled": kernels_measure_shape.filled_areas(lobes.labels, lobes.boxes),
        "extent": area / (height * width),
        "euler_number": squares @ _EULER,
        "perimeter_crofton": crofton,
        "circularity_crofton": ratio(4 * math.pi * area, crofton**2),
        "intensity_median": lobes.medians.mean(1),
    }
    for axis in range(2):
        values[f"centroid_local-{axis}"] = centroids[:, axis] - corner[:, axis]
        values[f"centroid_weighted-{axis}"] = weighted[:, axis] + corner[:, axis]
        values[f"centroid_weighted_local-{axis}"] = weighted[:, axis]
    return values | _moments(*kernels_measure_shape.moments(lobes.labels, lobes.boxes, centroids))


def _moments(raw: F64, central: F64) -> Values:
    """(N, 4, 4) moments → their columns, those of the inertia tensor and Hu's invariants; as scikit-image."""
    area = raw[:, :1, :1]
    order = np.add.outer(np.arange(4), np.arange(4))
    normalized = np.where(order < 2, np.nan, central / area ** (order / 2 + 1))
    tensor = np.stack([central[:, 0, 2], -central[:, 1, 1], -central[:, 1, 1], central[:, 2, 0]], 1) / area[:, :, 0]
    middle = (tensor[:, 0] + tensor[:, 3]) / 2
    spread = np.hypot((tensor[:, 0] - tensor[:, 3]) / 2, tensor[:, 1])
    values: Values = {f"inertia_tensor-{k // 2}-{k % 2}": tensor[:, k] for k in range(4)}
    values["inertia_tensor_eigvals-0"] = middle + spread
    values["inertia_tensor_eigvals-1"] = np.maximum(middle - spread, 0)
    for name, array in (("moments", raw), ("moments_central", central), ("moments_normalized", normalized)):
        values |= {f"{name}-{p}-{q}": array[:, p, q] for p in range(4) for q in range(4)}
    return values | {f"moments_hu-{k}": column for k, column in enumerate(_hu(normalized))}


def _hu(nu: F64) -> list[F64]:
    """(N, 4, 4) normalised central moments → Hu's seven invariants (Hu, IRE Trans. Inf. Theory 8, 179 (1962))."""
    n20, n02, n11 = nu[:, 2, 0], nu[:, 0, 2], nu[:, 1, 1]
    n30, n03, n21, n12 = nu[:, 3, 0], nu[:, 0, 3], nu[:, 2, 1], nu[:, 1, 2]
    s, t = n30 + n12, n21 + n03
    u, v = n30 - 3 * n12, 3 * n21 - n03
    return [
        n20 + n02,
        (n20 - n02) ** 2 + 4 * n11**2,
        u**2 + v**2,
        s**2 + t**2,
        u * s * (s**2 - 3 * t**2) + v * t * (3 * s**2 - t**2),
        (n20 - n02) * (s**2 - t**2) + 4 * n11 * s * t,
        v * s * (s**2 - 3 * t**2) - u * t * (3 * s**2 - t**2),
    ]
