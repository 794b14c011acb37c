"""Writes the bundled model: the trained network as two ONNX files and a card, proven against torch.

``python -m samcolloid_edge.export.bundle STATE.pt OUT_DIR --stages STAGES.csv``
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from ..engine import machine
from ..engine.synthetic import Scene, render
from ..models.card import CARD, ModelCard
from ..models.errors import ModelError
from .colloid import MASKS, STRIDE, TOP_DOWN, Colloid
from .graph import write_graph

NAME = "colloid-tiny"
WINDOW = 32
SIDE = 1024
SMALLEST_RADIUS, LARGEST_RADIUS = 4.0, 60.0
EMBEDDINGS = ("image_embeddings", "features_8", "features_4", "mask_features")
PROMPTS = ("point_coords", "point_labels", "iou_threshold", "window")
ANSWERS = ("iou_predictions", "prompt_index", "low_res_masks", "mask_origin")
TOLERANCE = 1e-3
"""Largest difference between torch and onnxruntime, of each tensor's range."""


def write_onnx(net: Colloid, folder: Path) -> None:
    """Write ``encoder.onnx`` and ``decoder.onnx``."""
    net = net.eval()
    image = torch.randint(0, 255, (96, 160, 3), dtype=torch.uint8)
    with torch.no_grad():
        maps = net.encoder(image)
        prompts = (torch.rand(5, 2, 2) * 90, torch.tensor([[1.0, -1.0]] * 5), torch.tensor(0.0), torch.tensor(24))
        map_axes = {name: {2: f"h_{name}", 3: f"w_{name}"} for name in EMBEDDINGS}
        write_graph(net.encoder, (image,), folder / "encoder.onnx", ("image",), EMBEDDINGS,
                {"image": {0: "height", 1: "width"}, **map_axes})  # fmt: skip
        write_graph(net.decoder, (*maps, *prompts), folder / "decoder.onnx", (*EMBEDDINGS, *PROMPTS), ANSWERS,
                {**map_axes, "point_coords": {0: "prompts", 1: "points"}, "point_labels": {0: "prompts", 1: "points"},
                 "iou_predictions": {0: "prompts"}, "prompt_index": {0: "selected"},
                 "low_res_masks": {0: "selected", 2: "window_h", 3: "window_w"},
                 "mask_origin": {0: "selected"}})  # fmt: skip


def from_onnx(folder: Path) -> Colloid:
    """The network with the weights of an exported model; the auxiliary head, which is never exported, has random ones.

    Weights keep their names in the graph. Scales and shifts of the GroupNorms do not, but their order. Raises
    ModelError where the graphs hold other weights.
    """
    net = Colloid().eval()
    for name in ("encoder", "decoder"):
        part = getattr(net, name)
        wanted = part.state_dict()
        tensors = onnx.load(folder / f"{name}.onnx").graph.initializer
        given = {tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in tensors}
        unnamed = [key for key in wanted if key not in given]
        others = [value.flatten() for key, value in given.items() if key not in wanted]
        if [wanted[key].shape for key in unnamed] != [value.shape for value in others]:
            raise ModelError(f"{folder}: the weights of {name}.onnx are not those of {NAME}.")
        given |= dict(zip(unnamed, others, strict=True))
        part.load_state_dict({key: given[key] for key in wanted})
    return net


