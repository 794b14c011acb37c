"""A model in onnxruntime: loaded, checked against its card, and run where there is memory for it.

A batch of prompts is as large as the memory allows, measured and not assumed. On the CPU a session's first batch is
preceded by a few prompts that all get masks, and what the process holds more after them is what mask cells cost:
onnxruntime keeps the memory of a batch and uses it for the next. On a GPU a batch is as large as it is asked for, until
it does not fit: then it is halved, and where not even one prompt fits the CPU takes over. The masks do not depend on
the batch they are made in. The encoder's memory, most of a large model's, is given back after every run.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..models.card import GRAPHS, ModelCard
from ..models.contract import IMAGE, WINDOW, Tensors, check
from ..models.errors import ModelError
from ..models.stamps import state_of
from ..models.store import locate, open_card
from . import machine, memory
from .devices import CPU, CUDA, Providers, providers
from .devices import Device as Device

_SAMPLE_CELLS: Final = 65536
"""Mask cells decoded to measure what they cost: one prompt of SAM's, 64 of the bundled model's."""
_MASKS_HELD: Final = (16, 64)
"""Memory of a batch ÷ that of its masks, least and most that is believed (measured: SAM 34, the bundled model 25):
memory that was free before hides some of it, and other threads add to it."""
_FULL: Final = re.compile(
    r"out of memory|failed to allocate|alloc_?failed|bad_?alloc|memory_?allocation|smaller than requested bytes", re.I
)
"""How onnxruntime, CUDA, cuBLAS and cuDNN say that there is no memory left."""


@dataclass(frozen=True, slots=True)
class Graphs:
    """Both graphs of a model as onnxruntime has them."""

    encoder: Any
    decoder: Any
    providers: tuple[str, ...]
    """Execution providers in use, in order."""

    @property
    def place(self) -> str:
        """Where the encoder leaves its tensors for the decoder: ``cpu`` or ``cuda``, as ``IOBinding`` names them."""
        return "cuda" if CUDA in self.providers else "cpu"


class Session:
    """A loaded model. Safe to share between threads."""

    def __init__(self, card: ModelCard, graphs: Graphs, batch_memory: float, notes: tuple[str, ...] = (),
                 on_cpu: Callable[[], Graphs] | None = None) -> None:  # fmt: skip
        """``batch_memory``: bytes that a batch may take on the CPU; ``on_cpu`` loads the model anew, onto the CPU."""
        self.card = card
        self._graphs, self._batch_memory, self._notes, self._on_cpu = graphs, batch_memory, notes, on_cpu
        self._most: float | None = None if graphs.place == "cpu" else np.inf
        """Mask cells in a batch; None where that is still to be measured."""
        self._lock = threading.Lock()

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers in use, in order."""
        return self._graphs.providers

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about how the model runs, one sentence each; a run may add to them."""
        return self._notes

    def encode(self, image: NDArray[Any]) -> Mapping[str, Any]:
        """(H, W, 3) uint8 RGB → the encoder's outputs by name: arrays, or on a GPU ``OrtValue`` that stay there."""
        while True:
            graphs = self._graphs
            try:
                found = _run(graphs.encoder, {IMAGE: image}, graphs.place, give_back=graphs.place == "cpu")
                return found if graphs.place == "cuda" else _on_host(found)
            except Exception as error:
                self._retreat(error, graphs)

    def decode(self, inputs: Mapping[str, Any]) -> Mapping[str, NDArray[Any]]:
        """The decoder's inputs by name → its outputs by name; as many of the prompts in a call as memory allows."""
        coords, labels, cells = inputs["point_coords"], inputs["point_labels"], self._cells(inputs)
        parts: list[dict[str, NDArray[Any]]] = []
        start = 0
        while start < len(coords):
            graphs, size = self._graphs, 1
            given = inputs if graphs.place == "cuda" else _on_host(inputs)
            try:
                size = self._fitting(graphs, given, len(coords) - start, cells)
                batch = slice(start, start + size)
                part = {**given, "point_coords": coords[batch], "point_labels": labels[batch]}
                found = _on_host(_run(graphs.decoder, part, "cpu"))
            except Exception as error:
                self._retreat(error, graphs, size, cells)
                continue
            parts.append({**found, "prompt_index": found["prompt_index"] + start})
            start += size
        return parts[0] if len(parts) == 1 else {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def _cells(self, inputs: Mapping[str, Any]) -> int:
        """Mask cells of one prompt."""
        if WINDOW in inputs and inputs["iou_threshold"] > 1:
            return 1  # scores alone, which cost next to nothing
        side = self.card.side // self.card.mask_stride
        return int(min(inputs.get(WINDOW, side), side)) ** 2

    def _fitting(self, graphs: Graphs, inputs: Mapping[str, Any], prompts: int, cells: int) -> int:
        """How many of the prompts are decoded in the next call, of calls of nearly the same size."""
        with self._lock:
            if self._most is None:
                self._most = self._batch_memory / self._cost(graphs, inputs)
            most = int(min(prompts, max(1, self._most / cells)))
        calls = -(-prompts // most)
        return -(-prompts // calls)

    def _cost(self, graphs: Graphs, inputs: Mapping[str, Any]) -> float:
        """Bytes that one mask cell costs in the decoder, where each prompt gets its masks."""
        sample = {**inputs, "iou_threshold": np.array(-np.inf, np.float32)}
        cells = self._cells(sample)
        prompts = max(1, _SAMPLE_CELLS // cells)
        for name in ("point_coords", "point_labels"):
            sample[name] = np.resize(inputs[name], (prompts, *inputs[name].shape[1:]))
        before = memory.resident()
        found = _run(graphs.decoder, sample, "cpu")
        after = memory.resident()
        masks = found["low_res_masks"].tensor_size_in_bytes()
        least, most = (times * masks for times in _MASKS_HELD)
        grown = most if before is None or after is None else after - before
        return float(min(max(grown, least), most)) / (prompts * cells)

    def _retreat(self, error: Exception, graphs: Graphs, prompts: int = 1, cells: int = 0) -> None:
        """Make room after a run of some prompts found no memory: a smaller batch, else the CPU. Raises other errors."""
        if not _FULL.search(str(error)):
            raise error
        with self._lock:
            if graphs is not self._graphs:
                return  # another thread has moved to the CPU already
            if prompts > 1:
                self._most = min(self._most or np.inf, prompts * cells / 2)
            elif graphs.place == "cpu" or self._on_cpu is None:
                raise ModelError(
                    f"There is not enough memory for the model {self.card.name}; close other programs, or take a "
                    "smaller model."
                ) from error
            else:
                self._graphs, self._most = self._on_cpu(), None
                self._notes += ("The GPU has not enough free memory; the rest was computed on the CPU.",)


def open_model(model: str | os.PathLike[str] | None = None, device: Device = "auto",
               threads: int | None = None) -> Session:  # fmt: skip
    """Load a model: None is the bundled one, else a name or a folder, see ``locate``. Raises ModelError.

    onnxruntime maps weights that lie beside their graph into memory and packs them from there: they are held once.
    """
    folder = locate(model)
    card, checked = open_card(folder)
    *wanted, notes = providers(device, card)

    def load(wanted: Sequence[Providers]) -> Graphs:
        encoder, decoder = (_open(folder / name, p, threads) for name, p in zip(GRAPHS, wanted, strict=True))
        if state_of(folder, card) != checked:
            raise ModelError(f"{folder}: the model was replaced while it was being loaded; run again.")
        check(card, _tensors(encoder), _tensors(decoder))
        return Graphs(encoder, decoder, tuple(encoder.get_providers()))

    on_cpu = ([CPU], [CPU])
    try:
        graphs = load(wanted)
    except ModelError as error:
        if wanted[1] == [CPU]:
            raise
        # An old driver, a GPU without room for the weights; where the fault is the model's, the CPU finds it too.
        why = _first_line(error.__cause__ or error)
        graphs, notes = load(on_cpu), (f"The GPU could not be used ({why}); the CPU is used.",)
    if wanted[1] != [CPU] and graphs.place == "cpu" and not notes:
        notes = ("CUDA could not be started; the CPU is used.",)
    return Session(card, graphs, memory.budget(), notes, lambda: load(on_cpu))


def _open(path: Path, wanted: Providers, threads: int | None) -> Any:
    options = machine.options(threads)
    # Waiting threads must not take the cores from the program that this engine runs in.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Buffers laid out ahead for each size of input: half as much memory again, and no quicker.
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=wanted, enable_fallback=0)
    except Exception as error:
        # onnxruntime's exceptions have no common base of their own.
        raise ModelError(f"{path}: onnxruntime cannot load it ({_first_line(error)}).") from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]


def _run(graph: Any, inputs: Mapping[str, Any], place: str, give_back: bool = False) -> dict[str, Any]:
    """Inputs by name, arrays or ``OrtValue`` wherever they lie → outputs by name, ``OrtValue`` at a place.

    ``give_back``: the memory of the run is the system's again, not kept for the next one.
    """
    binding = graph.io_binding()
    for name, value in inputs.items():
        if isinstance(value, np.ndarray):
            binding.bind_cpu_input(name, value)
        else:
            binding.bind_ortvalue_input(name, value)
    names = [output.name for output in graph.get_outputs()]
    for name in names:
        binding.bind_output(name, place)
    options = onnxruntime.RunOptions()
    if give_back:
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    graph.run_with_iobinding(binding, options)
    return dict(zip(names, binding.get_outputs(), strict=True))


def _on_host(tensors: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The same as arrays; what lies in main memory already is not copied."""
    return {name: value if isinstance(value, np.ndarray) else value.numpy() for name, value in tensors.items()}


def _tensors(session: Any) -> Tensors:
    return Tensors([i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()])
