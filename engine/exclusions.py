"""Particles that a person has excluded, on the report page or by hand, found again in a new analysis.

Labels and set numbers change from analysis to analysis, so a particle is known by its micrograph's sha256 and by the
centroids and areas of its lobes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..models.errors import SettingsError
from .filters import EXCLUDED_BY, with_counting
from .types import I32, Lobe, Particle, Result

USER: Final = "user"
"""In the column ``excluded_by``."""
FORMAT: Final = "samcolloid-edge exclusions"
VERSION: Final = 1
AREA_FACTOR: Final = 2.0
"""A lobe that is found again is at most so many times larger or smaller than it was."""
LEAST_SHARE: Final = 0.5
"""A particle is the one that was excluded where at least this share of its lobes was excluded with it."""


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What one exclusions file says."""

    particles: Mapping[str, tuple[Particle, ...]]
    """sha256 of a micrograph's file → the particles excluded in it."""
    files: Mapping[str, str]
    """sha256 → the path under which it was analysed then."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The exclusions in a JSON file. Raises SettingsError where it is none."""
        try:
            content = json.loads(path.read_text("utf-8"))
            if content["format"] != FORMAT or content["version"] != VERSION:
                raise ValueError(f"format {content['format']!r}, version {content['version']!r}")
            images = content["images"]
            return cls(
                {image["sha256"]: tuple(map(_particle, image["particles"])) for image in images},
                {image["sha256"]: str(image.get("file", "")) for image in images},
            )
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read ({error.strerror}).") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsError(f"{path}: is no exclusions file of version {VERSION} of a report page "
                                f"({type(error).__name__}: {error}).") from None  # fmt: skip

    def of(self, sha256: str) -> tuple[Particle, ...]:
        """The particles excluded in one micrograph."""
        return self.particles.get(sha256, ())

    def beside(self, analysed: Set[str]) -> Iterator[str]:
        """A sentence about each micrograph in the file that is none of those ``analysed`` (sha256)."""
        for sha256, particles in self.particles.items():
            if sha256 not in analysed:
                yield (f"{len(particles)} particles to exclude belong to {self.files[sha256] or 'a file'} (sha256 "
                       f"{sha256[:12]}…), which is none of the images analysed.")  # fmt: skip


NO_EXCLUSIONS: Final = Exclusions({}, {})


def exclude(result: Result, particles: tuple[Particle, ...]) -> Result:
    """The result with ``particles`` excluded by the user, and a warning about each that is not there any longer.

    A lobe is found again where a lobe's mask holds the old centroid (else where the nearest centroid is within half
    its radius) and its area is alike (``AREA_FACTOR``); a particle, a set or a lobe of no set, where at least
    ``LEAST_SHARE`` of its lobes are. What a filter has left out already stays with the filter.
    """
    if not particles:
        return result
    lobes, sets = result.lobes, result.sets
    labels = result.masks.labels()
    hit = np.zeros(lobes.n_rows, bool)
    found = [[_again(lobe, labels, result) for lobe in particle] for particle in particles]
    hit[[row for rows in found for row in rows if row >= 0]] = True
    number = lobes["set"].astype(np.int64)
    n_lobes = np.bincount(number, minlength=sets.n_rows + 1)
    n_hit = np.bincount(number, weights=hit, minlength=sets.n_rows + 1)
    set_out = n_hit[1:] >= LEAST_SHARE * np.maximum(n_lobes[1:], 1)
    lobe_out = np.where(number > 0, np.append(False, set_out)[number], hit)
    lost = [particle for particle, rows in zip(particles, found, strict=True)
            if not any(row >= 0 and lobe_out[row] for row in rows)]  # fmt: skip
    return replace(
        result,
        lobes=with_counting(lobes, {"excluded_by": _marked(lobes["excluded_by"], lobe_out)}),
        sets=with_counting(sets, {"excluded_by": _marked(sets["excluded_by"], set_out)}),
        exclusions=particles,
        warnings=(*result.warnings, *_sentences(lost, len(particles))),
    )


def _marked(excluded_by: NDArray[Any], out: NDArray[np.bool_]) -> NDArray[np.str_]:
    return np.where(out & (excluded_by == ""), USER, excluded_by).astype(EXCLUDED_BY.dtype)


def _again(lobe: Lobe, labels: I32, result: Result) -> int:
    """Row of the lobe that was excluded, −1 where it is not there."""
    height, width = labels.shape
    row, col = round(lobe.row), round(lobe.col)
    label = int(labels[row, col]) if 0 <= row < height and 0 <= col < width else 0
    table = result.lobes
    if label == 0 and table.n_rows:
        distance = np.hypot(table["centroid-0"] - lobe.row, table["centroid-1"] - lobe.col)
        nearest = int(np.argmin(distance))
        if distance[nearest] <= math.sqrt(lobe.area / math.pi) / 2:
            label = nearest + 1
    if label == 0 or not 1 / AREA_FACTOR <= table["area"][label - 1] / lobe.area <= AREA_FACTOR:
        return -1
    return label - 1


def _sentences(lost: list[Particle], of: int) -> Iterator[str]:
    if lost:
        where = ", ".join(f"({p[0].row:.0f}, {p[0].col:.0f})" for p in lost[:5]) + (", …" if len(lost) > 5 else "")
        yield (f"{len(lost)} of {of} particles to exclude were not found again, so they exclude nothing; their "
               f"centroids (row, column): {where} px.")  # fmt: skip


def _particle(value: Mapping[str, Any]) -> Particle:
    particle = []
    for lobe in value["lobes"]:
        row, col = lobe["centroid"]
        particle.append(Lobe(float(row), float(col), float(lobe["area"])))
    if not particle or not all(lobe.area > 0 and all(map(math.isfinite, lobe)) for lobe in particle):
        raise ValueError(f"a particle needs lobes with a centroid and an area above 0, not {dict(value)}")
    return tuple(particle)
