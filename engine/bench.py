"""What an analysis costs on this machine: seconds of each stage, and how near encoder and decoder come to the ceiling.

The ceiling is onnxruntime's own product of two large float32 matrices with as many threads. A graph's operations are
counted from the shapes that onnxruntime's profiler reports: two for each multiplication of a matrix product or a
convolution, none for anything else.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..models.card import GRAPHS
from ..models.store import locate
from .pipeline import Segmenter
from .session import Device
from .settings import Settings
from .types import Micrograph, Result

SIDE: Final = 2048
"""Of the matrices of the ceiling."""
STEPS: Final = ("read", "masks", "measure", "group")
"""Of ``Result.timings``, beside the segmentation."""

Say = Callable[[str], None]
"""Called with what is measured next."""


@dataclass(frozen=True, slots=True)
class Graph:
    """One of a model's two graphs in one analysis."""

    seconds: float
    operations: float
    """Multiplications and additions of its products."""

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What one model needed for one micrograph; seconds are medians."""

    load: float
    """Seconds in which the model was loaded."""
    first: float
    """Seconds of the first analysis after that."""
    whole: float
    stages: Mapping[str, float]
    """Seconds by stage, in order; they add up to nearly ``whole``."""
    encoder: Graph
    decoder: Graph
    ceiling: float
    """Operations a second."""
    peak: int | None
    """Most memory that the process has held after those analyses, bytes."""
    result: Result


def measure(segmenter: Segmenter, micrograph: Micrograph, settings: Settings, repeats: int, say: Say) -> Figures:
    """Analyse a micrograph ``repeats`` times after the first, and count."""
    say("load the model")
    start = time.perf_counter()
    session = segmenter.session
    loaded = time.perf_counter()
    clock = _Clock(session)
    clocked = _with(clock)
    say("first analysis")
    clocked.analyze(micrograph, settings=settings)
    first = time.perf_counter() - loaded
    runs = []
    for i in range(repeats):
        say(f"analysis {i + 1} of {repeats}")
        clock.seconds = dict.fromkeys(clock.seconds, 0.0)
        start_of_run = time.perf_counter()
        result = clocked.analyze(micrograph, settings=settings)
        runs.append((time.perf_counter() - start_of_run, dict(clock.seconds), result))
    peak = peak_memory()
    say("count operations")
    encoder, decoder = _operations(segmenter, micrograph, settings)
    say("matrix product")
    whole, seconds, result = sorted(runs, key=lambda run: run[0])[len(runs) // 2]
    return Figures(
        load=loaded - start,
        first=first,
        whole=whole,
        stages=_stages(result.timings, seconds),
        encoder=Graph(seconds["encode"], encoder),
        decoder=Graph(seconds["decode"], decoder),
        ceiling=ceiling(segmenter.providers, threads),
        peak=peak,
        result=result,
    )
