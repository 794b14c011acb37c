"""The traditional method: filter, subtract the background, threshold, watershed, keep what has the size.

What Monteiro et al. compare with (Sci. Rep. 15, 2341 (2025)), after ImageJ: Median, Subtract Background, Auto
Threshold "Moments", Adjustable Watershed, Analyze Particles. Two rounds give sets: the watershed of the first parts
lobes, that of the second, of a higher tolerance, whole particles; a lobe is of the particle that holds most of it.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import cv2
import numpy as np

from . import kernels_watershed as kernels
from .preprocess import Grey
from .settings import Settings
from .types import F32, I32, U8, Area, Bool

SHRINK: Final = ((10.0, 1, 24), (30.0, 2, 24), (100.0, 4, 32), (math.inf, 8, 40))
"""Up to this radius of the ball, px, it rolls beneath an image so many times smaller, less so many % of its radius: as
ImageJ's (``BackgroundSubtracter``), for which a flat ball of a fraction of the size is much quicker and as good."""


class Parted(NamedTuple):
    """Lobes and the particles that hold them."""

    labels: I32
    """(H, W): 0 is background, lobe i is label i + 1."""
    sets: I32
    """(N,) particle that holds each lobe, from 0; −1 where none does."""
    bright: bool
    """Whether particles are brighter than their surroundings."""
    threshold: int
    """Filtered grey value (0–255; turned round where particles are dark) above which a pixel is of a particle."""


def part(grey: Grey, area: Area, settings: Settings) -> Parted:
    """Lobes and particles of the analysed ``area`` in a label image of the whole file."""
    brightness = {"bright": (True,), "dark": (False,), "auto": (True, False)}[settings.watershed_particles]
    tries = [_part(grey.of(area), bright, settings) for bright in brightness]
    parted, _ = max(tries, key=lambda one: one[1])
    labels = np.zeros(grey.pixels.shape, np.int32)
    labels[area.slices] = parted.labels
    return parted._replace(labels=labels)


def held(holder: I32, counts: Bool, most: int) -> I32:
    """(N,) set of each lobe, 0 to S − 1 in the order of each set's first lobe; −1 in none.

    ``holder`` (N,) is the particle of each lobe, −1 for none. Lobes that do not count are in no set, and none are those
    of a particle that holds more than ``most`` (0: any number): which of them belong together it cannot tell.
    """
    inside = counts & (holder >= 0)
    lobes_of = np.bincount(holder[inside], minlength=1)
    if most:
        inside[inside] = lobes_of[holder[inside]] <= most
    sets = np.full(len(holder), -1, np.int32)
    _, first, index = np.unique(holder[inside], return_index=True, return_inverse=True)
    sets[inside] = np.argsort(np.argsort(first))[index]
    return sets


