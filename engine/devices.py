"""Where a model can run: onnxruntime's execution providers, and why one of them cannot be had."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

import onnxruntime
import platformdirs

from ..models.card import ModelCard

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
Providers = list[Any]
"""As ``onnxruntime.InferenceSession`` takes them: names, or pairs of a name and its options."""
CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
TENSORRT: Final = "TensorrtExecutionProvider"
_LIBRARIES: Final = {CUDA: "onnxruntime_providers_cuda", TENSORRT: "onnxruntime_providers_tensorrt"}


def providers(device: Device, card: ModelCard) -> tuple[Providers, Providers, tuple[str, ...]]:
    """What to ask for, best first, for the encoder and for the decoder, and what the user should know about it.

    TensorRT gets the encoder alone: it builds an engine for each range of shapes, and the decoder's follow from the
    data.
    """
    cpu, cuda = [CPU], [CUDA, CPU]
    if device == "cpu":
        return cpu, cpu, ()
    missing = _why_not(CUDA)
    if missing and device != "auto":
        return cpu, cpu, (f"CUDA was asked for but {missing}; the CPU is used.",)
    if missing:
        return cpu, cpu, (f"There is an NVIDIA GPU, but {missing}; the CPU is used.",) if has_driver() else ()
    if device != "tensorrt":
        return cuda, cuda, ()
    missing = _why_not(TENSORRT)
    if missing:
        return cuda, cuda, (f"TensorRT was asked for but {missing}; CUDA is used.",)
    return [(TENSORRT, tensorrt_options(card)), *cuda], cuda, ()


def has_driver() -> bool:
    """Whether NVIDIA's driver is installed."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def tensorrt_options(card: ModelCard) -> dict[str, Any]:
    """TensorRT's, with its engines kept in the user's cache folder: to build one takes minutes."""
    options: dict[str, Any] = {"trt_fp16_enable": card.precision == "fp16"}
    version = f"{card.digest}-onnxruntime-{onnxruntime.__version__}"
    folder = platformdirs.user_cache_path("samcolloid-edge", appauthor=False) / "tensorrt" / version
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        options |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(folder),
                    "trt_timing_cache_enable": True, "trt_timing_cache_path": str(folder)}  # fmt: skip
    return options


def _why_not(provider: str) -> str:
    """Why a provider cannot be had, as the end of a sentence; empty where it can."""
    if provider not in onnxruntime.get_available_providers():
        return "this onnxruntime is built without it"
    if not has_driver():
        return "there is no NVIDIA driver"
    return _missing_library(provider)


@cache
def _missing_library(provider: str) -> str:
    """As ``_why_not``. Tried once a process: onnxruntime itself would tell it in long lines for every model again."""
    # Load the CUDA and cuDNN libraries of the `cuda` extra, and those of the package `tensorrt`, where they are.
    with contextlib.redirect_stdout(None):
        onnxruntime.preload_dlls()
    if provider == TENSORRT:
        with contextlib.suppress(ImportError):
            import_module("tensorrt_libs")
    pattern = "{}.dll" if sys.platform == "win32" else "lib{}.so"
    for name in ("onnxruntime_providers_shared", _LIBRARIES[provider]):
        path = Path(onnxruntime.__file__).parent / "capi" / pattern.format(name)
        try:
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            package = "tensorrt" if provider == TENSORRT else "samcolloid-edge[cuda]"
            return f"its libraries are not installed, see `pip install {package}` ({str(error).rstrip('.')})"
    return ""
