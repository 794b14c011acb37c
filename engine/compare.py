"""Two sides that speak of the same micrographs: which lobes and sets they share, and how their diameters agree.

The first side is what is judged, the second what it is held against: found, missed and extra are counted so, and
differences are first − second. Either may be an analysis, a truth or a table (see findings).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from ..models.errors import ImageError
from .bland_altman import Agreement, Resampled
from .compare_table import FOUND, mark_same_lobes, rows, table
from .findings import Findings, Source
from .matching import Overlaps, Score, box_overlaps, mask_overlaps, match, same_sets
from .table import Table
from .types import I64, Bool

By = Literal["auto", "mask", "box"]

IOUS: Final = (0.5, 0.7)
"""IoU from which two lobes, and two sets, are held to be the same; the least one decides which are compared."""
SCALE_AGREES: Final = 1e-3
"""Relative difference up to which two pixel sizes of one micrograph are the same."""
ROLES: Final = ("sphere", "large", "small", "a", "b", "c")
KINDS: Final = ("sphere", "dumbbell", "trimer", "chain")


@dataclass(frozen=True, slots=True)
class Pairing:
    """The micrographs that both sides speak of, and what is to be said about it."""

    pairs: list[tuple[Source, Source]]
    notes: list[str]
    only_first: list[str]
    only_second: list[str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two sides have in common over all their micrographs."""

    table: Table
    """See ``compare_table.COLUMNS``."""
    unit: Literal["nm", "px"]
    """Of the diameters compared."""
    by: Literal["mask", "box"]
    """What the IoU is of."""
    lobes: dict[float, Score]
    """IoU → counts."""
    sets: dict[float, Score]
    """The same of sets; empty where a side has none."""
    same_sets: Score
    """Sets of the same lobes: every lobe matched at the least IoU, and none missing."""
    same_roles: tuple[int, int]
    """Of the matched lobes that have a role on both sides: with the same role, and all."""
    agreements: dict[str, Agreement]
    """Of diameters: of all lobes, by role (the second side's where it has one), of matched sets, and by kind."""
    notes: list[str]


def pair(first: Sequence[Source], second: Sequence[Source]) -> Pairing:
    """Micrographs paired by the sha256 of their bytes, else by name where one side does not know it.

    Names are the same where their letters and digits are. Raises ImageError where no micrograph is on both sides.
    """
    by_hash = {source.sha256: source for source in second if source.sha256}
    by_name = {_plain(source.image): source for source in second}
    pairs: dict[int, tuple[Source, Source]] = {}
    named, differ = 0, []
    for source in first:
        partner = by_hash.get(source.sha256)
        if partner is None and (partner := by_name.get(_plain(source.image))) is not None:
            if source.sha256 and partner.sha256:
                differ.append(source.image)
                continue
            named += 1
        if partner is not None:
            pairs.setdefault(id(partner), (source, partner))
    if not pairs and differ:
        raise ImageError(f"The two sides share names ({_list(differ)}) but not files: the bytes of the micrographs "
                         "differ; compare results of the same files.")
    if not pairs:
        raise ImageError(f"The two sides have no micrograph in common: the first has {_list([s.image for s in first])};"
                         f" the second has {_list([s.image for s in second])}.")
    notes = []
    if named:
        notes.append(f"{named} of {len(pairs)} micrographs are paired by name, as one side does not know their bytes.")
    if differ:
        notes.append(f"Not compared, as the files of that name differ: {_list(differ)}.")
    used = {id(source) for two in pairs.values() for source in two}
    only = ([s.image for s in side if id(s) not in used] for side in (first, second))
    return Pairing(list(pairs.values()), notes, *only)


def compare(pairs: Sequence[tuple[Source, Source]], ious: Sequence[float] = IOUS, by: By = "auto") -> Comparison:
    """Match the lobes and the sets of every pair of micrographs, and compare their diameters.

    ``by`` mask compares pixels and needs label images on both sides; box compares bounding boxes; auto takes masks
    where all have them. Diameters are those of the circle of the same area, in nm where both sides know the scale of
    every micrograph, each by its own; lobes and sets that the border cuts are matched, but left out of them.
    Raises ImageError where a pair is not of one micrograph, or where there are no masks to compare.
    """
    levels = sorted(ious)
    loaded = [(one.load(), other.load()) for one, other in pairs]
    has_masks = all(found.labels is not None for two in loaded for found in two)
    if by == "mask" and not has_masks:
        raise ImageError("Masks cannot be compared, as one side has no label images; compare boxes.")
    by_mask = has_masks and by != "box"
    grouped = [any((found.sets > 0).any() for found in side) for side in zip(*loaded, strict=True)]
    lobes, sets, same_score = dict.fromkeys(levels, Score()), dict.fromkeys(levels, Score()), Score()
    parts = []
    for (one, other), (a, b) in zip(pairs, loaded, strict=True):
        scales = None if one.pixel_size is None or other.pixel_size is None else (one.pixel_size, other.pixel_size)
        overlaps = _overlaps(one, other, a, b, by_mask)
        matched = match(overlaps, levels[0])
        lobes = {level: lobes[level] + _score(match(overlaps, level), a, b) for level in levels}
        parts.append(rows(one.image, "lobe", matched, overlaps, a, b, scales))
        if all(grouped):
            same = same_sets(matched[:, ::-1], b.sets, a.sets, b.ignored)
            a, b = a.of_sets(), b.of_sets()
            overlaps = _overlaps(one, other, a, b, by_mask)
            sets = {level: sets[level] + _score(match(overlaps, level), a, b) for level in levels}
            same_score += _score_of_sets(same, a, b)
            found = rows(one.image, "set", match(overlaps, levels[0]), overlaps, a, b, scales)
            parts.append(mark_same_lobes(found, same))
    whole = table(parts)
    unit: Literal["nm", "px"] = "nm" if "difference_nm" in whole else "px"
    both = (whole["what"] == "lobe") & (whole["status"] == FOUND) & (whole["role_a"] != "") & (whole["role_b"] != "")
    return Comparison(
        table=whole,
        unit=unit,
        by="mask" if by_mask else "box",
        lobes=lobes,
        sets=sets if all(grouped) else {},
        same_sets=same_score,
        same_roles=(int((whole["role_a"] == whole["role_b"])[both].sum()), int(both.sum())),
        agreements=_agreements(whole, unit),
        notes=[*_on_scale(pairs), *_on_sets(grouped)],
    )


