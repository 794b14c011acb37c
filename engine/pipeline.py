"""From a micrograph to measured, grouped lobes: one line a step, as a methods section would tell it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..models.card import ModelCard
from . import (
    edge_profile,
    evidence,
    exposure,
    filters,
    group,
    masks,
    measure,
    outline,
    preprocess,
    set_shape,
    set_table,
    unsure,
    votes,
    watershed,
)
from .generate import generate
from .lengths import with_uncertainty
from .mosaic import Mosaic, Whole
from .read import read
from .redraw import count_redrawn, redrawn
from .session import Device, Session, open_model
from .settings import LOBES_OF, Settings
from .table import Table
from .types import I32, Bool, Masks, Micrograph, Result
from .zoom import choose as choose_zoom

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

    def part(self, name: str, done: float, share: float) -> Callable[[float], None]:
        """Progress within a part of a step, which is a share of the micrograph."""
        tell = self.progress
        return (lambda of_part: tell(name, done + share * of_part)) if tell else lambda _: None

    def count(self, **more: int) -> None:
        """Add to the counts."""
        for name, n in more.items():
            self.counts[name] = self.counts.get(name, 0) + n


class _Found(NamedTuple):
    """What a method found, before it is measured."""

    whole: Whole
    held: I32 | None = None
    """(N,) particle of each lobe, where the method itself tells; see ``watershed.Parted``."""
    zoom: float = 1.0
    zoom_source: str = ""


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
        pixel_size: float | str | None = None,
        *,
        settings: Settings | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Find, group and measure all lobes of one micrograph.

        ``source`` is a path, an (H, W) or (H, W, 3 or 4) array, or a Micrograph; ``pixel_size`` in nm per px
        overrides what the file says; ``"4.466±0.05"`` gives its standard uncertainty too. Finding
        nothing is a result; ImageError, ModelError and SettingsError say what is wrong in one sentence.
        """
        settings = settings or Settings()
        if pixel_size is not None:
            size, uncertainty = with_uncertainty(pixel_size)
            settings = replace(settings, pixel_size=size, pixel_size_uncertainty=uncertainty)
        log = _Log(progress)
        with log.step("read", 0.0):
            micrograph = source if isinstance(source, Micrograph) else read(
                source, settings.pixel_size, settings.pixel_size_uncertainty, settings.scale_bar)  # fmt: skip
            filters.check(micrograph, settings)
            grey = preprocess.Grey.of_micrograph(micrograph)
        with log.step("model", 0.02):
            session = self.session if settings.method == "sam" else None
        with log.step("segment", 0.05):
            if session is None:
                found = _of_watershed(grey, micrograph, settings, log)
            else:
                found = _of_model(session, grey, micrograph, settings, log)
            whole = found.whole
        with log.step("edge", 0.84):
            outlines, edge = whole.outlines, None
            if session is not None and settings.edge_profile:
                outlines, edge = edge_profile.settled(
                    outlines, whole.labels, micrograph.pixels, session.card.edge_profile)  # fmt: skip
        with log.step("masks", 0.85):
            lobe_masks = masks.from_labels(whole.labels, whole.iou, whole.stability)
        with log.step("measure", 0.9):
            lobes = measure.measure(whole.labels, micrograph, lobe_masks.iou, lobe_masks.stability,
                                    outlines, settings.columns)
        with log.step("filter", 0.94):
            excluded, applied = filters.before_grouping(lobes, lobe_masks, micrograph, settings)
        with log.step("group", 0.95):
            contacts = evidence.contacts(whole.labels, micrograph.pixels, micrograph.area, whole.votes)
            grouping = _group(lobes, found, contacts, settings, excluded == "")
            set_index = grouping.sets
            centroids = np.stack([lobes["centroid-0"], lobes["centroid-1"]], 1)
            roles = set_table.roles(set_index, centroids, lobes["area"])
            sets = set_table.sets(lobes, set_index, roles, micrograph.pixel_size, {
                **set_shape.wholes(whole.labels, lobes, set_index, micrograph),
                **set_shape.clusters(set_index, contacts.pairs, contacts.gap),
                "confidence": grouping.confidence, "incomplete": grouping.incomplete,
            })  # fmt: skip
            lobes = set_table.with_sets(lobes, set_index, roles)
            lobes, sets, applied = filters.after_grouping(
                lobes, sets, micrograph.area, excluded, settings, applied)  # fmt: skip
        log.count(lobes=lobes.n_rows, sets=sets.n_rows, pixels_cut_from_lobes=whole.cut)
        if progress is not None:
            progress("done", 1.0)
        return Result(
            micrograph=micrograph,
            masks=lobe_masks,
            outlines=outlines,
            lobes=lobes,
            sets=sets,
            filters=applied,
            settings=settings,
            model=session.card if session else None,
            zoom=found.zoom,
            zoom_source=found.zoom_source,
            edge=edge,
            grey_range=grey.range,
            providers=session.providers if session else (),
            timings=log.timings,
            counts=log.counts,
            warnings=(*micrograph.warnings, *(session.notes if session else ()),
                      *_remarks(micrograph, lobe_masks, lobes, session.card if session else None, settings, found.zoom),
                      *exposure.remarks(whole.labels, micrograph), *group.remarks(grouping)),
        )


