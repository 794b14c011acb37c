"""The card of a model: what its ONNX files are, take and mean. See the model contract in docs/models.md."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

from . import names
from .errors import ModelError

CARD: Final = "card.json"
STAMP: Final = "stamp.json"
"""In the store, beside the card: see ``stamps``."""
GRAPHS: Final = ("encoder.onnx", "decoder.onnx")
SCHEMA_VERSION: Final = 1
MASK_ROLES: Final = ("lobe", "particle", "cluster", "subpart", "part", "whole", "ignore")
Precision = Literal["fp32", "fp16", "int8"]
Resize = Literal["fit", "native"]

_LARGEST_CARD: Final = 4_000_000
_LARGEST_SIDE: Final = 1 << 15
_SHA256: Final = re.compile("[0-9a-f]{64}")


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
    """File name → sha256: ``encoder.onnx``, ``decoder.onnx`` and every file that these keep their weights in."""
    side: int
    """Longest side of an image the encoder takes, model px."""
    resize: Resize
    """``fit``: a tile is scaled until its long side is ``side`` (SAM). ``native``: it keeps its own size."""
    embedding_shape: tuple[int | None, ...]
    """Of ``image_embeddings``; None where it follows the image."""
    precision: Precision
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
    checkpoint_sha256: str = ""
    """Of the checkpoint file that was exported; empty where there was none."""
    outline: Mapping[str, Any] = field(default_factory=dict)
    """How far its outlines are moved, see ``engine.outline.offset``, and how that was found; empty: not at all."""
    edge_profile: Mapping[str, Any] = field(default_factory=dict)
    """The same after the grey profile across the edges has moved them, see ``engine.edge_profile``."""
    export: Mapping[str, Any] = field(default_factory=dict)
    """How it was exported: precision, layers kept in fp32, seconds, peak memory, versions."""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        for name, problem in _problems(self):
            raise ModelError(f"Card of {self.name!r}: {name} {problem}.")

    @property
    def digest(self) -> str:
        """First 16 hex digits of the sha256 over the files' own, and the outlines' calibrations; in results."""
        import hashlib

        lines = "".join(f"{name} {self.files[name]}\n" for name in sorted(self.files))
        for name, calibration in (("outline", self.outline), ("edge_profile", self.edge_profile)):
            if calibration:
                lines += f"{name} {[calibration[entry] for entry in ('radius', 'offset', 'slope', 'zooms')]}\n"
        return hashlib.sha256(lines.encode()).hexdigest()[:16]

    @classmethod
    def read(cls, path: Path) -> Self:
        """The card in a JSON file; ModelError where it is not one of ours."""
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise ModelError(f"{path}: a model card is a file of its own, no link; copy the card here.")
            if status.st_size > _LARGEST_CARD:
                raise ModelError(f"{path}: not a model card, it is larger than {_LARGEST_CARD / 1e6:g} MB.")
            text = path.read_text("utf-8")
        except OSError as error:
            raise ModelError(f"{path}: there is no readable model card ({error.strerror}).") from None
        except ValueError as error:
            raise ModelError(f"{path}: not a model card, it is no UTF-8 text ({error}).") from None
        try:
            values = json.loads(text)
            json.dumps(values, ensure_ascii=False).encode()  # an escaped half character could not be written again
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{path}: not a model card, it is no valid JSON ({error}).") from None
        version = values.get("schema_version") if isinstance(values, dict) else None
        if type(version) is not int or version != SCHEMA_VERSION:
            raise ModelError(f"{path}: card schema {version!r} is not known here; update samcolloid-edge.")
        for name in ("embedding_shape", "masks"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        try:
            return cls(**values)
        except TypeError as error:
            raise ModelError(f"{path}: the model card is incomplete or has unknown entries ({error}).") from None
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None

    def to_json(self) -> str:
        """Readable JSON, as ``read`` takes it."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


