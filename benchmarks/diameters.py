"""Mean diameters of lobes beside the published ones, by sample and role; see ``agreement.md``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from bars import Bar
from numpy.typing import NDArray
from published import SAMPLES, Agreement, Published
from samcolloid_edge.engine.matching import F64
from samcolloid_edge.engine.table import Table

MEAN_BAR: Final = (0.96, 1.03)
SPREAD_BAR: Final = 0.02
COLUMN: Final = "equivalent_diameter_area"
"""Of pixels, as the published table has it."""
FINE: Final = "equivalent_diameter_area_subpixel"
NAMES: Final = ("sample", "role", "matched", "published, px", "ours / published", "sub-pixel / published", "untrimmed",
                "ours, px", "/ published")
"""Columns of ``rows``."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One image: the published rows, our lobes, and how they agree."""

    published: Published
    lobes: Table
    agreement: Agreement

    def matched(self, column: str) -> tuple[F64, F64]:
        """(P,) ours in a column of the lobe table, and (P,) published diameters, px."""
        theirs, ours = self.agreement.pairs.T
        return self.lobes[column][ours].astype(np.float64), self.published.diameters[theirs]

    @property
    def roles(self) -> NDArray[Any]:
        """(P,) published roles of the matched lobes."""
        return self.published.roles[self.agreement.pairs[:, 0]]

    def untrimmed(self, role: str) -> F64:
        """Diameters of all our lobes of a role in whole sets of the sample's kind, none of them at the edge, px."""
        lobes = self.lobes
        cut = np.unique(lobes["set"][lobes["touches_edge"]])
        kind = np.isin(lobes["set"], np.setdiff1d(self.agreement.ours, cut))
        single = SAMPLES[self.published.sample] == 1
        diameters: F64 = lobes[COLUMN][kind & (single | (lobes["lobe"] == role))].astype(np.float64)
        return diameters


def ratio(images: Sequence[Compared], column: str, role: str | None = None) -> tuple[float, float, int]:
    """Mean of ours in a column ÷ mean of the same rows published; that mean, px; and their number."""
    pairs = [(*image.matched(column), image.roles) for image in images]
    ours, theirs, roles = (np.concatenate(part) for part in zip(*pairs, strict=True))
    chosen = np.ones(len(roles), bool) if role is None else roles == role
    if not chosen.any():
        return float("nan"), float("nan"), 0
    return float(ours[chosen].mean() / theirs[chosen].mean()), float(theirs[chosen].mean()), int(chosen.sum())


def roles_of(images: Sequence[Compared]) -> list[str]:
    """The published roles of a sample, in the order of the alphabet."""
    return sorted({str(role) for image in images for role in image.published.roles})


def rows(samples: Mapping[str, Sequence[Compared]]) -> list[list[object]]:
    """A row for each sample and role: matched lobes, then all of ours without any trim."""
    found: list[list[object]] = []
    for sample, images in samples.items():
        for role in roles_of(images):
            plain, theirs, n = ratio(images, COLUMN, role)
            fine, _, _ = ratio(images, FINE, role)
            all_ours = np.concatenate([image.untrimmed(role) for image in images])
            all_theirs = np.concatenate([image.published.diameters[image.published.roles == role] for image in images])
            mean = float(all_ours.mean()) if len(all_ours) else float("nan")
            found.append([sample, role, n, theirs, plain, fine, len(all_ours), mean, mean / float(all_theirs.mean())])
    return found


def bars(samples: Mapping[str, Sequence[Compared]]) -> list[Bar]:
    """The mean of each sample and role, and how far samples are apart."""
    found, by_sample = [], []
    for sample, images in samples.items():
        for role in roles_of(images):
            value, theirs, n = ratio(images, COLUMN, role)
            name = f"{sample} {role}: mean diameter of matched lobes / published"
            found.append(Bar(name, value, *MEAN_BAR, detail=f"{n} lobes, {theirs:.2f} px"))
        by_sample.append(ratio(images, COLUMN)[0])
        found.append(Bar(f"{sample}: of all roles together", by_sample[-1], *MEAN_BAR))
    found.append(Bar("samples: largest less smallest of these", max(by_sample) - min(by_sample), most=SPREAD_BAR))
    return found
