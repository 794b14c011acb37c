"""What tells whether two neighbouring lobes are of one particle, and how strongly: evidence → log-odds.

The evidence is the border that two lobes share, the gap between them, how far the circles through the free parts of
their outlines overlap, the crease in the grey values along the border, and the particle masks that hold both. A
small network weighs it pair by pair; a second one also sees what pairs of this micrograph are like, those that are
likely of one particle and the others: where lobes of one particle barely touch, two more that do may be one, too. Their
coefficients are data (``evidence.json``), fitted on rendered micrographs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import kernels_evidence, kernels_measure
from .types import I32, I64, Area, Bool
from .votes import Votes

F64 = NDArray[np.float64]

REACH: Final = 0.15
"""How far over its border a lobe looks for neighbours, ÷ its radius; at least ``LEAST_REACH``."""
LEAST_REACH: Final = 3
"""px: as much as two outlines that touch may lie apart."""
PSEUDO_VOTES: Final = 0.15
"""Votes added on either side, so that few votes say little and none say nothing."""
SAMPLE: Final = 2**22
"""px."""
ROWS: Final = 256
"""Of an image that are looked at together, so that memory does not grow with it."""
STEADY: Final = 3.0
"""Usual pairs that are added to those of a micrograph, so that a few do not tell what it holds."""
FREE_ARC: Final = (0.3, 0.6, 1.6)
"""A circle is fitted where this share of the outline is free, and counts where its radius is within these factors of
the radius of equal area; else the circle of equal area stands for it."""


@dataclass(frozen=True, slots=True)
class Contacts:
    """The M pairs of neighbouring lobes, i < j in ascending order."""

    pairs: I64
    """(M, 2) lobes, from 0."""
    border: F64
    """(M,) length of the shared border, px: pixels of either outline that the other lobe faces, halved."""
    gap: F64
    """(M,) least distance of two pixel centres, px."""
    touches_edge: Bool
    """(N,) whether a lobe touches the border of the analysed area."""
    evidence: Mapping[str, F64]
    """Name → (M,), without unit; ``evidence.json`` says by name which of it counts, and in which range."""
    voted: bool
    """Whether the model gave particle masks; where it gave none, other coefficients hold."""

    def among(self, counts: Bool) -> Contacts:
        """Only the lobes that count, (N,), with the pairs of which both do."""
        kept = counts[self.pairs].all(1)
        pairs = np.searchsorted(np.flatnonzero(counts), self.pairs[kept])
        return Contacts(pairs, self.border[kept], self.gap[kept], self.touches_edge[counts],
                        {name: of[kept] for name, of in self.evidence.items()}, self.voted)


def contacts(labels: I32, pixels: NDArray[Any], area: Area, votes: Votes) -> Contacts:
    """Which lobes are neighbours, and what there is to say about each pair.

    Parameters: ``labels`` (H, W) int32, 0 is background and lobe i, of N, is label i + 1; ``pixels`` (H, W) grey
    values; ``area`` the analysed part of the image, in whose background the contrast is taken; ``votes`` of the
    model's particle masks.
    """
    n = int(labels.max(initial=0))
    labels = np.ascontiguousarray(labels, np.int32)
    grey = np.require(pixels, pixels.dtype.newbyteorder("="), ["C", "W"])
    sums, boxes = kernels_measure.label_sums(labels, n)
    size = sums[:, 0].astype(np.float64)
    centres = sums[:, 1:3] / size[:, None]
    radius = np.sqrt(size / np.pi)
    reach = np.maximum(LEAST_REACH, np.rint(REACH * radius)).astype(np.int64)
    capacity = 8 * n
    while True:
        m, one, other, count, gap, profile, free = kernels_evidence.borders(
            labels, grey, boxes, radius, reach, capacity)  # fmt: skip
        if m <= capacity:
            break
        capacity = m
    low, high = np.minimum(one, other)[:m], np.maximum(one, other)[:m]
    key, pair = np.unique(low * n + high, return_inverse=True)
    i, j = np.divmod(key, max(n, 1))
    both = np.bincount(pair, weights=count[:m], minlength=len(key))
    least = np.full(len(key), np.inf)
    np.minimum.at(least, pair, gap[:m])
    across = np.where((one > other)[:m, None], profile[:m, ::-1], profile[:m])
    across = np.stack([np.bincount(pair, weights=of, minlength=len(key)) for of in across.T], 1) / both[:, None]
    contrast, grey_of = _contrast(labels, grey, area, size)
    sides, crease = across[:, [0, -1]] / contrast, across[:, 1:-1] / contrast
    fitted, fitted_radius = _circles(free, boxes, centres, radius)
    small = np.minimum(radius[i], radius[j])
    yes, no = votes.of(i, j)
    evidence = {
        "votes": np.log((yes + PSEUDO_VOTES) / (no + PSEUDO_VOTES)),
        "border": both / (4 * small),
        "gap": (least - 1) / small,
        "overlap of circles": (fitted_radius[i] + fitted_radius[j] - np.hypot(*(fitted[i] - fitted[j]).T))
        / np.minimum(fitted_radius[i], fitted_radius[j]),
        "overlap of equal areas": (radius[i] + radius[j] - np.hypot(*(centres[i] - centres[j]).T)) / small,
        "crease": (sides.mean(1)[:, None] - crease).max(1, initial=-np.inf),
        "crease below both": (sides.min(1)[:, None] - crease).max(1, initial=-np.inf),
        "ratio of radii": np.abs(np.log(radius[i] / radius[j])),
        "difference of grey": np.abs(grey_of[i] - grey_of[j]) / abs(contrast),
        "size": np.log(small),
    }
    corners = np.array([area.row0, area.col0]), np.array([area.row1, area.col1])
    outside: Bool = (boxes[:, :2] <= corners[0]) | (boxes[:, 2:] >= corners[1])
    return Contacts(np.stack([i, j], 1), both / 2, least, np.any(outside, axis=1), evidence, votes.any)


def log_odds(found: Contacts) -> F64:
    """(M,) how much more likely the evidence of each pair is where its lobes are of one particle; logarithm."""
    model = coefficients()["with votes" if found.voted else "without votes"]
    return network(model["in context"], in_context(model, found.evidence))


def in_context(model: Mapping[str, Any], evidence: Mapping[str, F64]) -> dict[str, F64]:
    """Name → (M,): the evidence of the M pairs of a micrograph, what it says by itself, and what all pairs are like.

    ``model`` has under "by itself" what ``network`` takes, and under "usual" name → mean of pairs of two particles and
    of one.
    """
    by_itself = network(model["by itself"], evidence)
    same = 1 / (1 + np.exp(-by_itself))
    likely = {"apart": 1 - same, "together": same}
    terms = {**evidence, "by itself": by_itself, "common": np.full_like(by_itself, common(by_itself))}
    for name, usual in model["usual"].items():
        values = np.clip(evidence[name], *model["by itself"]["range"][name])
        for (what, weight), mean in zip(likely.items(), usual, strict=True):
            told = (weight @ values + STEADY * mean) / (weight.sum() + STEADY)
            terms[f"{name}, {what}"] = np.full_like(by_itself, told)
    return terms


def common(by_itself: F64) -> float:
    """How many pairs of all belong together, −1–1, from the log-odds of each by itself (M,)."""
    return float((np.tanh(by_itself / 4).sum() - STEADY) / (len(by_itself) + STEADY))


def network(model: Mapping[str, Any], terms: Mapping[str, F64]) -> F64:
    """(M,) what a small network makes of M pairs; ``terms`` name → (M,), without unit.

    ``model`` has under "range" the lowest and the highest of each term that counts, under "layers" weights and biases.
    """
    values = np.empty((len(next(iter(terms.values()))), len(model["range"])))
    for k, (name, (low, high)) in enumerate(model["range"].items()):
        values[:, k] = np.clip(terms[name], low, high)
    *hidden, (weights, bias) = model["layers"]
    for into, shift in hidden:
        values = np.tanh(values @ np.array(into) + shift)
    total: F64 = values @ np.array(weights) + bias
    return total


def confidence(odds: F64, size: I64, iou: F64, cut: Bool, voted: bool) -> F64:
    """(S,) probability, 0–1, that a set holds all lobes of one particle and no other.

    Parameters, each (S,): ``odds`` as of ``partition.Partition``; ``size`` lobes; ``iou`` the least predicted IoU of
    them, 0–1; ``cut`` whether one touches the border of the analysed area; and ``voted`` as of ``Contacts``.
    """
    model = coefficients()["with votes" if voted else "without votes"]["confidence"]
    terms = confidence_terms(odds, size, iou, cut)
    total = model["intercept"] + sum(model["weights"][name] * term for name, term in terms.items())
    probability: F64 = 1 / (1 + np.exp(-total))
    return probability


def confidence_terms(odds: F64, size: I64, iou: F64, cut: Bool) -> dict[str, F64]:
    """Name → (S,): what the confidence of a set is made of."""
    return {
        "odds": np.clip(odds, -2, 10),
        "odds squared": np.clip(odds, -2, 10) ** 2,
        "one lobe": (size == 1).astype(np.float64),
        "lobes beyond two": np.maximum(size - 2, 0).astype(np.float64),
        "predicted iou": iou,
        "cut": cut.astype(np.float64),
        "one lobe, cut": (cut & (size == 1)).astype(np.float64),
    }


@cache
def coefficients() -> dict[str, Any]:
    """The logistic models as ``evidence.json`` has them, with where they come from."""
    data: dict[str, Any] = json.loads((resources.files(__package__) / "evidence.json").read_text("utf-8"))
    return data


def _contrast(labels: I32, grey: NDArray[Any], area: Area, size: F64) -> tuple[float, F64]:
    """Median grey value of the lobes less that of the background (below 0 where lobes are dark), and each lobe's.

    Of an area of more than ``SAMPLE`` px the background is looked at in rows and columns at equal distances.
    """
    total = np.zeros(len(size) + 1)
    for row in range(0, len(labels), ROWS):
        part = slice(row, row + ROWS)
        total += np.bincount(labels[part].ravel(), grey[part].ravel(), len(total))
    of_lobe = total[1:] / size
    step = math.ceil(math.sqrt(area.shape[0] * area.shape[1] / SAMPLE))
    inside, sample = (image[area.slices][::step, ::step] for image in (labels, grey))
    ground = float(np.median(sample[inside == 0])) if not inside.all() else float(sample.min(initial=0))
    contrast = float(np.median(of_lobe)) - ground if len(of_lobe) else 1.0
    return contrast if abs(contrast) >= 1 else 1.0, of_lobe


def _circles(free: F64, boxes: I32, centres: F64, radius: F64) -> tuple[F64, F64]:
    """Centres (N, 2) (row, col) and radii (N,), px, of circles through the free part of each outline.

    Least squares of the algebraic distance (Kåsa, IEEE Trans. Instrum. Meas. 25, 8 (1976)); ``free`` as from
    ``kernels_evidence.borders``. The outline runs half a pixel outside the centres of the border pixels.
    """
    share, low, high = FREE_ARC
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y, xx, yy, xy, xz, yz, z = free[:, 1:].T / free[:, 0]
        xx, yy, xy, xz, yz = xx - x * x, yy - y * y, xy - x * y, (xz - x * z) / 2, (yz - y * z) / 2
        determinant = xx * yy - xy * xy
        col, row = (yy * xz - xy * yz) / determinant, (xx * yz - xy * xz) / determinant
        fitted = np.sqrt(z - 2 * (col * x + row * y) + col * col + row * row) + 0.5
        good = (free[:, 0] > share * 2 * np.pi * radius) & (fitted > low * radius) & (fitted < high * radius)
    where = np.where(good[:, None], np.stack([row, col], 1) + boxes[:, :2], centres)
    return where, np.where(good, fitted, radius)
