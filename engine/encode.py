"""Tile → Embedding: once a tile, whatever is asked of it afterwards."""

from __future__ import annotations

from .preprocess import Grey, model_input
from .session import Session
from .types import Embedding, Frame


def encode(session: Session, grey: Grey, frame: Frame) -> Embedding:
    """Run the encoder on one tile of a micrograph."""
    return Embedding(session.encode(model_input(grey, frame)), frame, session.card)