def subtract_background(image: U8, radius: float) -> U8:
    """(H, W) less what a ball of ``radius`` px reaches that rolls beneath it (Sternberg, Computer 16, 22 (1983)).

    As ImageJ's Subtract Background of a dark background, without its smoothing beforehand.
    """
    _, times, trim = next(row for row in SHRINK if radius <= row[0])
    small = max(radius / times, 1.0)
    half = round(small - int(trim * small) / 100)
    y, x = np.ogrid[-half : half + 1, -half : half + 1]
    ball = np.sqrt(np.maximum(small**2 - x**2 - y**2, 0)).astype(np.float32)
    height, width = image.shape
    padded = np.pad(image, ((0, -height % times), (0, -width % times)), mode="edge")
    least = padded.reshape(padded.shape[0] // times, times, padded.shape[1] // times, times).min((1, 3))
    ground = kernels.roll_ball(least.astype(np.float32), ball)
    large = cv2.resize(ground, padded.shape[::-1], interpolation=cv2.INTER_LINEAR)[:height, :width]
    above: U8 = np.clip(np.rint(image - large), 0, 255).astype(np.uint8)
    return above


def moments_threshold(image: U8) -> int:
    """The grey value above which a pixel is foreground.

    An image of two values alone that has the same first three moments has these shares of both: W. Tsai, Comput. Vis.
    Graph. Image Process. 29, 377 (1985), as ImageJ's Auto Threshold "Moments". One value alone has no foreground.
    """
    counts = np.bincount(image.ravel(), minlength=256) / image.size
    grey = np.arange(256.0)
    m1, m2, m3 = ((counts * grey**k).sum() for k in (1, 2, 3))
    spread = m2 - m1**2
    if spread <= 1e-12:
        return 255
    c0, c1 = (m1 * m3 - m2**2) / spread, (m1 * m2 - m3) / spread
    root = math.sqrt(max(c1**2 - 4 * c0, 0))
    low, high = (-c1 - root) / 2, (-c1 + root) / 2
    share = (high - m1) / (high - low) if high > low else 1.0
    above = np.flatnonzero(np.cumsum(counts) > share)
    return int(above[0]) if len(above) else 255


def watershed(depth: F32, tolerance: float) -> I32:
    """(H, W) basins, from 1, of the distance from the background, 0 where that is 0.

    As ImageJ's Adjustable Watershed (M. Schmid): a maximum no more than ``tolerance`` px higher than the way to a
    higher one is none. Basins touch: no line of pixels is taken out between them, as ImageJ does, which would make
    every lobe smaller.
    """
    flat = depth.ravel()
    inside = np.flatnonzero(flat > 0)
    order = inside[np.argsort(-flat[inside], kind="stable")]
    basins: I32 = kernels.flood(np.require(depth, np.float32, ["C", "W"]), order, float(tolerance))
    return basins


def _part(image: U8, bright: bool, settings: Settings) -> tuple[Parted, float]:
    """Lobes and particles, and how well discs fill the lobes: nearly 1 for round ones, less for the gaps between."""
    window = 2 * settings.watershed_median_radius + 1
    even: U8 = np.asarray(cv2.medianBlur(image if bright else 255 - image, window), np.uint8)
    if settings.watershed_background_radius:
        even = subtract_background(even, settings.watershed_background_radius)
    threshold = moments_threshold(even)
    mask = _without_small(even > threshold, settings.watershed_min_area)
    depth = np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
    lobes = _sized(watershed(depth, settings.watershed_tolerance), settings.watershed_min_area)
    particles = watershed(depth, settings.watershed_set_tolerance)
    inscribed = np.zeros(int(lobes.max(initial=0)) + 1)
    np.maximum.at(inscribed, lobes.ravel(), depth.ravel())
    covered = np.count_nonzero(lobes)
    fill = math.pi * float((inscribed[1:] ** 2).sum()) / covered if covered else 0.0
    return Parted(lobes, _holders(lobes, particles), bright, threshold), fill


def _without_small(mask: Bool, least: int) -> Bool:
    """(H, W) without holes, then islands, of fewer than ``least`` px²; what the border cuts is no hole."""
    for inside in (False, True):
        _, parts, stats, _ = cv2.connectedComponentsWithStats((mask == inside).astype(np.uint8), connectivity=8)
        small = stats[:, cv2.CC_STAT_AREA] < least
        if not inside:
            x, y, w, h = stats[:, : cv2.CC_STAT_AREA].T
            small &= (x > 0) & (y > 0) & (x + w < mask.shape[1]) & (y + h < mask.shape[0])
        small[0] = False
        mask = mask ^ small[parts]
    return mask


def _sized(basins: I32, least: int) -> I32:
    """Only the basins of at least so many px², numbered from 1 without a gap."""
    areas = np.bincount(basins.ravel())
    kept = areas >= least
    kept[0] = False
    numbers: I32 = (np.cumsum(kept) * kept).astype(np.int32)
    return numbers[basins]


def _holders(lobes: I32, particles: I32) -> I32:
    """(N,) particle that holds most pixels of each lobe, from 0; −1 where most are in none."""
    n, m = int(lobes.max(initial=0)), int(particles.max(initial=0))
    inside = lobes > 0
    keys, shared = np.unique(lobes[inside].astype(np.int64) * (m + 1) + particles[inside], return_counts=True)
    lobe, particle = np.divmod(keys, m + 1)
    order = np.argsort(shared, kind="stable")
    holder = np.zeros(n, np.int64)
    holder[lobe[order] - 1] = particle[order]  # of all the last, and so the largest share, stays
    return holder.astype(np.int32) - 1
