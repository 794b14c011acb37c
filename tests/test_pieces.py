"""Pieces of one lobe become one; lobes of one particle do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from samcolloid_edge import Segmenter, Settings, SettingsError
from samcolloid_edge.engine import evidence, partition, pieces
from samcolloid_edge.engine.crop import Found
from samcolloid_edge.engine.evidence import Contacts
from samcolloid_edge.engine.matching import mask_overlaps, match
from samcolloid_edge.engine.mosaic import disjoint
from samcolloid_edge.engine.synthetic import Rendered, Scene, render
from samcolloid_edge.engine.synthetic_kinds import kind
from samcolloid_edge.engine.types import Area, Role
from test_masks import patches

SHAPE = (40, 90)
BOXES = [(35, 10, 60, 25), (8, 10, 35, 25), (60, 10, 82, 25), (8, 28, 40, 38)]
"""A rod of three pieces, its middle the first, and a lobe below it."""


def rod() -> Found:
    lobes = patches(BOXES, lambda i, h, w: np.full((h, w), 4.0 - i / 2))
    particles = patches([(8, 10, 82, 25)] * 3 + [BOXES[3]], lambda i, h, w: np.full((h, w), 5.0))
    return Found(lobes, particles, np.arange(4), 4)


def told(monkeypatch: pytest.MonkeyPatch, pairs: list[tuple[int, int]]) -> None:
    """Let these lobes, by the order of their boxes' pixels in the label image, be pieces of one."""

    def odds(near: Contacts, _: object) -> NDArray[np.float64]:
        return np.array([9.0 if tuple(pair) in pairs else -9.0 for pair in near.pairs.tolist()])

    monkeypatch.setattr(pieces, "log_odds", odds)


def apart() -> tuple[NDArray[np.int32], Found]:
    parted = disjoint(rod(), Area(0, 0, *SHAPE), 0.5)
    return parted.labels, parted.found


def test_the_pieces_of_a_rod_are_one_and_what_lies_beside_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, found = apart()
    rods = sorted({int(labels[15, x]) - 1 for x in (20, 45, 70)})
    beside = int(labels[33, 20]) - 1
    told(monkeypatch, [(a, b) for a in rods for b in rods])
    after = pieces.joined(found, labels, np.zeros(SHAPE))
    assert len(after.lobes) == 2
    assert after.lobes.boxes.tolist() == [[8, 10, 82, 25], list(BOXES[3])][:: 1 if min(rods) < beside else -1]
    whole = int(np.flatnonzero(after.lobes.boxes[:, 1] == 10)[0])
    assert (after.lobes.patch(whole) > 0).all()
    assert after.lobes.iou[whole] == found.lobes.iou[min(rods)]
    assert sorted(after.lobe_of_particle.tolist()) == sorted([whole] * 3 + [1 - whole])
    monkeypatch.setattr(pieces, "log_odds", lambda near, _: np.full(len(near.pairs), -9.0))
    assert pieces.joined(found, labels, np.zeros(SHAPE)) is found


def test_a_gap_between_pieces_is_closed_but_no_other_lobe_loses_a_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [(10, 10, 30, 20), (32, 10, 50, 20), (30, 14, 32, 16)]
    lobes = patches(boxes, lambda i, h, w: np.full((h, w), 3.0))
    found = Found(lobes, lobes, np.arange(3), 3)
    labels = disjoint(found, Area(0, 0, *SHAPE), 0.5).labels
    left, right = sorted((int(labels[12, 15]) - 1, int(labels[12, 40]) - 1))
    told(monkeypatch, [(left, right)])
    result = disjoint(found, Area(0, 0, *SHAPE), 0.5, pixels=np.zeros(SHAPE))
    assert result.joined == 1 and len(result.found.lobes) == 2
    whole, other = result.labels[12, 15], result.labels[15, 31]
    assert (result.labels[14:16, 30:32] == other).all() and other not in (0, whole)
    assert (result.labels[10:14, 10:50] == whole).all() and (result.labels[16:20, 10:50] == whole).all()


def test_pieces_hang_together_through_others() -> None:
    pairs = np.array([[3, 4], [0, 3], [1, 2], [4, 6]])
    assert partition.connected(8, pairs).tolist() == [0, 1, 1, 0, 0, 5, 0, 7]
    assert partition.connected(2, np.empty((0, 2), np.int64)).tolist() == [0, 1]


def test_masks_without_roles_are_left_to_their_nesting(monkeypatch: pytest.MonkeyPatch) -> None:
    found = rod()
    found.lobes.role[:] = Role.UNKNOWN
    monkeypatch.setattr(pieces, "joined", lambda *_: pytest.fail("asked"))
    assert disjoint(found, Area(0, 0, *SHAPE), 0.5, pixels=np.zeros(SHAPE)).joined == 0


def test_what_is_common_in_a_tile_counts_and_a_few_pairs_say_little() -> None:
    assert evidence.common(np.array([])) == -1
    assert evidence.common(np.full(1000, 40.0)) == pytest.approx(1, abs=0.01)
    assert evidence.common(np.full(1000, -40.0)) == pytest.approx(-1, abs=0.01)
    assert evidence.common(np.full(2, 40.0)) < 0
    assert pieces.coefficients()["context"]["tile"] > 0 < pieces.coefficients()["context"]["pair"]


def f1(truth: Rendered, labels: NDArray[np.int32]) -> float:
    found = len(match(mask_overlaps(truth.lobes, labels), 0.7))
    return 2 * found / (truth.lobes.max() + labels.max())


def analysed(truth: Rendered, join: bool) -> tuple[NDArray[np.int32], int]:
    result = Segmenter(device="cpu").analyze(truth.image, settings=Settings(join_pieces=join))
    return result.masks.labels(), result.counts["joined"]


def test_rods_are_whole() -> None:
    truth = render(kind("rod", seed=79, shape=(384, 512)))
    (cut, none), (whole, n) = analysed(truth, False), analysed(truth, True)
    assert none == 0 and n > 20
    assert f1(truth, whole) > f1(truth, cut) + 0.2


@pytest.mark.parametrize("particle", ["dumbbell", "trimer"])
def test_lobes_of_particles_stay(particle: str) -> None:
    truth = render(Scene(seed=12, shape=(384, 512), particle=particle, radius_px=16.0, packing=0.5,
                         fusion=(0.7, 0.9), contrast_to_noise=8))  # fmt: skip
    (apart, _), (labels, joined) = analysed(truth, False), analysed(truth, True)
    assert apart.max() > 40 and joined <= 1
    assert f1(truth, labels) >= f1(truth, apart) - 0.01


def test_the_paper_s_preset_joins_nothing_and_a_file_says_so_in_one_word(tmp_path: Path) -> None:
    assert Settings().join_pieces and not Settings.preset("published").join_pieces
    (tmp_path / "s.toml").write_text(Settings(join_pieces=False).to_toml(), "utf-8")
    assert not Settings.from_toml(tmp_path / "s.toml").join_pieces
    with pytest.raises(SettingsError, match="join_pieces must be true or false, not 1"):
        Settings.from_mapping({"join_pieces": 1})


def test_the_evidence_is_asked_for_once_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    contacts = evidence.contacts
    monkeypatch.setattr(evidence, "contacts", lambda *given: asked.append(given) or contacts(*given))
    labels, found = apart()
    pieces.joined(found, labels, np.zeros(SHAPE))
    assert len(asked) == 1
    pieces.joined(found[np.array([0])], (labels == 1).astype(np.int32), np.zeros(SHAPE))
    assert len(asked) == 1
