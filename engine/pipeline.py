"""From a micrograph to measured, grouped lobes: one line a step, as a methods section would tell it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..models.card import ModelCard
from . import group, masks, measure, preprocess, select, set_table
from .read import read
from .segment import Found, segment_tile
from .session import Device, Session, open_model
from .settings import LOBES_OF, Settings
from .types import F32, I32, Masks, Micrograph, Patches, Result, Table

Progress = Callable[[str, float], None]
"""Called with the step at work and the share of the micrograph that is done, 0–1."""


@dataclass
class _Log:
    """Seconds by step and counts, as they add up during one analysis."""

    progress: Progress | None
    timings: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, done: float) -> Iterator[None]:
        if self.progress is not None:
            self.progress(name, done)
        start = time.perf_counter()
        yield
        self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - start


class Segmenter:
    """A model, ready to analyse micrographs; loaded at first use, then kept. Safe to share between threads."""

    def __init__(
        self, model: str | os.PathLike[str] | None = None, *, device: Device = "auto", threads: int | None = None
    ) -> None:
        self._model, self._device, self._threads = model, device, threads
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The loaded model. Raises ModelError where it is missing, altered or not of the contract."""
        if self._session is None:
            self._session = open_model(self._model, self._device, self._threads)
        return self._session

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.session.card

    @property
    def providers(self) -> tuple[str, ...]:
        """onnxruntime's execution providers in use."""
        return self.session.providers

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about how the model runs, e.g. that CUDA was asked for and is not there."""
        return self.session.notes

    def analyze(
        self,
        source: str | os.PathLike[str] | NDArray[Any] | Micrograph,
        pixel_size: float | None = None,
        *,
        settings: Settings | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Find, group and measure all lobes of one micrograph.

        ``source`` is a path, an (H, W) or (H, W, 3 or 4) array, or a Micrograph; ``pixel_size`` in nm per px
        overrides what the file says. Finding nothing is a result; ImageError, ModelError and SettingsError say
        what is wrong in one sentence.
        """
        settings = settings or Settings()
        if pixel_size is not None:
            settings = replace(settings, pixel_size=pixel_size)
        log = _Log(progress)
        with log.step("read", 0.0):
            micrograph = source if isinstance(source, Micrograph) else read(source, settings.pixel_size)
            grey, grey_range = preprocess.to_grey8(micrograph)
        with log.step("model", 0.02):
            session = self.session
            frames = preprocess.tiles(micrograph.area, session.card, settings)
        with log.step("segment", 0.05):
            found = []
            for i, (frame, layer) in enumerate(frames):
                found.append(segment_tile(session, grey, micrograph.area, frame, layer, settings, log.timings))
                if progress is not None:
                    progress("segment", 0.05 + 0.75 * (i + 1) / len(frames))
            merged = _merge(found, settings)
        with log.step("masks", 0.8):
            order = np.argsort(-merged.lobes.iou, kind="stable")
            resolved = masks.resolve(merged.lobes, order, micrograph.pixels.shape, settings.max_overlap)
            lobe_masks = masks.from_labels(
                resolved.labels, merged.lobes.iou[resolved.kept], merged.lobes.stability[resolved.kept]
            )
        with log.step("measure", 0.9):
            lobes = measure.measure(resolved.labels, micrograph, lobe_masks.iou, lobe_masks.stability)
        with log.step("group", 0.95):
            particles, of_lobe = merged.particles_of(resolved.kept)
            set_index = _group(lobes, resolved.labels, particles, of_lobe, settings)
            centroids = np.stack([lobes["centroid-0"], lobes["centroid-1"]], 1)
            roles = set_table.roles(set_index, centroids, lobes["area"])
            sets = set_table.sets(lobes, set_index, roles, micrograph.pixel_size)
            lobes = set_table.with_sets(lobes, set_index, roles)
        log.counts |= {
            "tiles": len(frames),
            "prompts": sum(f.prompts for f in found),
            "candidates": sum(len(f.lobes) for f in found),
            "lobes": lobes.n_rows,
            "sets": sets.n_rows,
            "pixels_cut_from_lobes": resolved.cut,
        }
        if progress is not None:
            progress("done", 1.0)
        return Result(
            micrograph=micrograph,
            masks=lobe_masks,
            lobes=lobes,
            sets=sets,
            settings=settings,
            model=session.card,
            grey_range=grey_range,
            providers=session.providers,
            timings=log.timings,
            counts=log.counts,
            warnings=(*micrograph.warnings, *session.notes, *_remarks(micrograph, lobe_masks, session.card, settings)),
        )


def analyze(
    source: str | os.PathLike[str] | NDArray[Any],
    pixel_size: float | None = None,
    *,
    settings: Settings | None = None,
    model: str | os.PathLike[str] | None = None,
    device: Device = "auto",
    threads: int | None = None,
) -> Result:
    """Analyse one micrograph; see ``Segmenter.analyze``. For many, make one Segmenter and keep it."""
    return Segmenter(model, device=device, threads=threads).analyze(source, pixel_size, settings=settings)


def _merge(found: list[Found], settings: Settings) -> Found:
    """All tiles in one; of lobes found in several the one from the deepest crop is kept, then the best."""
    lobes = masks.concatenate([f.lobes for f in found])
    particles = masks.concatenate([f.particles for f in found])
    starts = np.cumsum([0] + [len(f.lobes) for f in found])
    of_lobe = np.concatenate([f.lobe_of_particle + start for f, start in zip(found, starts, strict=False)])
    merged = Found(lobes, particles, of_lobe.astype(np.int64), sum(f.prompts for f in found))
    if len(found) == 1:
        return merged
    layer = np.repeat([f.layer for f in found], [len(f.lobes) for f in found])
    kept = select.nms(lobes.boxes, (layer + lobes.iou).astype(np.float32), settings.crop_nms_thresh)
    particles, of_lobe = merged.particles_of(kept)
    return Found(masks.take(lobes, kept), particles, of_lobe, merged.prompts)


def _group(lobes: Table, labels: I32, particles: Patches, of_lobe: NDArray[np.int64], settings: Settings) -> I32:
    """(N,) set index of every lobe; −1 where it is in none."""
    if settings.grouping == "published":
        centroids = np.stack([lobes["centroid-0"], lobes["centroid-1"]], 1)
        return group.group_published(centroids, lobes["axis_major_length"], settings.particle)
    pairs, weight = group.affinity(labels, particles, of_lobe)
    return group.group_by_model(lobes.n_rows, pairs, weight, LOBES_OF[settings.particle])


def _remarks(micrograph: Micrograph, found: Masks, card: ModelCard, settings: Settings) -> Iterator[str]:
    """What a careful colleague would say about a result, one sentence each."""
    if len(found) == 0:
        yield "No particle was found."
    if micrograph.pixel_size is None:
        yield "The pixel size is unknown, so all lengths are in px; give it with --pixel-size (nm per px)."
    if settings.min_radius is not None and settings.min_radius < card.smallest_radius:
        yield (
            f"Lobes of {settings.min_radius:g} px radius are sought, but the model resolves none below "
            f"{card.smallest_radius:g} px."
        )
    largest: F32 | float = card.largest_radius or np.inf
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    n_large = int((sides.max(1, initial=0) > 2 * largest).sum()) if len(found) else 0
    if n_large:
        yield f"{n_large} lobes are larger than the model was trained for ({largest:g} px radius)."
