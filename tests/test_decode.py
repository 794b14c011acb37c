"""Prompts in, candidates out: whole masks of one role, whatever window and batch they were decoded in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from handmade import CARD
from samcolloid_edge.engine import decode as module
from samcolloid_edge.engine.decode import channels, decode, scores
from samcolloid_edge.engine.types import Area, Embedding, Frame, Role

SIDE = 800
"""Of the micrograph, px; the model sees it as it is."""
WHOLE = SIDE // CARD.mask_stride


class Discs:
    """A session whose every prompt lies in the middle of a disc; predicted IoU falls from left to right."""

    def __init__(self, radius, card=CARD):
        """``radius`` in mask cells, of the lobes; particles are twice as large."""
        self.card, self.radius, self.asked = card, radius, []

    def decode(self, inputs):
        points = inputs["point_coords"][:, 0]
        window = min(int(inputs.get("window", WHOLE)), WHOLE)
        self.asked.append((len(points), int(inputs.get("window", 0)), float(inputs["iou_threshold"])))
        assert (inputs["point_coords"][:, 1] == 0).all()
        assert (inputs["point_labels"] == [1, -1]).all()
        iou = np.repeat(1 - points[:, :1] / SIDE, len(self.card.masks), 1) * np.float32([1, 0.9, 0.8])
        index = np.flatnonzero(iou.max(1) >= inputs["iou_threshold"])
        cells = points[index] / self.card.mask_stride
        origin = np.clip(np.floor(cells - window / 2 + 0.5), 0, WHOLE - window).astype(np.int64)
        rows, cols = np.mgrid[:window, :window] + 0.5
        x, y = (cells - origin).T[:, :, None, None]
        apart = np.hypot(cols - x, rows - y)[:, None]
        logits = np.array([1, 2, 2])[:, None, None] * self.radius - apart
        return {"iou_predictions": iou.astype(np.float32), "prompt_index": index,
                "low_res_masks": logits.astype(np.float32), "mask_origin": origin}  # fmt: skip


def embedding(card=CARD):
    return Embedding({}, Frame(Area(0, 0, SIDE, SIDE), (SIDE, SIDE)), card)


def grid(n):
    x = np.linspace(150, SIDE - 150, n)
    return np.stack(np.meshgrid(x, x), -1).reshape(-1, 2).astype(np.float32)


@pytest.mark.parametrize(("radius", "windows"), [(6, [32]), (20, [32, 64]), (45, [32, 64, 128])])
def test_a_mask_that_its_window_cuts_is_asked_for_again_in_a_larger_one(radius, windows):
    session, points = Discs(radius), grid(3)[4:5]
    (found,) = decode(session, embedding(), points, Role.LOBE, 0.1, 1.0)
    assert [window for _, window, _ in session.asked] == windows
    assert found.points.tolist() == points.tolist()
    assert (found.logits > 0).sum() == pytest.approx(np.pi * radius**2, rel=0.02)
    assert found.logits.shape[1:] == (windows[-1], windows[-1])


def test_the_first_window_fits_what_is_expected():
    session = Discs(20)
    wide = np.array([4 * 33, 4 * 50, 4 * 10, 4 * 33], np.float32)  # px; 4 to a cell
    found = list(decode(session, embedding(), grid(2), Role.LOBE, 0.1, 1.0, wide))
    assert [(n, window) for n, window, _ in session.asked] == [(1, 16), (1, 32), (2, 48), (2, 64)]
    assert sum(map(len, found)) == 4


def test_every_prompt_is_answered_once_however_many_calls_it_takes(monkeypatch):
    points = grid(9)
    whole = np.concatenate([c.points for c in decode(Discs(6), embedding(), points, Role.LOBE, 0.0, 1.0)])
    assert sorted(whole.tolist()) == sorted(points.tolist())
    monkeypatch.setattr(module, "BATCH_CELLS", 7 * 32 * 32)
    session = Discs(6)
    parts = list(decode(session, embedding(), points, Role.LOBE, 0.0, 1.0))
    assert max(n for n, *_ in session.asked) == 7
    assert np.concatenate([c.points for c in parts]).tolist() == whole.tolist()


def test_only_what_reaches_the_threshold_is_given():
    session, points = Discs(6), grid(9)
    found = list(decode(session, embedding(), points, Role.LOBE, 0.5, 1.0))
    iou = np.concatenate([c.iou for c in found])
    assert len(iou) == (1 - points[:, 0] / SIDE >= 0.5).sum()
    assert (iou >= 0.5).all()


def test_a_role_has_its_own_masks():
    (lobe,), (particle,) = (
        list(decode(Discs(7), embedding(), grid(1), role, 0.1, 1.0)) for role in (Role.LOBE, Role.PARTICLE)
    )
    assert set(lobe.role) == {Role.LOBE}
    assert set(particle.role) == {Role.PARTICLE}
    assert (particle.logits > 0).sum() == pytest.approx(4 * (lobe.logits > 0).sum(), rel=0.1)
    assert particle.iou == pytest.approx(0.9 * lobe.iou)


def test_where_no_mask_has_the_role_nothing_is_decoded():
    session = Discs(6, replace(CARD, masks=("ignore", "cluster", "cluster")))
    assert channels(session, Role.LOBE) == []
    assert list(decode(session, embedding(), grid(3), Role.LOBE, 0.1, 1.0)) == []
    assert session.asked == []


def test_the_sizes_of_sam_all_stand_for_lobes_and_cover_the_tile():
    card = replace(CARD, masks=("subpart", "part", "whole"), window=None)
    session = Discs(6, card)
    found = list(decode(session, embedding(card), grid(5), Role.LOBE, 0.1, 1.0))
    assert [n for n, *_ in session.asked] == [module.FULL_BATCH, 25 - module.FULL_BATCH]
    assert {window for _, window, _ in session.asked} == {0}
    assert sum(map(len, found)) == 3 * 25
    assert {c.logits.shape[1:] for c in found} == {(WHOLE, WHOLE)}
    assert {*np.concatenate([c.role for c in found])} == {Role.UNKNOWN}


def test_scores_make_no_masks(monkeypatch):
    monkeypatch.setattr(module, "SCORED_BATCH", 30)
    session, points = Discs(6), grid(9)
    assert scores(session, embedding(), points, Role.LOBE) == pytest.approx(1 - points[:, 0] / SIDE)
    assert [n for n, *_ in session.asked] == [30, 30, 21]
    assert all(gate > 1 for *_, gate in session.asked)
    assert len(scores(session, embedding(), points[:0], Role.LOBE)) == 0
