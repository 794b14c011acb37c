"""ViT-B with random weights as a stand-in for SAM's own: the same work, and a gate that as many prompts pass.

Its masks are noise, and not stable: both programs do all their work up to there, and have none left.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from parity import random_checkpoint
from samcolloid_edge import Settings
from samcolloid_edge.engine import preprocess
from samcolloid_edge.engine.decode import scores
from samcolloid_edge.engine.encode import encode
from samcolloid_edge.engine.generate import points_of
from samcolloid_edge.engine.session import Session, open_model
from samcolloid_edge.engine.types import Area, Role
from samcolloid_edge.export.exporter import export
from samcolloid_edge.models.card import CARD, Precision

NAME: Final = "vit_b"


def exported(cache: Path, precision: Precision) -> tuple[Path, Path]:
    """The checkpoint and the folder of its export, made where ``cache`` does not hold them yet."""
    source, folder = cache / f"{NAME}.pth", cache / f"{NAME}-{precision}"
    cache.mkdir(parents=True, exist_ok=True)
    if not source.is_file():
        _random(cache / "part").replace(source)
    if not (folder / CARD).is_file():
        # The proof was given elsewhere (parity.py): a few prompts do.
        export(source, precision=precision, out=folder, points_per_side=2)
    return source, folder


def _random(path: Path) -> Path:
    """Random weights that predict an IoU of about one half."""
    state = torch.load(random_checkpoint(NAME, path), weights_only=True)
    state["mask_decoder.iou_prediction_head.layers.2.bias"] += 0.5
    torch.save(state, path)
    return path


def passing_share(model: Path | None, image: NDArray[np.uint8], settings: Settings, threads: int) -> float:
    """Share of all prompts, also of the crops, that reach the settings' predicted IoU with the model of ``model``."""
    found = _predicted_iou(open_model(model, "cpu", threads), image, settings)
    return float((found > settings.pred_iou_thresh).mean())


def gated(session: Session, image: NDArray[np.uint8], settings: Settings, share: float) -> Settings:
    """The settings with the predicted IoU that a share of all prompts reaches."""
    gate = float(np.quantile(_predicted_iou(session, image, settings), 1 - share))
    if not 0 < gate < 1:
        raise SystemExit(f"No predicted IoU between 0 and 1 lets {share:.1%} of the prompts pass: {gate:.3f} would.")
    return replace(settings, pred_iou_thresh=gate)


def _predicted_iou(session: Session, image: NDArray[np.uint8], settings: Settings) -> NDArray[np.float32]:
    """The best predicted IoU of each prompt, of the image and of its crops."""
    area, grey = Area(0, 0, *image.shape), preprocess.Grey(image)
    frames = preprocess.frames(area, session.card, preprocess.fit(area, session.card), settings)
    return np.concatenate([
        scores(session, encode(session, grey, frame), points_of(frame, layer, session, settings)[0], Role.LOBE)
        for frame, layer in frames
    ])  # fmt: skip
