"""The frozen records that flow through the engine; each checks its shapes once.

Coordinate rule: points and boxes are (x, y) in pixels of the file, boxes half-open and in edge coordinates;
shapes, centroids and bbox columns are (row, col), a pixel's centre being the integer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..models.card import ModelCard
from .edge_profile import EdgeFit
from .outline import Outlines
from .pixel_size import PixelSize
from .settings import Settings
from .table import Table

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]


class Role(IntEnum):
    """What a mask stands for, as the model's card says."""

    LOBE = 0
    PARTICLE = 1
    CLUSTER = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of the micrograph, half-open, in whole pixels of the file."""

    row0: int
    col0: int
    row1: int
    col1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in px."""
        return self.row1 - self.row0, self.col1 - self.col0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the area in an ``(H, W)`` array."""
        return slice(self.row0, self.row1), slice(self.col0, self.col1)


@dataclass(frozen=True, slots=True)
class Micrograph:
    """One image as the file has it, with its scale and the area that is analysed."""

    pixels: NDArray[Any]
    """(H, W), the file's own dtype and values; luminance where the file is in colour."""
    source: str
    """The path as given, or "array"."""
    sha256: str
    """Of the file's bytes (of dtype, shape and bytes for an array)."""
    pixel_size: float | None
    """nm per px; None where nothing tells it."""
    pixel_size_source: str
    """Where the pixel size comes from, in words; "none" where nothing tells it."""
    area: Area
    """The analysed area: the image without its data bar."""
    file_pixel_size: float | None = None
    """nm per px according to the file, also where the user overrides it."""
    pixel_size_uncertainty: float | None = None
    """nm per px, standard uncertainty of ``pixel_size``; None where nothing tells it."""
    pixel_sizes: tuple[PixelSize, ...] = ()
    """All that the file, its side files and its labelled scale bar state, the most trusted first."""
    scale_bar: float | None = None
    """Length of the burnt-in scale bar, px; None where none was found."""
    side_files: Mapping[str, str] = field(default_factory=dict)
    """Name and sha256 of the microscope's text files beside the image."""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2:
            raise ValueError(f"pixels must be (H, W), not {self.pixels.shape}")


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a tile lies in the micrograph, and its scale.

    Pixel centres are integers on both sides, so the middle of the first pixel maps as SAM maps it: by
    multiplication alone.
    """

    area: Area
    """The tile in px of the file."""
    model_shape: tuple[int, int]
    """(height, width) of the tile as the model sees it, px."""

    @property
    def scale(self) -> tuple[float, float]:
        """Model px per image px, (x, y)."""
        height, width = self.area.shape
        return self.model_shape[1] / width, self.model_shape[0] / height

    def to_model(self, points: NDArray[Any]) -> F32:
        """(N, 2) points, (x, y), image px → (N, 2) float32 in model px."""
        origin = np.array([self.area.col0, self.area.row0], np.float64)
        return np.asarray((points - origin) * np.array(self.scale), np.float32)

    def to_image(self, points: NDArray[Any]) -> F32:
        """(N, 2) points, (x, y), model px → (N, 2) float32 in image px."""
        origin = np.array([self.area.col0, self.area.row0], np.float64)
        return np.asarray(points / np.array(self.scale) + origin, np.float32)


@dataclass(frozen=True, slots=True)
class Embedding:
    """What the encoder made of one tile."""

    tensors: Mapping[str, NDArray[Any]]
    """The encoder's outputs by name, as the decoder takes them."""
    frame: Frame
    model: ModelCard


