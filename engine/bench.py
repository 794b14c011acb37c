"""What an analysis costs on this machine: seconds of each stage, and how near the model comes to the machine's ceiling.

The ceiling is onnxruntime's own product of two large float32 matrices with as many threads. Operations of a graph are
counted from the shapes that onnxruntime's profiler reports: two for each multiplication of a matrix product or a
convolution, none for anything else.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..models.card import GRAPHS
from ..models.contract import WINDOW
from ..models.store import locate
from . import machine, memory
from .pipeline import Segmenter
from .session import Device, Session
from .settings import Settings
from .types import Micrograph, Result

STEPS: Final = ("masks", "measure", "group")
"""What follows the segmentation, of ``Result.timings``."""

CELLS: Final = 1 << 19
"""Mask cells of the prompts of one call while operations are counted: eight prompts of SAM's."""

Model = str | os.PathLike[str] | None
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
    """What one model needed for one micrograph."""

    load: float
    """Seconds in which the model was loaded."""
    first: float
    """Seconds of the first analysis after that."""
    whole: float
    """Seconds of the median of the others, whose stages and result these are."""
    stages: Mapping[str, float]
    """Seconds by stage; together nearly ``whole``."""
    encoder: Graph
    decoder: Graph
    ceiling: float
    """Operations a second."""
    peak: int
    """Most memory that the process has held until then, bytes."""
    result: Result


