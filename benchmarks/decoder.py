"""Prompts a second of the SAM decoder graph, against a plain export of the same modules and against torch:
``python benchmarks/decoder.py``.

Full SAM sizes (256 channels, 64×64 positions, random weights: they do not change the work), batches of 64 prompts of
one point and its padding, as the automatic run makes them, against one embedding. The plain export is
segment_anything's own code, batched over prompts, behind the same gate; torch is its prompt encoder and
``predict_masks``. All run in one process, in turn, on the same number of threads, and medians are divided.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
from bars import Bar, bars_as_rows, print_bars, print_software, print_table, write_json
from cost import seconds_of
from numpy.typing import NDArray
from samcolloid_edge.engine import machine
from samcolloid_edge.export.graph import write_graph
from samcolloid_edge.export.sam_decoder import INPUTS, OUTPUTS, write_decoder
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import Tensor, nn

SHARES: Final = (1.0, 0.2)
"""Prompts that pass the gate."""
TORCH_BAR: Final = 3.5
PLAIN_BAR: Final = 2.0
TOLERANCE: Final = 1e-3
"""Of the range of the logits."""
CHANNELS, SIDE, CELLS = 256, 1024, 64

Array = NDArray[Any]


class Decoding(nn.Module):
    """SAM's prompt encoder and mask decoder, built as ``segment_anything`` builds them."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt_encoder = PromptEncoder(
            embed_dim=CHANNELS, image_embedding_size=(CELLS, CELLS), input_image_size=(SIDE, SIDE), mask_in_chans=16
        )
        self.mask_decoder = MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=2048, num_heads=8),
            transformer_dim=CHANNELS,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        )


class Plain(nn.Module):
    """segment_anything's own mask decoder, many prompts at once, behind the gate of the contract."""

    def __init__(self, reference: Decoding) -> None:
        super().__init__()
        self.encoder, self.decoder = reference.prompt_encoder, reference.mask_decoder

    def points(self, coords: Tensor, labels: Tensor) -> Tensor:
        """As in ``segment_anything.utils.onnx``, since the prompt encoder's assignments cannot be traced."""
        found = self.encoder.pe_layer._pe_encoding((coords + 0.5) / SIDE)
        kind = labels[..., None]
        found = found * (kind != -1) + self.encoder.not_a_point_embed.weight * (kind == -1)
        for i, embedding in enumerate(self.encoder.point_embeddings):
            found = found + embedding.weight * (kind == i)
        return found

    def forward(self, image: Tensor, coords: Tensor, labels: Tensor, threshold: Tensor) -> tuple[Tensor, ...]:
        dense = self.encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        masks, iou = self.decoder.predict_masks(
            image, self.encoder.get_dense_pe(), self.points(coords, labels), dense.expand(1, -1, CELLS, CELLS)
        )
        index = torch.nonzero(iou[:, 1:].amax(1) >= threshold)[:, 0]
        return iou, index, masks[index]


def write_plain(reference: Decoding, path: Path) -> None:
    """The plain export."""
    example = (torch.zeros(1, CHANNELS, CELLS, CELLS), torch.rand(3, 2, 2), torch.ones(3, 2), torch.tensor(-1e9))
    prompts = {0: "prompts", 1: "points"}
    with torch.no_grad():
        write_graph(Plain(reference), example, path, INPUTS, OUTPUTS,
                    {"point_coords": prompts, "point_labels": prompts, "iou_predictions": {0: "prompts"},
                     "prompt_index": {0: "selected"}, "low_res_masks": {0: "selected"}})  # fmt: skip


def session(path: Path, threads: int) -> Any:
    """A graph on the CPU, with onnxruntime's options as the engine sets them."""
    options = machine.options(threads)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def torch_decoder(reference: Decoding, image: Array, coords: Array, labels: Array) -> Callable[[], tuple[Array, Array]]:
    """A function that decodes the batch as SAM's automatic run does; it returns IoU predictions and masks."""
    embedding, points = torch.from_numpy(image), (torch.from_numpy(coords), torch.from_numpy(labels))
    encoder, decoder = reference.prompt_encoder, reference.mask_decoder

    def decode() -> tuple[Array, Array]:
        with torch.inference_mode():
            sparse, dense = encoder(points=points, boxes=None, masks=None)
            masks, iou = decoder.predict_masks(embedding, encoder.get_dense_pe(), sparse, dense)
        return iou.numpy(), masks.numpy()

    return decode