def parity(net: Colloid, folder: Path) -> dict[str, float]:
    """Largest difference between torch and onnxruntime of each output, as a share of its range.

    Run on rendered micrographs of several sizes, none of which the tracer saw, with one and two points a prompt.
    """
    net = net.eval()
    encoder, decoder = (
        onnxruntime.InferenceSession(str(folder / f), machine.options(None), providers=["CPUExecutionProvider"])
        for f in ("encoder.onnx", "decoder.onnx")
    )
    worst: dict[str, float] = {}

    def compare(name: str, ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> None:
        if ours.shape != theirs.shape:
            raise ModelError(f"{name}: onnxruntime gives {ours.shape}, torch {theirs.shape}.")
        if ours.size:
            difference = float(np.abs(ours.astype(np.float64) - theirs).max() / max(float(np.ptp(theirs)), 1e-6))
            worst[name] = max(worst.get(name, 0.0), difference)

    # The last prompts are all below the threshold.
    cases = (((512, 512), 1, 32, 0.5), ((300, 421), 2, 64, 0.5), ((64, 640), 2, 16, 0.5), ((33, 47), 1, 256, 0.5),
             ((200, 200), 2, 32, 1.1))  # fmt: skip
    for seed, (shape, points, window, share) in enumerate(cases):
        rng = np.random.default_rng(seed)
        image = np.repeat(render(Scene.random(900 + seed, shape, (6, 20))).image[..., None], 3, 2)
        coords = (rng.random((40, points, 2)) * [shape[1], shape[0]]).astype(np.float32)
        labels = np.ones((40, points), np.float32)
        labels[:, 1:] = -1
        with torch.no_grad():
            maps = net.encoder(torch.from_numpy(image))
            iou = net.decoder(*maps, torch.from_numpy(coords), torch.from_numpy(labels), torch.tensor(0.0),
                              torch.tensor(8))[0].amax(1)  # fmt: skip
            gate = float(iou.quantile(share)) - 1e-4 if share < 1 else 1.0
            prompts = {"point_coords": coords, "point_labels": labels, "iou_threshold": np.array(gate, np.float32),
                       "window": np.array(window)}  # fmt: skip
            theirs = net.decoder(*maps, *(torch.as_tensor(v) for v in prompts.values()))
        ours = encoder.run(None, {"image": image})
        for name, a, b in zip(EMBEDDINGS, ours, maps, strict=True):
            compare(name, a, b.numpy())
        exact = {k: v.numpy() for k, v in zip(EMBEDDINGS, maps, strict=True)}
        for name, a, b in zip(ANSWERS, decoder.run(None, {**exact, **prompts}), theirs, strict=True):
            compare(name, a, b.numpy())
    return worst


def blend(net: Colloid, other: Colloid, share: float) -> None:
    """Weights of ``net``: ``share`` of its own and the rest of ``other``'s, from which it was trained on.

    Between the two lies a network that is nearly as good at what is new, and has lost less of what was known (Wortsman
    et al., Robust Fine-Tuning of Zero-Shot Models, CVPR 2022). The auxiliary head, which no export has, stays.
    """
    weights = other.state_dict()
    net.load_state_dict({key: value if key.startswith("auxiliary") else torch.lerp(weights[key], value, share)
                         for key, value in net.state_dict().items()})  # fmt: skip


def mean(weights: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of the weights that a training had at several times, which lies deeper in the valley than each of them
    (Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, UAI 2018)."""
    return {key: torch.stack([each[key] for each in weights]).mean(0) for key in weights[0]}


def bundle(
    state_file: Path, folder: Path, evaluation: dict[str, Any] | None = None, start: Path | None = None,
    share: float = 1.0, earlier: Sequence[Path] = (),
) -> ModelCard:  # fmt: skip
    """Write the model of a training state to ``folder``; raises ModelError where ONNX and torch disagree.

    With ``earlier`` states of the same training its weights are the mean of all. With ``start``, a model that the
    training began with or came by, ``share`` of the weights are these, the rest its.
    """
    state = torch.load(state_file, weights_only=True)
    others = [torch.load(file, weights_only=True) for file in earlier]
    net = Colloid()
    net.load_state_dict(mean([each["average"] for each in (state, *others)]))
    made = ""
    if others:
        steps = ", ".join(str(each["step"]) for each in others)
        made = f", the mean of the weights then and after {steps} steps"
    if start:
        blend(net, from_onnx(start), share)
        other = ModelCard.read(start / CARD)
        made += f"; {share:g} of these weights and {1 - share:g} of those of {other.name} {other.digest}"
    folder.mkdir(parents=True, exist_ok=True)
    write_onnx(net, folder)
    worst = parity(net, folder)
    outside = {name: value for name, value in worst.items() if value > TOLERANCE}
    if outside:
        raise ModelError(f"ONNX and torch differ by more than {TOLERANCE} of the range: {outside}.")
    card = ModelCard(
        name=NAME,
        family=NAME,
        licence="Apache-2.0",
        source=f"trained from {state['start']} on rendered micrographs by samcolloid_edge.export.train, "
        f"{state['step']} steps, {state['seconds'] / 60:.0f} minutes of the CPU cores it was given, seed "
        f"{state['seed']}{made}; the renderings were chosen by "
        "looking at published micrographs of the three samples named in benchmarks/agreement.py, no gradient saw them",
        files={f: hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in ("encoder.onnx", "decoder.onnx")},
        side=SIDE,
        resize="native",
        embedding_shape=(1, TOP_DOWN[2], None, None),
        precision="fp32",
        masks=MASKS,
        mask_stride=STRIDE,
        window=WINDOW,
        smallest_radius=SMALLEST_RADIUS,
        largest_radius=LARGEST_RADIUS,
        parity={"largest difference, share of range": worst, "tolerance": TOLERANCE},
        evaluation=evaluation or {},
    )
    temporary = folder / "card.json.tmp"
    temporary.write_text(card.to_json(), "utf-8")
    temporary.replace(folder / "card.json")
    return card


def read_stages(path: Path) -> dict[str, Any]:
    """The rows of ``benchmarks/stages.py``, hours of training against figures, as a card's evaluation."""
    with path.open(newline="", encoding="utf-8") as file:
        return {"python benchmarks/stages.py": list(csv.DictReader(file))}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stages", type=Path, help="CSV of benchmarks/stages.py, for the card")
    parser.add_argument("--start", type=Path, help="the model that the training began with, to be blended with it")
    parser.add_argument("--share", type=float, default=0.7, help="of the trained weights where it is blended")
    parser.add_argument("--mean", type=Path, nargs="*", default=(), help="earlier states to take the mean with")
    given = parser.parse_args()
    stages = read_stages(given.stages) if given.stages else None
    print(bundle(given.state, given.folder, stages, given.start, given.share, given.mean).to_json())
