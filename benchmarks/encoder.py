"""SAM's image encoder in onnxruntime against segment_anything's own in torch: ``python benchmarks/encoder.py``.

Random weights (with relative positions, which SAM's own initialisation leaves at zero), one image of 1024 × 768 px,
both on the CPU with the same number of threads, one run of each in turn. The ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
from bars import Bar, print_bars, print_table
from numpy.typing import NDArray
from samcolloid_edge.engine import machine
from samcolloid_edge.export.quantise import quantise
from samcolloid_edge.export.vit import write_encoder
from segment_anything.modeling import ImageEncoderViT, Sam

FP32_BAR: Final = 0.75
INT8_BAR: Final = 0.4
MODELS: Final[dict[str, dict[str, Any]]] = {
    "vit_b": {"embed_dim": 768, "depth": 12, "num_heads": 12, "global_attn_indexes": (2, 5, 8, 11)},
    "vit_l": {"embed_dim": 1024, "depth": 24, "num_heads": 16, "global_attn_indexes": (5, 11, 17, 23)},
    "vit_h": {"embed_dim": 1280, "depth": 32, "num_heads": 16, "global_attn_indexes": (7, 15, 23, 31)},
    # The first quarter of ViT-B, with the same share of windowed and global blocks.
    "reduced": {"embed_dim": 768, "depth": 3, "num_heads": 12, "global_attn_indexes": (2,)},
}
Encode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def random_sam(model: str) -> Any:
    """What ``write_encoder`` takes, with Meta's sizes (``segment_anything/build_sam.py``) and random weights."""
    torch.manual_seed(0)
    norm = partial(torch.nn.LayerNorm, eps=1e-6)
    encoder = ImageEncoderViT(norm_layer=norm, use_rel_pos=True, window_size=14, **MODELS[model]).eval()
    for name, parameter in encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    return SimpleNamespace(image_encoder=encoder, pixel_mean=mean.reshape(3, 1, 1), pixel_std=std.reshape(3, 1, 1))


def in_torch(sam: Any) -> Encode:
    """As segment_anything's predictor encodes."""

    def encode(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.no_grad():
            prepared = Sam.preprocess(sam, torch.from_numpy(image).permute(2, 0, 1))
            embedding: NDArray[np.float32] = sam.image_encoder(prepared[None]).numpy()
        return embedding

    return encode


def in_onnxruntime(path: Path, threads: int) -> Encode:
    """A graph as the engine runs it."""
    session = onnxruntime.InferenceSession(str(path), machine.options(threads), providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})[0]


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=tuple(MODELS), default="vit_b")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    image = np.random.default_rng(0).integers(0, 255, (1024, 768, 3), np.uint8)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        sam = random_sam(given.model)
        fp32, int8 = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        start = time.perf_counter()
        write_encoder(sam, fp32)
        quantise(fp32, int8)
        print(f"written in {time.perf_counter() - start:.1f} s")
        encoders = {
            "torch fp32": in_torch(sam),
            "onnxruntime fp32": in_onnxruntime(fp32, given.threads),
            "onnxruntime int8": in_onnxruntime(int8, given.threads),
        }
        seconds: dict[str, list[float]] = {name: [] for name in encoders}
        cpu: dict[str, list[float]] = {name: [] for name in encoders}
        found = {}
        for run in range(given.runs + 1):
            for name, encode in encoders.items():
                wall, busy = time.perf_counter(), time.process_time()
                found[name] = encode(image)
                if run:  # The first of each allocates.
                    seconds[name].append(time.perf_counter() - wall)
                    cpu[name].append(time.process_time() - busy)
    reference = found["torch fp32"]
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    rows = [
        (name, median[name], min(seconds[name]), float(np.median(cpu[name])), median[name] / median["torch fp32"],
         f"{np.abs(found[name] - reference).max() / np.ptp(reference):.1e}",
         f"{np.sqrt(np.mean((found[name] - reference) ** 2)) / reference.std():.1e}")
        for name in encoders
    ]  # fmt: skip
    print_table(
        f"{given.model}, {given.threads} threads, {given.runs} runs, torch {torch.__version__}, "
        f"onnxruntime {onnxruntime.__version__}",
        ("encoder", "median s", "least s", "CPU s", "ratio", "largest / range", "RMS / deviation"),
        rows,
    )
    print_bars("bars", [
        Bar("onnxruntime fp32 ÷ torch fp32", median["onnxruntime fp32"] / median["torch fp32"], most=FP32_BAR),
        Bar("onnxruntime int8 ÷ torch fp32", median["onnxruntime int8"] / median["torch fp32"], most=INT8_BAR),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