def share_of_range(ours: Array, theirs: Array) -> float:
    """Largest difference, as a share of the range of ``theirs``."""
    return float(np.abs(ours - theirs).max() / np.ptp(theirs))


def measure(options: argparse.Namespace) -> None:
    """Take all figures and print them beside their bars."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    reference = Decoding().eval()
    image = rng.standard_normal((1, CHANNELS, CELLS, CELLS), np.float32)
    coords = rng.random((options.prompts, 1, 2), np.float32) * SIDE
    labels = np.ones((options.prompts, 1), np.float32)
    # SAM's prompt encoder pads by itself, the graphs do not.
    prompts = {"image_embeddings": image, "point_coords": np.concatenate([coords, np.zeros_like(coords)], 1),
               "point_labels": np.concatenate([labels, -labels], 1)}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.onnx" for name in ("plain", "ours")}
        write_plain(reference, paths["plain"])
        write_decoder(reference, paths["ours"])
        sessions = {name: session(path, options.threads) for name, path in paths.items()}
    in_torch = torch_decoder(reference, image, coords, labels)
    iou, masks = in_torch()
    best = np.sort(iou[:, 1:].max(1))[::-1]
    seconds: dict[tuple[str, float], list[float]] = {}
    worst, passed = 0.0, {}
    for share in SHARES:
        # Half-way to the next prompt, so that rounding decides nothing.
        last = round(share * options.prompts)
        gate = (best[last - 1] + best[last]) / 2 if last < options.prompts else -np.inf
        feed = prompts | {"iou_threshold": np.array(gate, np.float32)}
        for name, graph in sessions.items():
            found, index, logits = graph.run(None, feed)
            passed[name, share] = len(index)
            worst = max(worst, share_of_range(found, iou), share_of_range(logits, masks[index]))
        for _ in range(options.repeats):
            for name, graph in sessions.items():
                taken = seconds_of(lambda graph=graph, feed=feed: graph.run(None, feed))
                seconds.setdefault((name, share), []).append(taken)
            if share == 1:
                seconds.setdefault(("torch", share), []).append(seconds_of(in_torch))
    report(options, seconds, passed, worst)


def report(options: argparse.Namespace, seconds: dict[tuple[str, float], list[float]],
           passed: dict[tuple[str, float], int], worst: float) -> None:  # fmt: skip
    """Tables, bars and, where wanted, JSON."""
    what = {
        "prompts in a batch": options.prompts,
        "threads": options.threads,
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }
    print_software(what)
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    # torch has no gate: its time is the same for every share.
    whole = medians["torch", 1.0]
    rows = [
        [f"{name}, {share:.0%} through the gate", options.prompts / taken, taken / options.prompts * 1e3,
         min(seconds[name, share]) / options.prompts * 1e3, whole / taken, medians["plain", share] / taken
         if name != "torch" else medians["plain", 1.0] / taken]
        for (name, share), taken in medians.items()
    ]  # fmt: skip
    print_table("decoder", ("what", "prompts/s", "ms a prompt", "least", "× torch", "× plain"), rows)

    def faster(than: str, share: float) -> tuple[float, str]:
        other, ours = whole if than == "torch" else medians["plain", share], medians["ours", share]
        return other / ours, f"{other:.3f}/{ours:.3f} s, {passed['ours', share]} of {options.prompts} pass"

    bars = []
    for than, share, least in (("torch", 1.0, TORCH_BAR), ("plain", 0.2, PLAIN_BAR), ("plain", 1.0, None)):
        ratio, detail = faster(than, share)
        bars.append(Bar(f"ours ÷ {than}, {share:.0%} through the gate", ratio, least=least, detail=detail))
    bars.append(Bar("largest difference from torch, share of range", worst, most=TOLERANCE))
    print_bars("bars", bars)
    if options.json:
        figures = [{"what": name, "share": share, "seconds": taken} for (name, share), taken in seconds.items()]
        write_json(options.json, {"software": what, "bars": bars_as_rows(bars), "seconds": figures})


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write all figures here")
    measure(parser.parse_args(arguments))


if __name__ == "__main__":
    main()
