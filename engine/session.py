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

from ..models.card import GRAPHS, ModelCard
from ..models.contract import Tensors, check
from ..models.errors import ModelError
from ..models.stamps import state_of
from ..models.store import locate, open_card

Device = Literal["auto", "cpu", "cuda"]
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
    """Load a model: None is the bundled one, else a name or a folder, see ``locate``. Raises ModelError.

    onnxruntime maps weights that lie beside their graph into memory and packs them from there: they are held once.
    """
    folder = locate(model)
    card, checked = open_card(folder)
    wanted, notes = _providers(device)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    if threads is not None:
        options.intra_op_num_threads = threads
    # Waiting threads must not take the cores from the program that this engine runs in.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    sessions = []
    for name in GRAPHS:
        try:
            sessions.append(onnxruntime.InferenceSession(str(folder / name), options, providers=wanted))
        except Exception as error:
            # onnxruntime's exceptions have no common base of their own.
            first = str(error).strip().splitlines()[0]
            raise ModelError(f"{folder / name}: onnxruntime cannot load it ({first}).") from error
    if state_of(folder, card) != checked:
        raise ModelError(f"{folder}: the model was replaced while it was being loaded; run again.")
    encoder, decoder = sessions
    check(card, _tensors(encoder), _tensors(decoder))
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


def _tensors(session: Any) -> Tensors:
    return Tensors([i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()])
