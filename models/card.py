"""The card of a model: what its two ONNX files are, take and mean. See the model contract in docs/models.md."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self

from .errors import ModelError

SCHEMA_VERSION: Final = 1
MASK_ROLES: Final = ("lobe", "particle", "cluster", "subpart", "part", "whole", "ignore")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model; written by the export or training step, checked by the engine before every use."""

    name: str
    family: str
    """Architecture, e.g. ``colloid-tiny``, ``sam_vit_b``."""
    licence: str
    source: str
    """Where the weights come from: checkpoint name and sha256, or how they were trained."""
    files: Mapping[str, str]
    """File name → sha256, ``encoder.onnx`` and ``decoder.onnx`` at least."""
    side: int
    """Longest side of an image the encoder takes, model px."""
    resize: Literal["fit", "native"]
    """``fit``: a tile is scaled until its long side is ``side`` (SAM). ``native``: it keeps its own size."""
    embedding_shape: tuple[int | None, ...]
    """Of ``image_embeddings``; None where it follows the image."""
    precision: Literal["fp32", "fp16", "int8"]
    masks: tuple[str, ...]
    """What each of the M masks of a prompt means, see ``MASK_ROLES``."""
    mask_stride: int
    """Model px per low-resolution mask cell."""
    window: int | None
    """Side of the window a prompt is decoded in at first, cells (doubled where a mask touches its edge);
    None where masks cover the whole tile."""
    smallest_radius: float
    """Smallest lobe radius that the model resolves, model px."""
    largest_radius: float | None = None
    """Largest lobe radius it was trained for, model px; None where unknown."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    """What the export proved: torch against onnxruntime."""
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the model itself, with the command that takes them."""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        unknown = [m for m in self.masks if m not in MASK_ROLES]
        if unknown:
            raise ModelError(f"Card of {self.name}: mask role {unknown[0]!r} is not one of {', '.join(MASK_ROLES)}.")
        missing = {"encoder.onnx", "decoder.onnx"} - set(self.files)
        if missing:
            raise ModelError(f"Card of {self.name}: no sha256 for {sorted(missing)[0]}.")
        escaping = [f for f in self.files if Path(f).name != f or f in (".", "..")]
        if escaping:
            raise ModelError(f"Card of {self.name}: {escaping[0]!r} is not a plain file name.")

    @property
    def digest(self) -> str:
        """First 16 hex digits of the sha256 over the files' own: names the weights in results."""
        import hashlib

        lines = "".join(f"{name} {self.files[name]}\n" for name in sorted(self.files))
        return hashlib.sha256(lines.encode()).hexdigest()[:16]

    @classmethod
    def read(cls, path: Path) -> Self:
        """The card in a JSON file; ModelError where it is not one of ours."""
        try:
            values = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ModelError(f"{path}: there is no readable model card ({error.strerror}).") from None
        except ValueError as error:
            raise ModelError(f"{path}: not a model card, it is no valid JSON ({error}).") from None
        if not isinstance(values, dict) or values.get("schema_version") != SCHEMA_VERSION:
            version = values.get("schema_version") if isinstance(values, dict) else None
            raise ModelError(f"{path}: card schema {version!r} is not known here; update samcolloid-edge.")
        try:
            for name in ("embedding_shape", "masks"):
                values[name] = tuple(values[name])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise ModelError(f"{path}: the model card is incomplete or has unknown entries ({error}).") from None

    def to_json(self) -> str:
        """Readable JSON, as ``read`` takes it."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"