@dataclass(frozen=True, slots=True)
class _Columns:
    """Base of records whose fields are arrays of one length: indexing gives a record again."""

    def __post_init__(self) -> None:
        lengths = {f.name: len(getattr(self, f.name)) for f in fields(self)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{type(self).__name__}: columns differ in length: {lengths}")

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def __getitem__(self, keep: NDArray[Any] | slice) -> Self:
        return replace(self, **{f.name: getattr(self, f.name)[keep] for f in fields(self)})


@dataclass(frozen=True, slots=True)
class Candidates(_Columns):
    """Masks as the decoder gives them, at low resolution; N of them in one tile."""

    points: F32
    """(N, 2) the prompt, (x, y), model px."""
    logits: F32
    """(N, h, w) low-resolution logits; > 0 is inside."""
    origin: I32
    """(N, 2) (x, y) of each window in low-resolution cells; zeros where the model is not windowed."""
    iou: F32
    """(N,) predicted IoU, 0–1."""
    stability: F32
    """(N,) stability score, 0–1 (IoU of the mask at logit ± offset)."""
    role: U8
    """(N,) see Role."""


@dataclass(frozen=True, slots=True)
class Masks:
    """N masks as run lengths inside their boxes, image px. Lobe masks do not overlap; mask i is label i + 1."""

    shape: tuple[int, int]
    """(H, W) of the micrograph."""
    boxes: I32
    """(N, 4) x0, y0, x1, y1, half-open, tight."""
    runs: I32
    """Run lengths, row-major inside each box, first run outside the mask."""
    offsets: I64
    """(N + 1,) mask i has ``runs[offsets[i]:offsets[i + 1]]``."""
    iou: F32
    """(N,) predicted IoU, 0–1."""
    stability: F32
    """(N,) stability score, 0–1."""

    def __post_init__(self) -> None:
        n = len(self.boxes)
        if self.boxes.shape != (n, 4) or len(self.offsets) != n + 1 or self.offsets[-1] != len(self.runs):
            raise ValueError("Masks: boxes, offsets and runs do not belong together")
        if not len(self.iou) == len(self.stability) == n:
            raise ValueError("Masks: columns differ in length")

    def __len__(self) -> int:
        return len(self.boxes)

    def bitmap(self, i: int) -> Bool:
        """(height, width) bool mask ``i`` inside its box."""
        x0, y0, x1, y1 = self.boxes[i]
        runs = self.runs[self.offsets[i] : self.offsets[i + 1]]
        inside = (np.arange(len(runs)) % 2).astype(bool)
        return np.repeat(inside, runs).reshape(y1 - y0, x1 - x0)

    def labels(self) -> I32:
        """(H, W) int32 label image: 0 is background, mask i is i + 1."""
        labels = np.zeros(self.shape, np.int32)
        for i, (x0, y0, x1, y1) in enumerate(self.boxes):
            labels[y0:y1, x0:x1][self.bitmap(i)] = i + 1
        return labels


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter, as it was applied to one micrograph: what lies between ``low`` and ``high`` counts."""

    name: str
    """Of the setting that asks for it, and in the column ``excluded_by``."""
    quantity: str
    """What is compared: a column, or in words."""
    unit: str
    threshold: float | tuple[int, int, int, int]
    """The setting's value."""
    low: float | None = None
    """Least value that counts; None where there is no bound."""
    high: float | None = None
    """Greatest value that counts; None where there is no bound."""
    strict: bool = False
    """Whether ``low`` and ``high`` themselves are left out."""
    lobes_before: int = 0
    """Lobes that counted before it."""
    lobes_excluded: int = 0
    """Those of them that it left out."""


class Lobe(NamedTuple):
    """A lobe by what stays alike from analysis to analysis."""

    row: float
    """Of its centroid, px."""
    col: float
    """Of its centroid, px."""
    area: float
    """px²."""


Particle = tuple[Lobe, ...]
"""A particle by its lobes."""


@dataclass(frozen=True, slots=True)
class Result:
    """Everything one analysis found, and what it takes to do it again."""

    micrograph: Micrograph
    masks: Masks
    """One mask a lobe; mask i is row i of ``lobes`` and label i + 1."""
    outlines: Outlines
    """One closed polygon a lobe, in the same order."""
    lobes: Table
    sets: Table
    settings: Settings
    model: ModelCard | None
    """None where a method without a model found the lobes; ``settings`` say which, with its parameters."""
    filters: tuple[Filter, ...] = ()
    """In the order they were applied."""
    exclusions: tuple[Particle, ...] = ()
    """What the user wants excluded in this micrograph."""
    zoom: float = 1.0
    """Model px per px of the file."""
    zoom_source: str = ""
    """Why, in words."""
    grey_range: tuple[float, float] | None = None
    """The file's values that the model saw as 0 and 255; None where it saw the file's own 8 bit."""
    edge: EdgeFit | None = None
    """What moved the outlines by the grey profile across them; None where nothing did."""
    providers: tuple[str, ...] = ()
    """onnxruntime's execution providers, in use."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by step."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Prompts decoded, candidates kept and the like."""
    warnings: tuple[str, ...] = ()

    @property
    def found_by(self) -> str:
        """The model's digest, or the method that needs no model."""
        return self.model.digest if self.model else self.settings.method