def measure(micrograph: Micrograph, settings: Settings, model: Model = None, device: Device = "auto",
            threads: int | None = None, repeats: int = 5, say: Say = lambda _: None) -> Figures:  # fmt: skip
    """Load a model, analyse a micrograph once and then ``repeats`` times, and count."""
    say("load the model")
    start = time.perf_counter()
    session = Segmenter(model, device=device, threads=threads).session
    loaded = time.perf_counter()
    runs = []
    for i in range(repeats + 1):
        say(f"analysis {i} of {repeats}" if i else "first analysis")
        runs.append(_timed(session, micrograph, settings))
    peak = memory.peak()
    say("count operations")
    encoder, decoder = _operations(session, locate(model), micrograph, settings)
    say("matrix product")
    whole, seconds, result = sorted(runs[1:], key=lambda run: run[0])[repeats // 2]
    model_seconds = seconds["encode"] + seconds["decode"]
    stages = {
        "encoder": seconds["encode"],
        "decoder": seconds["decode"],
        "prompts and their masks": result.timings["segment"] - model_seconds,
        **{step: result.timings[step] for step in STEPS},
    }
    return Figures(
        load=loaded - start,
        first=runs[0][0],
        whole=whole,
        stages={**stages, "the rest": whole - sum(stages.values())},
        encoder=Graph(seconds["encode"], encoder),
        decoder=Graph(seconds["decode"], decoder),
        ceiling=machine.ceiling(session.providers, threads),
        peak=peak,
        result=result,
    )


def lines(figures: Figures) -> list[str]:
    """The figures as a table to print."""
    result, top = figures.result, figures.ceiling
    rows = [(name, f"{seconds:.4f}", f"{seconds / figures.whole:.1%}") for name, seconds in figures.stages.items()]
    rows = [("stage", "s", "share"), *rows, ("whole analysis, median", f"{figures.whole:.4f}", "")]
    width = max(len(name) for name, *_ in rows)
    return [
        *(f"{name:<{width}}  {seconds:>9}  {share:>6}".rstrip() for name, seconds, share in rows),
        f"prompts: {result.counts['prompts']}, lobes: {result.lobes.n_rows}, tiles: {result.counts['tiles']}",
        f"load the model: {figures.load:.2f} s, first analysis: {figures.first:.2f} s",
        *(
            f"{name}: {graph.operations / 1e9:.1f} GFLOP at {graph.rate / 1e9:.1f} GFLOP/s, {graph.rate / top:.0%} of "
            "the matrix product's"
            for name, graph in (("encoder", figures.encoder), ("decoder", figures.decoder))
        ),
        f"matrix product (onnxruntime, float32, {machine.SIDE} x {machine.SIDE}): {top / 1e9:.1f} GFLOP/s",
        f"peak memory: {figures.peak / 1e6:.0f} MB",
    ]


def compared(figures: Figures, name: str, seconds: float, masks: int) -> str:
    """The figures beside those of another program that made masks of the same micrograph."""
    ours = figures.result.counts["candidates"]
    return (
        f"{name}: {seconds:.2f} s, {masks} masks; this engine: {figures.whole:.2f} s with all measures, {ours} masks "
        f"before they are made disjoint; {seconds / figures.whole:.2f} times"
    )


def images_a_second(micrograph: Micrograph, settings: Settings, workers: int, threads: int, images: int,
                    model: Model = None, device: Device = "auto") -> float:  # fmt: skip
    """How many analyses of a micrograph end in a second, ``workers`` at once, reading and writing left out."""
    segmenter = Segmenter(model, device=device, threads=threads)
    segmenter.analyze(micrograph, settings=settings)
    with ThreadPoolExecutor(workers) as pool:
        start = time.perf_counter()
        for done in [pool.submit(segmenter.analyze, micrograph, settings=settings) for _ in range(images)]:
            done.result()
        return images / (time.perf_counter() - start)


def ways(cores: int) -> list[tuple[int, int]]:
    """(workers, threads) that share the cores, from one worker to as many as there are."""
    return [(workers, cores // workers) for workers in sorted({1, *(2**i for i in range(1, 8)), cores})
            if workers <= cores and cores % workers == 0]  # fmt: skip


class Clocking:
    """Stands in for a model or a session, and adds up the seconds that calls of some names take."""

    def __init__(self, inner: Any, *names: str) -> None:
        self._inner = inner
        self.seconds = dict.fromkeys(names, 0.0)
        for name in names:
            setattr(self, name, _Clocked(getattr(inner, name), name, self.seconds))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Clocked:
    def __init__(self, call: Callable[..., Any], name: str, seconds: dict[str, float]) -> None:
        self._call, self._name, self._seconds = call, name, seconds

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        start = time.perf_counter()
        answer = self._call(*arguments, **more)
        self._seconds[self._name] += time.perf_counter() - start
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class _Profiled:
    """Stands in for a session, on the CPU; onnxruntime writes down what it runs."""

    def __init__(self, session: Session, model: Path, notes: Path) -> None:
        self.card, self.providers, self.notes = session.card, session.providers, session.notes
        self._graphs = []
        for name in GRAPHS:
            options = machine.options(None)
            options.enable_profiling = True
            options.profile_file_prefix = str(notes / name)
            # The model's own shapes, not those that fit the processor's registers.
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
            self._graphs.append(
                onnxruntime.InferenceSession(str(model / name), options, providers=["CPUExecutionProvider"])
            )

    def encode(self, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return self._run(0, {"image": image})

    def decode(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        coords, labels = inputs["point_coords"], inputs["point_labels"]
        side = int(inputs.get(WINDOW, self.card.side // self.card.mask_stride))
        size = max(1, CELLS // side**2)
        parts = []
        for start in range(0, max(len(coords), 1), size):
            batch = slice(start, start + size)
            part = self._run(1, {**inputs, "point_coords": coords[batch], "point_labels": labels[batch]})
            parts.append(part | {"prompt_index": part["prompt_index"] + start})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def profiles(self) -> list[Path]:
        """Where it is written, by graph."""
        return [Path(graph.end_profiling()) for graph in self._graphs]

    def _run(self, graph: int, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        names = [output.name for output in self._graphs[graph].get_outputs()]
        return dict(zip(names, self._graphs[graph].run(names, inputs), strict=True))


class _Given(Segmenter):
    """With a session, or what stands in for one."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self._session = session


def _timed(session: Session, micrograph: Micrograph, settings: Settings) -> tuple[float, dict[str, float], Result]:
    """Seconds of one analysis, of encoder and decoder in it, and its result."""
    clocked = Clocking(session, "encode", "decode")
    start = time.perf_counter()
    result = _Given(clocked).analyze(micrograph, settings=settings)
    return time.perf_counter() - start, clocked.seconds, result


def _operations(session: Session, model: Path, micrograph: Micrograph, settings: Settings) -> list[float]:
    """Of the encoder and of the decoder, in one analysis."""
    with tempfile.TemporaryDirectory() as folder:
        profiled = _Profiled(session, model, Path(folder))
        _Given(profiled).analyze(micrograph, settings=settings)
        return [operations(json.loads(path.read_text("utf-8"))) for path in profiled.profiles()]


def operations(profile: Iterable[Mapping[str, Any]]) -> float:
    """Multiplications and additions of all products in the events of onnxruntime's profiler."""
    nodes = (event["args"] for event in profile if event.get("cat") == "Node")
    return sum(
        _of_node(args["op_name"], _shapes(args["input_type_shape"]), _shapes(args["output_type_shape"]))
        for args in nodes if "input_type_shape" in args
    )  # fmt: skip


def _of_node(kind: str, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]) -> float:
    """Operations of one node; 0 where it is no product."""
    if kind in ("MatMul", "MatMulInteger"):
        return 2.0 * math.prod(outputs[0]) * inputs[0][-1]
    if kind == "Gemm":  # whichever of its matrices are transposed
        return 2.0 * math.prod(inputs[0]) * outputs[0][1]
    if kind == "Conv":
        return 2.0 * math.prod(outputs[0]) * math.prod(inputs[1][1:])
    if kind == "ConvTranspose":
        return 2.0 * math.prod(inputs[0]) * math.prod(inputs[1][1:])
    return 0.0


def _shapes(values: Iterable[Mapping[str, Sequence[int]]]) -> list[Sequence[int]]:
    """Of the profiler's list of type → shape; absent inputs have none."""
    return [next(iter(value.values()), ()) for value in values]