def _problems(card: ModelCard) -> list[tuple[str, str]]:
    """Entries of a card that cannot be, with what is wrong about them; the type of every entry is looked at."""
    found = [
        (name, f"{getattr(card, name)!r} is not one printable line")
        for name in ("name", "family", "licence", "source", "checkpoint_sha256")
        if not (isinstance(getattr(card, name), str) and getattr(card, name).isprintable())
    ]
    found += [
        (name, f"{getattr(card, name)!r} is no mapping")
        for name in ("files", "parity", "evaluation", "outline", "edge_profile", "export")
        if not isinstance(getattr(card, name), Mapping)
    ]
    if found:
        return found
    if not names.is_plain(card.name):
        found.append(("name", f"{card.name!r} is not plain ({names.RULE})"))
    found += _files(card.files)
    found += _calibration("outline", card.outline) + _calibration("edge_profile", card.edge_profile)
    for name, choices in (("resize", get_args(Resize)), ("precision", get_args(Precision))):
        if getattr(card, name) not in choices:
            found.append((name, f"{getattr(card, name)!r} is not one of {', '.join(choices)}"))
    for name in ("side", "mask_stride", "window"):
        value = getattr(card, name)
        if not (_is_count(value) or (name == "window" and value is None)):
            found.append((name, f"{value!r} is no whole number from 1 to {_LARGEST_SIDE}"))
    if not _is_length(card.smallest_radius):
        found.append(("smallest_radius", f"{card.smallest_radius!r} is no length above 0"))
    elif card.largest_radius is not None and not (
        _is_length(card.largest_radius) and card.largest_radius >= card.smallest_radius
    ):
        found.append(("largest_radius", f"{card.largest_radius!r} is no length from smallest_radius on"))
    shape = card.embedding_shape
    if not (isinstance(shape, tuple) and len(shape) == 4 and all(n is None or _is_count(n) for n in shape)):
        found.append(("embedding_shape", f"{shape!r} is not four whole numbers or null"))
    if not (isinstance(card.masks, tuple) and card.masks):
        found.append(("masks", f"{card.masks!r} names no mask"))
    else:
        roles = ", ".join(MASK_ROLES)
        found += [("mask role", f"{role!r} is not one of {roles}") for role in card.masks if role not in MASK_ROLES]
    if card.checkpoint_sha256 and not _SHA256.fullmatch(card.checkpoint_sha256):
        found.append(("checkpoint_sha256", f"{card.checkpoint_sha256!r} is no sha256"))
    return found


def _files(files: Mapping[str, str]) -> list[tuple[str, str]]:
    found = [("files", f"has no sha256 for {name}") for name in GRAPHS if name not in files]
    found += [
        ("files", f"names {name!r}, which is not a plain file name")
        for name in files
        if not (isinstance(name, str) and names.is_plain(name)) or name.lower() in (CARD, STAMP)
    ]
    if len({str(name).lower() for name in files}) < len(files):
        found.append(("files", "has two names that differ in upper and lower case alone"))
    return found + [
        ("files", f"has no sha256 for {name}")
        for name, value in files.items()
        if not (isinstance(value, str) and _SHA256.fullmatch(value))
    ]


def _calibration(name: str, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not given:
        return []
    radius, offset = given.get("radius"), given.get("offset")
    if not (isinstance(radius, list) and isinstance(offset, list) and len(radius) == len(offset) > 0):
        return [(name, "does not list a radius and an offset each, of one number")]
    rising = all(_is_length(r) for r in radius) and all(a < b for a, b in pairwise(radius))
    if not rising or not all(isinstance(o, float) and math.isfinite(o) for o in offset):
        return [(name, "has radii that do not rise, or offsets that are no numbers")]
    slope, zooms = given.get("slope"), given.get("zooms")
    if not (isinstance(slope, float) and math.isfinite(slope) and isinstance(zooms, list) and len(zooms) == 2
            and all(_is_length(z) for z in zooms) and zooms[0] <= zooms[1]):  # fmt: skip
        return [(name, "does not tell the slope over the zoom, and from which to which zoom it holds")]
    return []


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value <= _LARGEST_SIDE


def _is_length(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
