"""Embedding + points → Candidates, many prompts a call.

The sizes here bound the masks that are handed on at once, and are large enough: more prompts a call are no quicker.
Where the memory for them is short, the session decodes fewer at a time (see ``session``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..models.contract import WINDOW
from . import masks
from .session import Session
from .types import F32, Bool, Candidates, Embedding, Role

BATCH_CELLS: Final = 131072
"""Mask cells asked for in one call, whatever the window."""
FULL_BATCH: Final = 16
"""Prompts in one call of a model without windows; the masks of one take 1 MB in SAM."""
WINDOW_STEP: Final = 16
"""Mask cells by which first windows differ: points are decoded together where theirs are the same."""
SCORED_BATCH: Final = 8192
"""Prompts in one call that asks for predicted IoU alone."""
NO_MASK: Final = 2.0
"""A gate that no predicted IoU reaches."""
ROLES: Final = {
    "lobe": Role.LOBE,
    "particle": Role.PARTICLE,
    "cluster": Role.CLUSTER,
    "subpart": Role.UNKNOWN,
    "part": Role.UNKNOWN,
    "whole": Role.UNKNOWN,
}
"""What a card's mask names are to the engine; others ("ignore") are never asked for."""


def channels(session: Session, role: Role) -> list[int]:
    """Which of the model's masks have a role. SAM's sizes have none, so they stand for lobes."""
    wanted = {role, Role.UNKNOWN} if role is Role.LOBE else {role}
    return [i for i, name in enumerate(session.card.masks) if ROLES.get(name) in wanted]


def decode(
    session: Session,
    embedding: Embedding,
    points: F32,
    role: Role,
    iou_threshold: float,
    stability_offset: float,
    expected: F32 | None = None,
) -> Iterator[Candidates]:
    """Masks of one role for (N, 2) points, (x, y), image px, batch by batch.

    Gives those of prompts whose predicted IoU reaches the threshold. Where a window cuts a mask, the prompt is
    asked again with a window twice as large, until the mask is whole or the window is the tile. ``expected`` (N,),
    image px, is how wide the window of each point is at first; without it the card's.
    """
    chosen = channels(session, role)
    waiting = _by_window(session, embedding, points, expected) if chosen else {}
    while waiting:
        window = min(waiting)
        prompts = np.concatenate(waiting.pop(window))
        size = max(1, BATCH_CELLS // window**2) if window else FULL_BATCH
        for start in range(0, len(prompts), size):
            batch = prompts[start : start + size]
            candidates, cut = _batch(session, embedding, batch, chosen, iou_threshold, stability_offset, window)
            if cut.any():
                # A prompt whose masks of several channels are cut is asked once.
                waiting.setdefault(2 * window, []).append(np.unique(candidates.points[cut], axis=0))
            if not cut.all():
                yield candidates[~cut]


def _by_window(session: Session, embedding: Embedding, points: F32, expected: F32 | None) -> dict[int, list[F32]]:
    """Points in model px by the side of their first window, mask cells; 0 where the model has no windows."""
    prompts, usual = embedding.frame.to_model(points), session.card.window or 0
    if usual == 0 or expected is None or len(points) == 0:
        return {usual: [prompts]}
    cells = expected * max(embedding.frame.scale) / session.card.mask_stride
    sides = np.maximum(1, np.ceil(cells / WINDOW_STEP)).astype(int) * WINDOW_STEP
    return {side: [prompts[sides == side]] for side in np.unique(sides).tolist()}


def scores(session: Session, embedding: Embedding, points: F32, role: Role) -> F32:
    """(N,) float32, the highest predicted IoU of one role at (N, 2) points, (x, y), image px; no mask is made."""
    chosen = channels(session, role)
    waiting = embedding.frame.to_model(points)
    parts = [np.empty(0, np.float32)]
    for start in range(0, len(waiting), SCORED_BATCH):
        inputs = _inputs(embedding, waiting[start : start + SCORED_BATCH], NO_MASK, session.card.window or 0)
        parts.append(session.decode(inputs)["iou_predictions"][:, chosen].max(1))
    return np.concatenate(parts)


def _inputs(embedding: Embedding, points: F32, iou_threshold: float, window: int) -> dict[str, NDArray[Any]]:
    """What the decoder takes for (N, 2) points, (x, y), model px."""
    # SAM pads prompts without a box by the point (0, 0) with label −1.
    coords = np.stack([points, np.zeros_like(points)], 1)
    labels = np.tile(np.array([1, -1], np.float32), (len(points), 1))
    inputs: dict[str, NDArray[Any]] = {
        **embedding.tensors,
        "point_coords": coords,
        "point_labels": labels,
        "iou_threshold": np.array(iou_threshold, np.float32),
    }
    return inputs | {WINDOW: np.array(window, np.int64)} if window else inputs


def _batch(session: Session, embedding: Embedding, points: F32, chosen: list[int], iou_threshold: float,
           stability_offset: float, window: int) -> tuple[Candidates, Bool]:  # fmt: skip
    """Candidates of one call, and which of them their window cuts."""
    found = session.decode(_inputs(embedding, points, iou_threshold, window))
    index = found["prompt_index"]
    iou = found["iou_predictions"][index][:, chosen]
    origin = found.get("mask_origin", np.zeros((len(index), 2), np.int64))
    prompt, channel = np.nonzero(iou >= iou_threshold)
    logits = found["low_res_masks"][prompt, np.array(chosen)[channel]]
    candidates = Candidates(
        points=points[index][prompt],
        logits=logits,
        origin=origin[prompt].astype(np.int32),
        iou=iou[prompt, channel],
        stability=masks.stability(logits, stability_offset),
        role=np.array([ROLES[session.card.masks[i]] for i in chosen], np.uint8)[channel],
    )
    if window == 0:
        return candidates, np.zeros(len(candidates), bool)
    height, width = (-(-side // session.card.mask_stride) for side in embedding.frame.model_shape)
    return candidates, masks.cut_by_window(candidates, (height, width))
