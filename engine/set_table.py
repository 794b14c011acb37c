"""Sets of lobes → set table: the role of each lobe, the size and the geometry of each set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .columns import SET_MEMBERSHIP, Column, build_table
from .table import Table
from .types import I32

F64 = NDArray[np.float64]
Roles = NDArray[np.str_]

_PAPER: Final = "Monteiro et al., Sci. Rep. 15, 2341 (2025)"
_HERE: Final = "samcolloid-edge"
_SKIMAGE: Final = "scikit-image regionprops"
LINEAR: Final = 120.0
"""Largest angle from which a trimer is linear, degrees: half way from a triangle of equal lobes to a straight line."""
_KINDS: Final = np.array(["sphere", "dumbbell", "trimer", "chain"])


def _lobe_diameter(role: str, kind: str) -> Column:
    return Column(f"diameter_{role}", np.float64, "px",
                  f"equivalent_diameter_area of lobe {role} of a {kind}; NaN for other sets", _PAPER, "_nm")


def _distance(name: str, between: str, kind: str) -> Column:
    return Column(name, np.float64, "px",
                  f"between the centroids of lobes {between} of a {kind}; NaN for other sets", _PAPER, "_nm")


SET_COLUMNS: Final[tuple[Column, ...]] = (
    Column("set", np.int32, "", "number of the set, from 1; column set of the lobe table", _HERE),
    Column("lobes", np.int32, "", "number of lobes", _HERE),
    Column("kind", "<U8", "", "sphere, dumbbell, trimer or chain: 1, 2, 3 or more lobes", _HERE),
    Column("area", np.int64, "px²", "sum of the areas of the lobes", _HERE, "_nm2"),
    Column("area_whole", np.float64, "px²", "number of pixels of the union of the lobes, gaps of one pixel between "
           "them closed", _HERE, "_nm2"),
    Column("equivalent_diameter_area", np.float64, "px", "diameter of the circle of the same area",
           _HERE, "_nm"),
    Column("centroid-0", np.float64, "px", "row of the mean pixel centre of all lobes", _HERE),
    Column("centroid-1", np.float64, "px", "column of the mean pixel centre of all lobes", _HERE),
    _lobe_diameter("large", "dumbbell"),
    _lobe_diameter("small", "dumbbell"),
    _lobe_diameter("a", "trimer"),
    _lobe_diameter("b", "trimer"),
    _lobe_diameter("c", "trimer"),
    _distance("distance", "large and small", "dumbbell"),
    _distance("distance_ab", "a and b", "trimer"),
    _distance("distance_bc", "b and c", "trimer"),
    _distance("distance_ac", "a and c", "trimer"),
    Column("angle_max", np.float64, "°",
           "at lobe b of a trimer, between the centroids of a and c; NaN for other sets", _PAPER),
    Column("shape", "<U10", "", f"of a trimer: linear where angle_max is {LINEAR:g}° or more, else triangular; empty "
           "for other sets", _HERE),
    Column("fusion", np.float64, "", "1 − centre distance / sum of the radii of equal area, 0 where circles touch; of "
           "a trimer the mean of a–b and b–c; NaN for other sets", _HERE),
    Column("ratio_small_large", np.float64, "", "diameter_small / diameter_large", _HERE),
    Column("ratio_ba", np.float64, "", "diameter_b / diameter_a", _HERE),
    Column("ratio_ca", np.float64, "", "diameter_c / diameter_a", _HERE),
    Column("perimeter", np.float64, "px", "of the union of the lobes, as in the lobe table", _SKIMAGE, "_nm"),
    Column("feret_diameter_max", np.float64, "px", "of the union of the lobes, as in the lobe table", _SKIMAGE, "_nm"),
    Column("axis_major_length", np.float64, "px", "of the union of the lobes, as in the lobe table", _SKIMAGE, "_nm"),
    Column("axis_minor_length", np.float64, "px", "of the union of the lobes, as in the lobe table", _SKIMAGE, "_nm"),
    Column("aspect_ratio", np.float64, "", "of the union: axis_major_length / axis_minor_length", _HERE),
    Column("orientation", np.float64, "rad", "of the union of the lobes, as in the lobe table", _SKIMAGE),
    Column("solidity", np.float64, "", "of the union of the lobes, as in the lobe table", _SKIMAGE),
    Column("cluster", np.int32, "", "number of the free cluster, particles that touch, from 1; 0 where it was not "
           "looked for", _HERE),
    Column("cluster_sets", np.int32, "", "number of sets in that cluster", _HERE),
    Column("confidence", np.float64, "", "probability that the set has all lobes of one particle and no other, "
           "calibrated on rendered micrographs; NaN where the grouping tells none", _HERE),
    Column("complete", np.bool_, "", "whether no lobe seems to be missing", _HERE),
    Column("incomplete", "<U20", "", "why one may be missing: edge, no neighbour, neighbours taken (all beside it are "
           "of whole particles), weak evidence; empty where complete", _HERE),
    Column("touches_edge", np.bool_, "", "whether a lobe touches the border of the analysed area", _HERE),
)
"""Every column of the set table, in its order."""


def roles(set_index: I32, centroids: F64, areas: NDArray[Any]) -> Roles:
    """What each lobe is in its set.

    One lobe: ``sphere``. Two: ``large`` and ``small`` by area. Three: ``b`` has the largest angle between the
    other two, ``a`` is the larger of these, ``c`` the other (Monteiro et al., Sci. Rep. 15, 2341 (2025)).
    More: ``a``, ``b``, … ``z``, ``aa``, … by falling area. In no set: empty. Of equals the lobe of the
    smaller centroid (row, then column) comes first.

    Parameters: ``set_index`` (N,) int32, 0 to S − 1 or −1 for no set; ``centroids`` (N, 2) float64 (row, col)
    px; ``areas`` (N,) px². Returns (N,) str.
    """
    names = np.zeros(len(set_index), "<U6")
    for lobes in _members(set_index):
        ranked = lobes[np.lexsort((centroids[lobes, 1], centroids[lobes, 0], -areas[lobes]))]
        if len(ranked) == 1:
            names[ranked] = ["sphere"]
        elif len(ranked) == 2:
            names[ranked] = ["large", "small"]
        elif len(ranked) == 3:
            ordered = ranked[np.lexsort((centroids[ranked, 1], centroids[ranked, 0]))]
            angles = [_angle(*centroids[np.roll(ordered, -k)]) for k in range(3)]
            middle = ordered[int(np.argmax(angles))]
            names[middle] = "b"
            names[ranked[ranked != middle]] = ["a", "c"]
        else:
            names[ranked] = [_letters(k) for k in range(len(ranked))]
    return names


def sets(lobes: Table, set_index: I32, roles: Roles, pixel_size: float | None,
         more: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> Table:
    """The set table: one row a set, columns as ``SET_COLUMNS`` declares them; NaN where one does not apply.

    Parameters: ``lobes`` the lobe table of N rows; ``set_index`` (N,) int32, 0 to S − 1 or −1 for no set;
    ``roles`` (N,) str, as from ``roles``; ``pixel_size`` nm/px, None where unknown; ``more`` (S,) the columns that the
    lobe table does not tell: of the union, the cluster and the grouping. What is not given is NaN, 0 or empty.
    """
    centroids = np.column_stack((lobes["centroid-0"], lobes["centroid-1"]))
    inside = np.flatnonzero(set_index >= 0)
    of = set_index[inside]
    n = int(of.max(initial=-1)) + 1
    count = np.bincount(of, minlength=n)
    weight = lobes["area"][inside]
    area = np.bincount(of, weights=weight, minlength=n)

    def lobe(role: str, size: int) -> I32:
        """(S,) the lobe of a role in sets of a size, −1 elsewhere."""
        found = np.full(n, -1, np.int32)
        rows = inside[(roles[inside] == role) & (count[of] == size)]
        found[set_index[rows]] = rows
        return found

    large, small, a, b, c = lobe("large", 2), lobe("small", 2), lobe("a", 3), lobe("b", 3), lobe("c", 3)
    diameter = lobes["equivalent_diameter_area"]

    def between(one: I32, other: I32) -> tuple[F64, F64]:
        """(S,) centre distances, px, and degrees of fusion."""
        distance = _length(_where_found(centroids, one) - _where_found(centroids, other))
        return distance, 1 - 2 * distance / (_where_found(diameter, one) + _where_found(diameter, other))

    def ratio(one: I32, other: I32) -> F64:
        return _where_found(diameter, one) / _where_found(diameter, other)

    (distance, fused), (ab, fused_ab), (bc, fused_bc) = between(large, small), between(a, b), between(b, c)
    angle = _angle(*(_where_found(centroids, rows) for rows in (b, a, c)))
    incomplete = more.get("incomplete", np.zeros(n, "<U20"))
    values = {
        **{column.name: np.full(n, np.nan if column.dtype is np.float64 else 0) for column in SET_COLUMNS},
        "set": np.arange(1, n + 1),
        "lobes": count,
        "kind": _KINDS[np.minimum(count, 4) - 1],
        "area": area,
        "equivalent_diameter_area": np.sqrt(4 * area / math.pi),
        "centroid-0": np.bincount(of, weights=weight * centroids[inside, 0], minlength=n) / area,
        "centroid-1": np.bincount(of, weights=weight * centroids[inside, 1], minlength=n) / area,
        "diameter_large": _where_found(diameter, large),
        "diameter_small": _where_found(diameter, small),
        "diameter_a": _where_found(diameter, a),
        "diameter_b": _where_found(diameter, b),
        "diameter_c": _where_found(diameter, c),
        "distance": distance,
        "distance_ab": ab,
        "distance_bc": bc,
        "distance_ac": between(a, c)[0],
        "angle_max": angle,
        "shape": np.select([angle >= LINEAR, angle < LINEAR], ["linear", "triangular"], ""),
        "fusion": np.where(count == 2, fused, (fused_ab + fused_bc) / 2),
        "ratio_small_large": ratio(small, large),
        "ratio_ba": ratio(b, a),
        "ratio_ca": ratio(c, a),
        "incomplete": incomplete,
        "complete": incomplete == "",
        "touches_edge": np.bincount(of, weights=lobes["touches_edge"][inside], minlength=n) > 0,
    }
    return build_table(SET_COLUMNS, values | dict(more), pixel_size)


def with_sets(lobes: Table, set_index: I32, roles: Roles) -> Table:
    """The lobe table with its columns ``set`` (from 1; 0 in no set) and ``lobe`` (role) after ``label``."""
    membership = build_table(SET_MEMBERSHIP, {"set": set_index + 1, "lobe": roles}, None)
    columns = {"label": lobes["label"], **membership.columns}
    units = {"label": lobes.units["label"], **membership.units}
    return Table(columns | {k: v for k, v in lobes.items() if k not in columns},
                 units | {k: v for k, v in lobes.units.items() if k not in units})


def _members(set_index: I32) -> list[NDArray[np.intp]]:
    """The lobes of each set, set by set."""
    order = np.argsort(set_index, kind="stable")
    order = order[np.searchsorted(set_index[order], 0):]
    return np.split(order, np.flatnonzero(np.diff(set_index[order])) + 1) if len(order) else []


def _angle(at: F64, one: F64, other: F64) -> F64:
    """Angle at a point between two others, degrees, 0–180; points (…, 2)."""
    u, v = one - at, other - at
    cross = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    angle: F64 = np.degrees(np.arctan2(np.abs(cross), (u * v).sum(axis=-1)))
    return angle


def _length(vectors: F64) -> F64:
    length: F64 = np.hypot(vectors[:, 0], vectors[:, 1])
    return length


def _where_found(values: F64, rows: I32) -> F64:
    """``values[rows]``, NaN where the row is −1."""
    found = np.full((len(rows), *values.shape[1:]), np.nan)
    found[rows >= 0] = values[rows[rows >= 0]]
    return found


def _letters(k: int) -> str:
    """a … z, aa, ab …, as spreadsheets name their columns."""
    rest, letter = divmod(k, 26)
    return (_letters(rest - 1) if rest else "") + "abcdefghijklmnopqrstuvwxyz"[letter]
