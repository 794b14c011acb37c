"""Results made by hand: discs where the test puts them, measured as the engine measures them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from samcolloid_edge.engine import filters, masks, measure, outline, set_table
from samcolloid_edge.engine.settings import Settings
from samcolloid_edge.engine.types import I32, Area, Micrograph, Result
from samcolloid_edge.models.card import ModelCard
from samcolloid_edge.models.errors import ImageError

CARD = ModelCard(
    name="by-hand",
    family="by-hand",
    licence="Apache-2.0",
    source="made for a test",
    files={"encoder.onnx": "0" * 64, "decoder.onnx": "1" * 64},
    side=1024,
    resize="native",
    embedding_shape=(1, 8, None, None),
    precision="fp32",
    masks=("lobe", "particle", "cluster"),
    mask_stride=4,
    window=32,
    smallest_radius=8.0,
)
TRIMER_AND_DUMBBELL = [(30, 20, 12, 0), (30, 40, 10, 0), (36, 58, 11, 0), (80, 60, 14, 1), (80, 84, 9, 1)]
"""(row, column, radius, set) of each lobe."""


def discs(shape: tuple[int, int], lobes: list[tuple[int, int, int, int]]) -> tuple[I32, I32]:
    """The label image of discs, later ones below earlier ones, and the set index of each."""
    labels = np.zeros(shape, np.int32)
    rows, cols = np.indices(shape)
    for label, (row, col, radius, _) in enumerate(lobes, start=1):
        labels[((rows - row) ** 2 + (cols - col) ** 2 <= radius**2) & (labels == 0)] = label
    return labels, np.array([s for *_, s in lobes], np.int32)


def result_of(
    labels: I32,
    set_index: I32,
    *,
    pixels: NDArray[Any] | None = None,
    pixel_size: float | None = 2.0,
    pixel_size_uncertainty: float | None = None,
    bar: int = 0,
    settings: Settings | None = None,
    source: str = "array",
    sha256: str = "",
) -> Result:
    """A result with the given lobes; ``bar`` rows at the bottom are a data bar."""
    if pixels is None:
        pixels = np.where(labels > 0, 180, 60).astype(np.uint8)
    area = Area(0, 0, labels.shape[0] - bar, labels.shape[1])
    micrograph = Micrograph(
        pixels, source, sha256, pixel_size, "a test", area, pixel_size_uncertainty=pixel_size_uncertainty
    )
    scores = np.full(len(set_index), 0.9, np.float32)
    found = masks.from_labels(labels, scores, scores)
    lobes = measure.measure(labels, micrograph, scores, scores)
    settings = settings or Settings()
    excluded, applied = filters.before_grouping(lobes, found, micrograph, settings)
    set_index = _without_gaps(np.where(excluded == "", set_index, -1))
    centroids = np.column_stack((lobes["centroid-0"], lobes["centroid-1"]))
    roles = set_table.roles(set_index, centroids, lobes["area"])
    sets = set_table.sets(lobes, set_index, roles, pixel_size)
    lobes = set_table.with_sets(lobes, set_index, roles)
    lobes, sets, applied = filters.after_grouping(lobes, sets, area, excluded, settings, applied)
    return Result(
        micrograph, found, outline.of_labels(labels), lobes, sets, settings, CARD, filters=applied,
        providers=("CPUExecutionProvider",), timings={"encode": 0.5, "decode": 0.25}, counts={"prompts": 64},
    )


def _without_gaps(set_index: NDArray[Any]) -> I32:
    """Sets 0 to S − 1 where some are gone; −1 stays."""
    numbers = np.unique(set_index[set_index >= 0])
    return np.where(set_index >= 0, np.searchsorted(numbers, set_index), -1).astype(np.int32)


def small_result(**how: Any) -> Result:
    """A trimer and a dumbbell in an image of 120 × 110 px."""
    return result_of(*discs((120, 110), TRIMER_AND_DUMBBELL), **how)


class HandmadeSegmenter:
    """Stands in for ``Segmenter``: finds a trimer and a dumbbell in every file that is there."""

    calls: list[Path]

    def __init__(self, model: Any = None, *, device: str = "auto", threads: int | None = None) -> None:
        self.card, self.providers, self.notes = CARD, ("CPUExecutionProvider",), ()
        self.calls = []

    def analyze(
        self, source: Path, *, settings: Settings, progress: Callable[[str, float], None] | None = None
    ) -> Result:
        self.calls.append(source)
        if not source.exists():
            raise ImageError(f"{source}: there is no such file.")
        data = source.read_bytes()
        if data == b"bug":
            raise ZeroDivisionError("by hand")
        if data == b"ctrl-c":
            raise KeyboardInterrupt
        if progress is not None:
            progress("encode", 0.5)
        scale = {"pixel_size": settings.pixel_size or 2.0, "pixel_size_uncertainty": settings.pixel_size_uncertainty}
        sha256 = hashlib.sha256(data).hexdigest()
        return small_result(settings=settings, source=str(source), sha256=sha256, **scale)
