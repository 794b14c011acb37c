"""Tile → Embedding: once a tile, whatever is asked of it afterwards."""

from __future__ import annotations

from .preprocess import model_input
from .session import Session
from .types import U8, Embedding, Frame


def encode(session: Session, grey: U8, frame: Frame) -> Embedding:
    """Run the encoder on one tile of an (H, W) uint8 micrograph."""
    return Embedding(session.encode(model_input(grey, frame)), frame, session.card)
