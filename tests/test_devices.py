"""Which execution providers are asked for, and what the user hears where one cannot be had."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import platformdirs
import pytest
from handmade import CARD
from samcolloid_edge.engine import devices
from samcolloid_edge.engine.devices import CPU, CUDA, TENSORRT, providers


@pytest.fixture
def all_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setattr(devices, "has_driver", lambda: True)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is wrong with a provider's libraries; a test may write into it."""
    wrong = {CUDA: "", TENSORRT: ""}
    monkeypatch.setattr(devices, "_missing_library", wrong.__getitem__)
    return wrong


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.mark.usefixtures("all_built_in", "missing")
def test_a_gpu_that_is_there_is_used() -> None:
    assert providers("cpu", CARD) == ([CPU], [CPU], ())
    for device in ("auto", "cuda"):
        assert providers(device, CARD) == ([CUDA, CPU], [CUDA, CPU], ())


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize(("available", "reason"), [([CPU], "built without it"), ([CUDA, CPU], "no NVIDIA driver")])
def test_without_a_gpu_only_who_asked_for_it_hears(monkeypatch, available, reason) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(devices, "has_driver", lambda: False)
    assert providers("auto", CARD) == ([CPU], [CPU], ())
    for device in ("cuda", "tensorrt"):
        encoder, decoder, notes = providers(device, CARD)
        assert (encoder, decoder) == ([CPU], [CPU])
        assert len(notes) == 1
        assert reason in notes[0]


@pytest.mark.usefixtures("all_built_in")
def test_a_gpu_without_its_libraries_is_told_to_everyone(missing) -> None:
    missing[CUDA] = "libcudnn.so.9 is not there"
    for device in ("auto", "cuda", "tensorrt"):
        encoder, _, notes = providers(device, CARD)
        assert encoder == [CPU]
        assert len(notes) == 1
        assert "libcudnn.so.9 is not there; the CPU is used." in notes[0]


@pytest.mark.usefixtures("all_built_in")
def test_libraries_are_looked_for_once_and_quietly(monkeypatch, capfd) -> None:
    asked = []

    def preload() -> None:
        asked.append(1)
        print("Failed to load libcublasLt.so.13")

    monkeypatch.setattr(onnxruntime, "preload_dlls", preload)
    monkeypatch.setattr(onnxruntime, "__file__", "/nowhere/__init__.py")
    devices._missing_library.cache_clear()
    try:
        first, second = providers("cuda", CARD), providers("auto", CARD)
    finally:
        devices._missing_library.cache_clear()
    assert asked == [1]
    assert capfd.readouterr() == ("", "")
    for found in (first, second):
        assert found[0] == [CPU]
        assert "pip install samcolloid-edge[cuda]" in found[2][0]


@pytest.mark.usefixtures("all_built_in", "missing")
def test_tensorrt_runs_the_encoder_and_keeps_its_engines(caches) -> None:
    (first, *rest), decoder, notes = providers("tensorrt", CARD)
    name, options = first
    assert (name, rest, decoder, notes) == (TENSORRT, [CUDA, CPU], [CUDA, CPU], ())
    folder = Path(options["trt_engine_cache_path"])
    assert folder.is_dir()
    assert folder.parent == caches / "tensorrt"
    assert CARD.digest in folder.name
    assert onnxruntime.__version__ in folder.name
    assert options["trt_engine_cache_enable"]
    assert not options["trt_fp16_enable"]


def test_tensorrt_works_where_no_engine_can_be_kept(caches) -> None:
    caches.write_text("a file where the folder should be", "utf-8")
    assert devices.tensorrt_options(CARD) == {"trt_fp16_enable": False}


@pytest.mark.usefixtures("all_built_in")
def test_without_tensorrt_cuda_takes_its_place(missing) -> None:
    missing[TENSORRT] = "libnvinfer.so.10 is not there"
    encoder, decoder, notes = providers("tensorrt", CARD)
    assert encoder == decoder == [CUDA, CPU]
    assert notes == ("TensorRT was asked for but libnvinfer.so.10 is not there; CUDA is used.",)