def _overlaps(one: Source, other: Source, a: Findings, b: Findings, by_mask: bool) -> Overlaps:
    if a.labels is not None and b.labels is not None:
        if a.labels.shape != b.labels.shape:
            sizes = " and ".join(f"{labels.shape[1]} × {labels.shape[0]}" for labels in (a.labels, b.labels))
            raise ImageError(f"{one.path} and {other.path}: not of one micrograph, as their label images have "
                             f"{sizes} px.")
        if by_mask:
            return mask_overlaps(a.labels, b.labels)
    return box_overlaps(a.boxes, b.boxes)


def _score(matched: I64, a: Findings, b: Findings) -> Score:
    """Counts without what need not be found, and what is matched to it."""
    found = int((~a.ignored[matched[:, 0]] & ~b.ignored[matched[:, 1]]).sum())
    missed, extra = (int(np.delete(~side.ignored, matched[:, k]).sum()) for k, side in ((1, b), (0, a)))
    return Score(found, found + missed, found + extra)


def _score_of_sets(same: I64, a: Findings, b: Findings) -> Score:
    """Of (S, 2) numbers (second's set, first's set) of the same lobes; one with a hidden lobe counts where wrong."""
    found = int((~np.isin(same[:, 0], b.numbers[b.ignored])).sum())
    wrong = int((~a.ignored & ~np.isin(a.numbers, same[:, 1])).sum())
    return Score(found, int((~b.ignored).sum()), found + wrong)


def _agreements(whole: Table, unit: str) -> dict[str, Agreement]:
    """Of every group that holds a difference; lobes of one set, and the set, are not independent of each other."""
    suffix = "_nm" if unit == "nm" else ""
    first, second = whole[f"diameter_a{suffix}"], whole[f"diameter_b{suffix}"]
    number = np.where(whole["set_b"] > 0, whole["set_b"], -np.arange(whole.n_rows))
    resampled = Resampled(whole["image"].tolist(), number.tolist())
    groups = dict(_groups(whole))
    return {
        name: resampled.agreement(first, second, group & whole["compared"])
        for name, group in groups.items()
        if (group & whole["compared"]).any()
    }


def _groups(whole: Table) -> Iterator[tuple[str, Bool]]:
    role = np.where(whole["role_b"] == "", whole["role_a"], whole["role_b"])
    lobe, of_set = whole["what"] == "lobe", whole["what"] == "set"
    yield "lobes", lobe
    yield from ((f"lobes {name}", lobe & (role == name)) for name in ROLES)
    yield "sets", of_set
    yield from ((f"sets {name}", of_set & (role == name)) for name in KINDS)
    yield "sets of the same lobes", of_set & whole["same_lobes"]


def _on_scale(pairs: Sequence[tuple[Source, Source]]) -> Iterator[str]:
    """What is to be said about pixel sizes."""
    for k, side in enumerate(("first", "second")):
        unknown = [two[k].image for two in pairs if two[k].pixel_size is None]
        if unknown:
            yield f"Diameters are compared in px: the {side} side does not know the scale of {_list(unknown)}."
    known = [(one, one.pixel_size, other.pixel_size) for one, other in pairs if one.pixel_size and other.pixel_size]
    off = [(one.image, a / b - 1) for one, a, b in known if abs(a / b - 1) > SCALE_AGREES]
    if off:
        largest = max((share for _, share in off), key=abs)
        yield (f"The sides have different pixel sizes for {_list([image for image, _ in off])}, up to "
               f"{100 * largest:+.2g} %: that is part of the bias in nm.")


def _on_sets(grouped: Sequence[bool]) -> Iterator[str]:
    without = [side for side, has in zip(("first", "second"), grouped, strict=True) if not has]
    if without:
        yield f"Sets are not compared: the {' and the '.join(without)} side has none."


def _plain(name: str) -> str:
    """A name's letters and digits: ``GM 124_00`` is ``GM_124_00``."""
    return re.sub(r"[\W_]+", " ", name).strip().casefold()


def _list(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
