"""Training of a reduced SAM on rendered micrographs: a two-block ViT encoder before SAM's own mask decoder.

Small enough to lie beside the tests, and with real masks to prove an export on: random weights give noise for masks.
``python -m samcolloid_edge.export.reduced --checkpoint DIR --minutes 30``, then with ``--write FILE`` for the weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from segment_anything.modeling import Sam, image_encoder
from torch import Tensor, nn

from ..engine.synthetic import Scene, render
from .loop import QUICK_IN_HALF, Schedule, run
from .sam import build, reference
from .train import _edges, _pooled, _soft

SIZES: Final[dict[str, Any]] = {
    "img_size": 1024, "patch_size": 16, "embed_dim": 96, "num_heads": 6, "window_size": 14,
    "global_attn_indexes": (1,), "depth": 2, "mlp_ratio": 4.0, "decoder_dim": 256, "decoder_mlp_dim": 512,
}  # fmt: skip
"""One block with windows, one without. The decoder is SAM's but for the hidden layer of its MLPs, 512 for 2,048: with
that the weights would be over 8 MB."""
FIRST_SEED: Final = 500_000_000
STRIDE: Final = 4
RADII: Final = (18.0, 44.0)
"""Of the lobes, model px."""
WINDOWS: Final = ((256, 48, 0.97), (1024, 6, 0.03))
"""Side, prompts and share of the training images: most show a small part of the frame, at its place in the frame."""
POINT_FREQUENCY: Final = 4.0
"""SD of the positional encoding's frequencies; SAM's is 1. A finer one tells near points apart from the first step."""
ATTENTION_GAIN: Final = 2.0
REACH: Final = 32.0
"""Distances to the middle of a lobe are in units of this, model px."""
RATE: Final = 6e-4


@dataclass(frozen=True, slots=True)
class Example:
    """Part of a rendered frame with prompts and soft masks."""

    image: NDArray[np.uint8]
    """(side, side)."""
    corner: tuple[int, int]
    """(x, y) of the part in the frame, px, a multiple of the patch."""
    points: NDArray[np.float32]
    """(P, 2) (x, y), px of the part."""
    targets: NDArray[np.float32]
    """(P, 3, h, w) share of each cell that lobe, particle and cluster under the prompt cover; 0 on background."""
    surroundings: NDArray[np.float32]
    """(4, h, w) share of lobes, share of their outlines, and (x, y) to the middle of the lobe, in ``REACH``."""


def _scene(seed: int, side: int, rng: np.random.Generator) -> Scene:
    """A scene without what is hard to see: half an hour is short."""
    return replace(
        Scene.random(seed, (side, side), RADII), style="sem", contrast=1.0, contrast_to_noise=float(rng.uniform(8, 30)),
        blur=1.0, odd_share=0.0, on_top_share=0.0, unevenness=0.0, tilted_share=0.0, data_bar=False,
    )  # fmt: skip


def example(seed: int) -> Example:
    """Render the training example of a seed."""
    import cv2

    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, 7])
    side, n_points, _ = WINDOWS[int(rng.choice(len(WINDOWS), p=[share for _, _, share in WINDOWS]))]
    truth = render(_scene(seed, side, rng))
    # Parts of a frame that lie at its border are as frequent as they are when an image is cut into parts.
    corner = rng.integers(0, (SIZES["img_size"] - side) // SIZES["patch_size"] + 1, 2) * SIZES["patch_size"]
    points = rng.uniform(0, side, (n_points, 2))
    area = np.bincount(truth.lobes.ravel())
    area[0] = 0
    if len(candidates := np.flatnonzero(area >= 60)):
        for i, lobe in enumerate(rng.choice(candidates, n_points * 4 // 5)):
            points[i] = rng.choice(np.argwhere(truth.lobes == lobe))[::-1] + 0.5
    col, row = points.astype(int).T
    clusters = np.asarray(cv2.connectedComponents((truth.lobes > 0).astype(np.uint8))[1], np.int32)
    targets = np.stack([_soft(a, a[row, col]) for a in (truth.lobes, truth.particles, clusters)], 1)
    return Example(truth.image, (int(corner[0]), int(corner[1])), points.astype(np.float32), targets,
                   _surroundings(truth.lobes))  # fmt: skip


def _surroundings(lobes: NDArray[np.int32]) -> NDArray[np.float32]:
    rows, cols = np.indices(lobes.shape)
    size = np.maximum(np.bincount(lobes.ravel()), 1)
    on = lobes > 0
    to_middle = [np.where(on, (np.bincount(lobes.ravel(), at.ravel()) / size)[lobes] - at, 0) for at in (cols, rows)]
    maps = [on, _edges(lobes), *(distance / REACH for distance in to_middle)]
    return np.stack([_pooled(np.asarray(a, np.float32)) for a in maps])


class Trainee(nn.Module):
    """A reduced SAM, and a head on its embedding that only training uses: without it the encoder learns very slowly."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.sam = start(seed)
        self.head = nn.Conv2d(SIZES["decoder_dim"], 4 * (SIZES["patch_size"] // STRIDE) ** 2, 1)

    def surroundings(self, embedding: Tensor) -> Tensor:
        """(1, C, h, w) embedding → (4, 4 h, 4 w) what ``Example.surroundings`` holds; logits of the two shares."""
        return F.pixel_shuffle(self.head(embedding), SIZES["patch_size"] // STRIDE)[0]


def start(seed: int) -> Sam:
    """A reduced SAM to train: attention between image and prompt begins where both are at the same place."""
    torch.manual_seed(seed)
    net = build(**SIZES)
    net.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix.mul_(POINT_FREQUENCY)
    nn.init.normal_(net.image_encoder.pos_embed, std=0.02)
    for name, module in net.mask_decoder.transformer.named_modules():
        if name.endswith(("token_to_image", "image_to_token")):
            nn.init.orthogonal_(module.q_proj.weight, gain=ATTENTION_GAIN)
            with torch.no_grad():
                module.k_proj.weight.copy_(module.q_proj.weight)
    return net


def _rel_pos(q_size: int, k_size: int, rel_pos: Tensor) -> Tensor:
    """SAM's table of relative positions, of which a smaller image uses the middle; SAM itself would stretch it."""
    middle = len(rel_pos) // 2
    index = torch.arange(q_size)[:, None] - torch.arange(k_size)[None, :]
    return rel_pos[index + middle]


def forward(net: Sam, item: Example) -> tuple[Tensor, Tensor, Tensor]:
    """(P, 4, h, w) logits and (P, 4) predicted IoU of one example, and its embedding."""
    x = torch.from_numpy(item.image).float().expand(1, 3, -1, -1)
    x = (x - net.pixel_mean) / net.pixel_std
    encoder, patch, side = net.image_encoder, SIZES["patch_size"], x.shape[3] // SIZES["patch_size"]
    x0, y0 = (c // patch for c in item.corner)
    here = (slice(y0, y0 + side), slice(x0, x0 + side))
    tokens = encoder.patch_embed(x) + encoder.pos_embed[:, here[0], here[1]]
    for block in encoder.blocks:
        tokens = block(tokens)
    embedding = encoder.neck(tokens.permute(0, 3, 1, 2))
    points = torch.from_numpy(item.points) - 0.5 + torch.tensor(item.corner)
    sparse, _ = net.prompt_encoder((points[:, None], torch.ones(len(points), 1)), None, None)
    dense = net.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(len(points), -1, side, side)
    position = net.prompt_encoder.get_dense_pe()[:, :, here[0], here[1]]
    logits, iou = net.mask_decoder.predict_masks(embedding, position, sparse, dense)
    return logits.float(), iou.float(), embedding


def losses(net: Trainee, item: Example) -> dict[str, Tensor]:
    """Loss terms of one example, named with a leading ``+``, and the soft IoU reached for prompts on lobes."""
    with torch.autocast("cpu", torch.bfloat16, enabled=QUICK_IN_HALF):
        logits, iou, embedding = forward(net.sam, item)
        seen = net.surroundings(embedding).float()
    there = torch.from_numpy(item.surroundings)
    to_middle = (seen[2:] - there[2:]).abs() * there[:1]
    shares = F.binary_cross_entropy_with_logits(seen[:2], there[:2])
    # The mask of the single-mask token is the lobe; the three others are lobe, particle and cluster.
    wanted = torch.from_numpy(item.targets)[:, [0, 0, 1, 2]]
    on_lobe = wanted[:, 0].amax((1, 2)) > 0
    size, inside = wanted.sum((2, 3)), logits.sigmoid()
    bce = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum((2, 3))
    dice = 1 - (2 * (inside * wanted).sum((2, 3)) + 1) / (inside.sum((2, 3)) + size + 1)
    with torch.no_grad():
        low, high = (f(inside, wanted).sum((2, 3)) for f in (torch.minimum, torch.maximum))
        reached = torch.where(on_lobe[:, None], low / high.clamp(min=1e-3), 0.0)
    mask_loss = (bce / (size + 16) + dice)[on_lobe] * torch.tensor([1.0, 1.0, 0.7, 0.25])
    return {
        "+mask": mask_loss.sum(1).mean() if len(mask_loss) else logits.sum() * 0,
        "+iou": (iou - reached).square().sum(1).mean() * 2,
        "+surroundings": 2 * shares + 2 * to_middle.sum() / (there[0].sum() + 1),
        **{f"soft_iou_{i}": reached[on_lobe, i].mean() for i in range(4)},
    }


def train(folder: Path, minutes: float, seed: int, most_steps: int | None = None) -> None:
    """Train for so many minutes altogether, going on from the newest state in ``folder``, see ``loop.run``."""
    image_encoder.get_rel_pos = _rel_pos
    hours = minutes / 60
    run(folder, Trainee(seed), example, losses, FIRST_SEED, Schedule(RATE, hours, hours, warm=100), keep=0.998,
        most_steps=most_steps)  # fmt: skip


def write(state_file: Path, path: Path) -> None:
    """The averaged weights of a training state as fp16, in the form of one of Meta's checkpoints."""
    weights: Mapping[str, Tensor] = torch.load(state_file, weights_only=True)["average"]
    halved = {name[4:]: tensor.half() for name, tensor in weights.items() if name.startswith("sam.")}
    reference(halved)
    torch.save(halved, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of the training state")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="write the weights here instead of training")
    given = parser.parse_args()
    if given.write:
        write(given.checkpoint / "state.pt", given.write)
    else:
        torch.set_flush_denormal(True)  # for the whole process
        train(given.checkpoint, given.minutes, given.seed)