def analyze(
    source: str | os.PathLike[str] | NDArray[Any],
    pixel_size: float | str | None = None,
    *,
    settings: Settings | None = None,
    model: str | os.PathLike[str] | None = None,
    device: Device = "auto",
    threads: int | None = None,
) -> Result:
    """Analyse one micrograph; see ``Segmenter.analyze``. For many, make one Segmenter and keep it."""
    return Segmenter(model, device=device, threads=threads).analyze(source, pixel_size, settings=settings)


def _of_model(
    session: Session, grey: preprocess.Grey, micrograph: Micrograph, settings: Settings, log: _Log
) -> _Found:
    """Lobes by prompting the model, tile by tile, at the zoom that the micrograph needs."""
    zoom = choose_zoom(session, grey, micrograph.area, settings, log.timings)
    log.count(prompts=zoom.prompts)
    tiles = preprocess.tiles(micrograph.area, session.card, zoom.value)
    mosaic = Mosaic(micrograph.pixels.shape, settings.max_overlap, settings.fill_particles, session.card.outline,
                    micrograph.pixels if settings.join_pieces else None)  # fmt: skip
    for i, tile in enumerate(tiles):
        part = log.part("segment", 0.05 + 0.8 * i / len(tiles), 0.8 / len(tiles))
        found = zoom.found.get(tile.area) or generate(
            session, grey, tile.area, micrograph.area, zoom.value, settings, log.timings, part)  # fmt: skip
        found = redrawn(session, grey, found, tile.area, micrograph.area, zoom.value, settings, log.timings)
        log.count(prompts=found.prompts, candidates=len(found.lobes))
        mosaic.add(tile, found)
    whole = mosaic.finish()
    log.count(tiles=len(tiles), redrawn=count_redrawn(whole.outlines, zoom.value), joined=whole.joined)
    return _Found(whole, zoom=zoom.value, zoom_source=zoom.source)


def _of_watershed(grey: preprocess.Grey, micrograph: Micrograph, settings: Settings, log: _Log) -> _Found:
    """Lobes by the traditional method, which scores none of them."""
    parted = watershed.part(grey, micrograph.area, settings)
    log.count(watershed_threshold=parted.threshold, particles_are_bright=int(parted.bright))
    unscored = np.full(len(parted.sets), np.nan, np.float32)
    no_votes = votes.Votes(len(unscored), np.empty((0, 2), np.int64), np.empty(0))
    whole = Whole(parted.labels, unscored, unscored, no_votes, 0, 0, outline.of_labels(parted.labels))
    return _Found(whole, parted.sets)


def _group(
    lobes: Table, found: _Found, contacts: evidence.Contacts, settings: Settings, counts: Bool
) -> group.Grouping:
    """Every lobe's set, by the grouping that the settings name; lobes that do not count are in none."""
    if settings.grouping == "published":
        centroids = np.stack([lobes["centroid-0"], lobes["centroid-1"]], 1)[counts]
        return group.group_published(centroids, lobes["axis_major_length"][counts], settings.particle).within(counts)
    if found.held is not None:
        return group.Grouping.told(watershed.held(found.held, counts, LOBES_OF[settings.particle]))
    return group.group_by_evidence(contacts.among(counts), found.whole.iou[counts], settings.particle).within(counts)


def _remarks(
    micrograph: Micrograph, found: Masks, lobes: Table, card: ModelCard | None, settings: Settings, zoom: float
) -> Iterator[str]:
    """What a careful colleague would say about a result, one sentence each."""
    if len(found) == 0:
        yield "No particle was found."
    if micrograph.pixel_size is None:
        yield "The pixel size is unknown, so all lengths are in px; give it with --pixel-size (nm per px)."
    if card is None:
        yield "No model took part: the columns _subpixel are of outlines along the pixels."
        return
    if "lobe" in card.masks:
        yield from unsure.remarks(found.iou, lobes["area"])
    if not card.outline:
        yield "The model's outlines are not calibrated; columns _subpixel are of its logits' zero line as it is."
    if zoom != preprocess.usual_zoom(micrograph.area, card):
        why = "where it resolves these lobes best" if settings.zoom is None else "as it was told to"
        yield f"The model saw the micrograph at {zoom:.3g} times its size, {why}."
    if settings.min_radius is not None and settings.min_radius * zoom < card.smallest_radius:
        yield (
            f"Lobes of {settings.min_radius:g} px radius are sought, but the model resolves none below "
            f"{card.smallest_radius / zoom:.3g} px at this zoom."
        )
    largest = (card.largest_radius or np.inf) / zoom
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    n_large = int((sides.max(1, initial=0) > 2 * largest).sum()) if len(found) else 0
    if n_large:
        yield f"{n_large} lobes are larger than the model was trained for ({largest:.3g} px radius)."
