"""A model in onnxruntime: providers, threads, and a check of both files against the card."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import onnxruntime
from numpy.typing import NDArray

from ..models.card import ModelCard
from ..models.errors import ModelError
from ..models.store import CARD, locate, verify

Device = Literal["auto", "cpu", "cuda"]
PROMPTS: Final = ("point_coords", "point_labels", "iou_threshold")
WINDOW: Final = "window"
"""Optional decoder input of windowed models: the side of the windows, cells, int64."""
_QUIET: Final = 3
"""onnxruntime's severity "error"; its warnings speak to its own developers."""


@dataclass(frozen=True, slots=True)
class Session:
    """A loaded model."""

    card: ModelCard
    encoder: Any
    decoder: Any
    providers: tuple[str, ...]
    """Execution providers in use, in order."""
    notes: tuple[str, ...] = ()
    """What the user should know about how the model runs, one sentence each."""

    def encode(self, image: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """(H, W, 3) uint8 RGB → the encoder's outputs by name."""
        names = [output.name for output in self.encoder.get_outputs()]
        return dict(zip(names, self.encoder.run(names, {"image": image}), strict=True))

    def decode(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """The decoder's inputs by name → its outputs by name."""
        names = [output.name for output in self.decoder.get_outputs()]
        return dict(zip(names, self.decoder.run(names, dict(inputs)), strict=True))


def open_model(model: str | os.PathLike[str] | None = None, device: Device = "auto",
               threads: int | None = None) -> Session:  # fmt: skip
    """Load a model: None is the bundled one, else the folder of a model. Raises ModelError."""
    folder = locate(model)
    card = ModelCard.read(folder / CARD)
    verify(folder, card)
    wanted, notes = _providers(device)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    if threads is not None:
        options.intra_op_num_threads = threads
    # Waiting threads must not take the cores from the program that this engine runs in.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    sessions = []
    for name in ("encoder.onnx", "decoder.onnx"):
        try:
            sessions.append(onnxruntime.InferenceSession(str(folder / name), options, providers=wanted))
        except Exception as error:
            # onnxruntime's exceptions have no common base of their own.
            first = str(error).strip().splitlines()[0]
            raise ModelError(f"{folder / name}: onnxruntime cannot load it ({first}).") from error
    encoder, decoder = sessions
    _check(card, encoder, decoder)
    used = tuple(encoder.get_providers())
    if device == "cuda" and "CUDAExecutionProvider" not in used and not notes:
        notes = ("CUDA was asked for but could not be started; the CPU is used.",)
    return Session(card, encoder, decoder, used, notes)


def _providers(device: Device) -> tuple[list[str], tuple[str, ...]]:
    """Execution providers to ask for, and what to tell the user."""
    cpu = ["CPUExecutionProvider"]
    if device == "cpu":
        return cpu, ()
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        reason = "this onnxruntime is built without it"
    elif not _has_driver():
        reason = "there is no NVIDIA driver"
    else:
        # Loads the CUDA and cuDNN libraries of the `cuda` extra, where they are installed.
        onnxruntime.preload_dlls()
        return ["CUDAExecutionProvider", *cpu], ()
    return cpu, (f"CUDA was asked for but {reason}; the CPU is used.",) if device == "cuda" else ()


def _has_driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _check(card: ModelCard, encoder: Any, decoder: Any) -> None:
    """ModelError where the graphs do not have the inputs and outputs of the model contract."""
    outputs = {o.name for o in encoder.get_outputs()}
    inputs = {i.name for i in decoder.get_inputs()}
    answers = {o.name for o in decoder.get_outputs()}
    windowed = {WINDOW} if card.window else set()
    expected = {"iou_predictions", "prompt_index", "low_res_masks"} | ({"mask_origin"} if card.window else set())
    for problem in (
        {i.name for i in encoder.get_inputs()} ^ {"image"},
        {"image_embeddings"} - outputs,
        inputs ^ (outputs | set(PROMPTS) | windowed),
        expected - answers,
    ):
        if problem:
            raise ModelError(f"Model {card.name} does not obey the model contract: see its tensor {min(problem)!r}.")
