"""A model answers the same whatever memory there is, and on a GPU that fills up: here one that is pretended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
import pytest
from samcolloid_edge import ModelError, Segmenter, SettingsError
from samcolloid_edge.engine import session as module
from samcolloid_edge.engine.devices import CPU, CUDA
from samcolloid_edge.engine.memory import BATCH_MEMORY
from samcolloid_edge.engine.session import Graphs, Session, open_model
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.models.store import locate

IMAGE = np.repeat(render(Scene(seed=7, shape=(150, 210), radius_px=14, packing=0.5)).image[:, :, None], 3, 2)
FULL = "CUDA failure 2: out of memory ; GPU=0"


def graph(name: str) -> Any:
    return onnxruntime.InferenceSession(str(locate() / name), providers=[CPU])


@dataclass
class Pretended:
    """A graph on the CPU that takes itself for one on a GPU, where so many prompts have room."""

    graph: Any
    room: float = np.inf
    prompts: list[int] = field(default_factory=list)
    """Of each run that had room."""
    inputs: dict[str, type] = field(default_factory=dict)
    places: set[str] = field(default_factory=set)
    error: str = FULL

    def get_outputs(self) -> Any:
        return self.graph.get_outputs()

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]

    def io_binding(self) -> Any:
        return Binding(self, self.graph.io_binding())

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        if binding.prompts > self.room:
            raise RuntimeError(self.error)
        self.prompts.append(binding.prompts)
        self.graph.run_with_iobinding(binding.inner, options)


class Binding:
    def __init__(self, owner: Pretended, inner: Any) -> None:
        self.owner, self.inner, self.prompts = owner, inner, 0

    def bind_cpu_input(self, name: str, value: Any) -> None:
        self.owner.inputs[name] = np.ndarray
        self.prompts = len(value) if name == "point_coords" else self.prompts
        self.inner.bind_cpu_input(name, value)

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self.owner.inputs[name] = onnxruntime.OrtValue
        self.inner.bind_ortvalue_input(name, value)

    def bind_output(self, name: str, place: str) -> None:
        self.owner.places.add(place)
        self.inner.bind_output(name, "cpu")

    def get_outputs(self) -> Any:
        return self.inner.get_outputs()


@pytest.fixture
def cpu() -> Session:
    return open_model(device="cpu", threads=1)


@pytest.fixture
def gpu(cpu: Session) -> Session:
    """A session on a pretended GPU, with all the room that it wants."""
    graphs = Graphs(Pretended(graph("encoder.onnx")), Pretended(graph("decoder.onnx")), (CUDA, CPU))
    return Session(cpu.card, graphs, 1e9, (), lambda: cpu._graphs)


def prompts(session: Session, n: int, gate: float = 0.3, window: int = 32) -> dict[str, Any]:
    coords = np.zeros((n, 2, 2), np.float32)
    coords[:, 0] = np.random.default_rng(0).uniform(0, 1, (n, 2)) * (IMAGE.shape[1], IMAGE.shape[0])
    return {
        **session.encode(IMAGE),
        "point_coords": coords,
        "point_labels": np.tile(np.array([1, -1], np.float32), (n, 1)),
        "iou_threshold": np.array(gate, np.float32),
        "window": np.array(window, np.int64),
    }


def same(one: Any, two: Any) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("n", [1, 2, 17])
@pytest.mark.parametrize("megabytes", [1, 2, 5])
def test_little_memory_makes_small_batches_and_the_same_masks(cpu, monkeypatch, megabytes, n):
    inputs = prompts(cpu, n)
    whole = cpu.decode(inputs)
    assert len(whole["prompt_index"]) >= n // 4
    counted = Pretended(graph("decoder.onnx"))
    short = Session(cpu.card, Graphs(None, counted, (CPU,)), megabytes * 1e6)
    assert same(short.decode(inputs), whole)
    sample, *batches = counted.prompts
    assert sample == 64
    assert sum(batches) == n
    assert max(batches) - min(batches) <= 1
    # 64 KB to 0.8 MB are believed for one prompt of 3 masks of 32² cells.
    assert max(batches) <= max(1, megabytes * 1e6 / 2**16 / 3)


def test_the_cost_of_masks_is_measured_once_and_larger_windows_make_smaller_batches(cpu):
    counted = Pretended(graph("decoder.onnx"))
    session = Session(cpu.card, Graphs(None, counted, (CPU,)), 20e6)
    sizes = {}
    for window in (32, 16, 64):
        before = len(counted.prompts)
        session.decode(prompts(cpu, 400, window=window))
        sizes[window] = max(counted.prompts[before + (window == 32) :])
    assert counted.prompts.count(64) == 1
    assert 400 >= sizes[16] > 2 * sizes[32] > 4 * sizes[64] > 0


@pytest.mark.parametrize(("grown", "believed"), [(0, 16), (20 * 786432, 20), (10**12, 64), (None, 64)])
def test_what_other_threads_take_and_leave_is_believed_within_bounds(cpu, monkeypatch, grown, believed):
    held = iter([None, None] if grown is None else [10**9, 10**9 + grown])
    monkeypatch.setattr(module.memory, "resident", lambda: next(held))
    inputs = prompts(cpu, 2)
    cost = cpu._cost(cpu._graphs, inputs)
    masks = 3 * 4  # bytes of one cell
    assert cost == pytest.approx(believed * masks)


def test_a_real_batch_costs_what_a_sample_told(cpu):
    cost = cpu._cost(cpu._graphs, prompts(cpu, 8))
    assert 16 * 12 <= cost <= 64 * 12


def test_scores_alone_are_asked_for_at_once(cpu):
    counted = Pretended(graph("decoder.onnx"))
    session = Session(cpu.card, Graphs(None, counted, (CPU,)), 1e6)
    found = session.decode(prompts(cpu, 500, gate=2.0))
    assert counted.prompts[1:] == [500]
    assert found["iou_predictions"].shape == (500, 3)
    assert len(found["prompt_index"]) == 0


def test_on_a_gpu_embeddings_stay_and_masks_come(cpu, gpu):
    inputs = prompts(gpu, 9)
    assert all(isinstance(inputs[name], onnxruntime.OrtValue) for name in ("image_embeddings", "mask_features"))
    assert same(gpu.decode(inputs), cpu.decode(prompts(cpu, 9)))
    graphs = gpu._graphs
    assert (graphs.encoder.places, graphs.decoder.places) == ({"cuda"}, {"cpu"})
    assert graphs.decoder.inputs["image_embeddings"] is onnxruntime.OrtValue
    assert graphs.decoder.prompts == [9]
    assert gpu.providers == (CUDA, CPU)
    assert gpu.notes == ()


@pytest.mark.parametrize(("room", "batches"), [(20, [17]), (5, [3, 3, 3, 3, 3, 2]), (1, [1] * 17)])
def test_a_full_gpu_halves_the_batch(cpu, gpu, room, batches):
    gpu._graphs.decoder.room = room
    assert same(gpu.decode(prompts(gpu, 17)), cpu.decode(prompts(cpu, 17)))
    assert gpu._graphs.decoder.prompts == batches
    # What did not fit once is not tried again.
    gpu._graphs.decoder.prompts.clear()
    gpu._graphs.decoder.room = np.inf
    gpu.decode(prompts(gpu, 17))
    assert max(gpu._graphs.decoder.prompts) <= room
    assert gpu.notes == ()


def test_scores_alone_are_halved_too(cpu, gpu):
    gpu._graphs.decoder.room = 40
    assert same(gpu.decode(prompts(gpu, 300, gate=2.0)), cpu.decode(prompts(cpu, 300, gate=2.0)))
    assert max(gpu._graphs.decoder.prompts) <= 40


def test_where_no_prompt_fits_the_cpu_takes_over_with_one_note(cpu, gpu):
    inputs = prompts(gpu, 17)
    gpu._graphs.decoder.room = 0
    expected = cpu.decode(prompts(cpu, 17))
    assert same(gpu.decode(inputs), expected)
    assert gpu.providers == (CPU,)
    assert gpu.notes == ("The GPU has not enough free memory; the rest was computed on the CPU.",)
    assert same(gpu.decode(inputs), expected)  # tensors that lie on the GPU still serve
    assert same(gpu.encode(IMAGE), cpu.encode(IMAGE))
    assert len(gpu.notes) == 1


def test_a_gpu_too_small_for_the_encoder_leaves_all_to_the_cpu(cpu, gpu):
    gpu._graphs.encoder.room = -1
    assert same(gpu.encode(IMAGE), cpu.encode(IMAGE))
    assert gpu.providers == (CPU,)
    assert len(gpu.notes) == 1


def test_many_threads_fall_back_once(cpu, gpu):
    inputs = prompts(gpu, 17)
    gpu._graphs.decoder.room = 0
    expected = cpu.decode(prompts(cpu, 17))
    with ThreadPoolExecutor(4) as pool:
        assert all(same(found, expected) for found in pool.map(gpu.decode, [inputs] * 8))
    assert len(gpu.notes) == 1


def test_without_memory_on_the_cpu_there_is_one_sentence(cpu):
    full = Pretended(graph("decoder.onnx"), room=0, error="bad allocation: std::bad_alloc")
    session = Session(cpu.card, Graphs(full, full, (CPU,)), 1e9)
    with pytest.raises(ModelError, match=r"not enough memory for the model colloid-tiny; close other programs"):
        session.decode(prompts(cpu, 3))


@pytest.mark.parametrize("error", [
    "[E:onnxruntime:, bfc_arena.cc:376] Failed to allocate memory for requested buffer of size 4294967296",
    "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
    "CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED",
    "Available memory of 12 is smaller than requested bytes of 40",
    "CUDA error cudaErrorMemoryAllocation:out of memory",
    "std::bad_alloc",
])  # fmt: skip
def test_memory_runs_out_in_many_words(gpu, error):
    inputs = prompts(gpu, 4)
    gpu._graphs.decoder.room, gpu._graphs.decoder.error = 2, error
    gpu.decode(inputs)
    assert gpu._graphs.decoder.prompts == [2, 2]


def test_other_errors_are_not_taken_for_it(gpu):
    inputs = prompts(gpu, 4)
    gpu._graphs.decoder.room, gpu._graphs.decoder.error = 0, "CUDA failure 700: an illegal memory access"
    with pytest.raises(RuntimeError, match="illegal memory access"):
        gpu.decode(inputs)


def test_a_result_tells_that_the_cpu_took_over(gpu):
    segmenter = Segmenter()
    segmenter._session = gpu
    gpu._graphs.decoder.room = 40
    first = segmenter.analyze(IMAGE)
    gpu._graphs.decoder.room = 0
    second = segmenter.analyze(IMAGE)
    assert first.providers == (CUDA, CPU)
    assert second.providers == (CPU,)
    assert set(gpu.notes) <= set(second.warnings)
    assert not set(gpu.notes) & set(first.warnings)
    assert np.array_equal(first.masks.labels(), second.masks.labels())
    assert first.lobes.n_rows > 3


def test_a_gpu_that_cannot_load_the_model_leaves_it_to_the_cpu(monkeypatch):
    really = onnxruntime.InferenceSession

    def loading(path, options, providers, **more):
        if CUDA in providers:
            raise RuntimeError("CUDA failure 35: driver version is insufficient\nmore of it")
        return really(path, options, providers=providers, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", loading)
    monkeypatch.setattr(module, "providers", lambda device, card: ([CUDA, CPU], [CUDA, CPU], ()))
    session = open_model(device="cuda")
    assert session.providers == (CPU,)
    (note,) = session.notes
    assert "CUDA failure 35: driver version is insufficient" in note
    assert "\n" not in note


def test_a_gpu_that_onnxruntime_leaves_out_is_told(monkeypatch):
    monkeypatch.setattr(module, "providers", lambda device, card: ([CPU], [CUDA, CPU], ()))
    monkeypatch.setattr(module, "_open", lambda path, wanted, threads: graph(path.name))
    assert open_model(device="cuda").notes == ("CUDA could not be started; the CPU is used.",)


def test_the_memory_of_a_batch_can_be_given(monkeypatch):
    monkeypatch.setenv(BATCH_MEMORY, "120")
    assert open_model(device="cpu")._batch_memory == 120e6
    monkeypatch.setenv(BATCH_MEMORY, "plenty")
    with pytest.raises(SettingsError, match=r"SAMCOLLOID_BATCH_MEMORY must be a number of MB above 0.*'plenty'"):
        open_model(device="cpu")
