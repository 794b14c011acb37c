"""Training of the bundled model on rendered micrographs; seeded, resumable.

``python -m samcolloid_edge.export.train --checkpoint DIR --start models/colloid-tiny --until 10 --fall 1.5``
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from ..engine.synthetic import Scene, render
from ..engine.synthetic_kinds import everything
from ..models.card import CARD, ModelCard
from .bundle import from_onnx
from .colloid import LEVEL, MASKS, STRIDE, Colloid, normalise
from .loop import QUICK_IN_HALF, Schedule, keep_memory, run

FIRST_SEED = 1_000_000
"""Seeds below are for tests and benchmarks; none of them is trained on."""
POINTS = 96
"""Prompts of a micrograph that count alike, three quarters of them on lobes chosen at random, …"""
BESIDE = 480
"""… and prompts drawn anywhere, of which those count that lie on no lobe: …"""
BESIDE_COUNTS, EMPTY_COUNTS = 0.25, 3.0
"""… what they are worth together, where there are lobes and where there are none, the others together being 1."""
SIDE = 512
NEAR, FAR = 40, 800
"""Of a prompt's cells all in a square of ``NEAR`` around it are trained on, and ``FAR`` of the others, weighted to
stand for all: five times cheaper than the whole map, and small lobes lose nothing."""
PLAIN = 0.5
"""Share of the micrographs that are of ``Scene.random`` alone; the others are of everything."""
SHARES: Final = {"rods": 0.2, "empty": 0.18, "noise": 0.03, "porous": 0.11, "webs": 0.07, "rough_ground": 0.7}
"""Of everything, what is hard to learn or to unlearn has more than its share."""
INVERTED = 0.2
"""Share of the micrographs that are shown as their negatives, but for those of holes, which would look like spheres."""
ENLARGED = 0.45
"""Share of the micrographs that are shown as ones of fewer pixels, as the engine enlarges them for small lobes, …"""
ENLARGED_BY = (1.15, 2.2)
"""… by so much."""
EMPTY_ENLARGED, EMPTY_ENLARGED_BY = 0.7, (1.15, 6.0)
"""The same of micrographs that hold nothing: in them the engine looks at every zoom, for the smallest lobes and …"""
EMPTY_SHRUNKEN, MOST_SHRUNKEN = 0.3, 3
"""… for the largest: share of those that are shown of a larger field instead, shrunken to at least 1 ÷ this."""
LEAST_AREA = 12
"""Visible lobes below this are not prompted, px²."""
FINE = 2
"""Masks (lobe, particle) that also learn from the pixels of the image: of cells alone, met exactly, an engine that
interpolates between them reaches a mean IoU of 0.80 for lobes of 4–6 px radius, 0.89 of 6–8 px, 0.94 of 8–12 px."""
FINE_MARGIN = 0.25
"""Levels of a mask's zero line at which a pixel is 0.73 inside: the outline there is steep, yet has a slope."""


@dataclass(frozen=True, slots=True)
class Example:
    """One rendered micrograph with prompts and soft targets at the masks' stride."""

    image: NDArray[np.uint8]
    points: NDArray[np.float32]
    """(P, 2) (x, y) continuous px; the first L of them lie on lobes and have masks, the others on none."""
    cells: NDArray[np.int64]
    """(L, K) the cells trained on, row-major in the map of masks."""
    weights: NDArray[np.float32]
    """(L, K) how many cells each stands for."""
    targets: NDArray[np.float32]
    """(L, M, K) share of each cell that the mask covers."""
    labels: NDArray[np.int32]
    """(M, H, W) lobes, particles, clusters: what masks are held against at the pixels of the image."""
    auxiliary: NDArray[np.float32]
    """(3, h, w) foreground, lobe boundaries, particle boundaries."""


def _soft(labels: NDArray[np.int32], wanted: NDArray[np.int32]) -> NDArray[np.float32]:
    """(P, h, w) share of each cell that label ``wanted[p]`` covers."""
    h, w = labels.shape
    unique, slot_of = np.unique(wanted, return_inverse=True)
    slot = np.full(int(labels.max()) + 1, -1)
    slot[unique] = np.arange(len(unique))
    rows, cols = np.nonzero(slot[labels] >= 0)
    cells = (slot[labels[rows, cols]] * (h // STRIDE) + rows // STRIDE) * (w // STRIDE) + cols // STRIDE
    counts = np.bincount(cells, minlength=len(unique) * (h // STRIDE) * (w // STRIDE))
    soft = (counts / STRIDE**2).astype(np.float32).reshape(len(unique), h // STRIDE, w // STRIDE)
    soft[unique == 0] = 0
    return soft[slot_of]


def _cells(points: NDArray[np.float64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(L, K) cells near and far from (L, 2) points, and the weight of each."""
    side = SIDE // STRIDE
    first = np.clip((points / STRIDE).astype(int) - NEAR // 2, 0, side - NEAR)
    step = np.arange(NEAR)
    near = (first[:, 1, None, None] + step[:, None]) * side + first[:, 0, None, None] + step
    far = rng.integers(0, side**2, (len(points), FAR))
    row, col = np.divmod(far, side)
    middle = first + (NEAR - 1) / 2
    inside = np.maximum(np.abs(row - middle[:, 1:]), np.abs(col - middle[:, :1])) < NEAR / 2
    weight = np.where(inside, 0, (side**2 - NEAR**2) / np.maximum((~inside).sum(1, keepdims=True), 1))
    cells = np.concatenate([near.reshape(len(points), NEAR**2), far], 1)
    return cells, np.concatenate([np.ones((len(points), NEAR**2)), weight], 1).astype(np.float32)


def _edges(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    edge = np.zeros(labels.shape, np.float32)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edge[:, 1:][across] = 1
    edge[1:][down] = 1
    return edge


def _pooled(image: NDArray[np.float32]) -> NDArray[np.float32]:
    h, w = image.shape
    return image.reshape(h // STRIDE, STRIDE, w // STRIDE, STRIDE).mean((1, 3))


def _enlarged(image: NDArray[np.uint8], rng: np.random.Generator, by: tuple[float, float]) -> NDArray[np.uint8]:
    """The micrograph as if taken with fewer pixels and enlarged: its noise has the same SD, but is coarser."""
    from PIL import Image

    zoom = float(np.exp(rng.uniform(*np.log(by))))
    side, bilinear = round(SIDE / zoom), Image.Resampling.BILINEAR
    # Between neighbours grey values differ mostly by noise.
    noise = 1.4826 / np.sqrt(2) * float(np.median(np.abs(np.diff(image.astype(np.float32), axis=1))))
    small = np.asarray(Image.fromarray(image).resize((side, side), bilinear))
    left = (2 / 3 / zoom) ** 2  # of the variance, by a triangle as wide as 2 zoom
    grainy = np.clip(np.rint(small + rng.normal(0, noise * np.sqrt(1 - left), small.shape)), 0, 255)
    return np.asarray(Image.fromarray(grainy.astype(np.uint8)).resize((SIDE, SIDE), bilinear))


def example(seed: int) -> Example:
    """Render the training example of a seed."""
    import cv2

    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, 3])
    shape = (SIDE, SIDE)
    scene = Scene.random(seed, shape) if rng.random() < PLAIN else everything(seed, shape, **SHARES)
    empty = scene.max_particles == 0
    shrunken = int(rng.integers(2, MOST_SHRUNKEN + 1)) if empty and rng.random() < EMPTY_SHRUNKEN else 1
    truth = render(replace(scene, shape=(SIDE * shrunken, SIDE * shrunken)))
    image, lobes, particles = truth.image, truth.lobes[:SIDE, :SIDE], truth.particles[:SIDE, :SIDE]
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image.T)
        lobes, particles = np.ascontiguousarray(lobes.T), np.ascontiguousarray(particles.T)
    if rng.random() < INVERTED and scene.support != "holes":
        image = 255 - image
    if shrunken > 1:
        image = np.asarray(cv2.resize(image, shape, interpolation=cv2.INTER_AREA), np.uint8)
    elif rng.random() < (EMPTY_ENLARGED if empty else ENLARGED):
        image = _enlarged(image, rng, EMPTY_ENLARGED_BY if empty else ENLARGED_BY)
    area = np.bincount(lobes.ravel())
    area[0] = 0
    candidates = np.flatnonzero(area >= LEAST_AREA)
    points = rng.uniform(0, SIDE, (POINTS + BESIDE, 2))
    if len(candidates):
        # Every lobe counts alike, however small: choose the lobe first, then a pixel of it.
        order = np.argsort(lobes.ravel(), kind="stable")
        start = np.searchsorted(lobes.ravel()[order], np.arange(len(area) + 1))
        on_lobes = POINTS * 3 // 4
        chosen = rng.choice(candidates, on_lobes)
        pixels = order[rng.integers(start[chosen], start[chosen + 1])]
        points[:on_lobes, 0] = pixels % SIDE + rng.uniform(0.01, 0.99, on_lobes)
        points[:on_lobes, 1] = pixels // SIDE + rng.uniform(0.01, 0.99, on_lobes)
    col, row = points.astype(int).T
    clusters = np.asarray(cv2.connectedComponents((lobes > 0).astype(np.uint8))[1], np.int32)
    on_lobe = lobes[row, col] > 0
    points = np.concatenate([points[:POINTS][on_lobe[:POINTS]], points[~on_lobe]])
    on_lobe[POINTS:] = False
    row, col = row[on_lobe], col[on_lobe]
    cells, weights = _cells(points[: len(row)], rng)
    labels = np.stack([lobes, particles, clusters])
    maps = [_soft(a, a[row, col]).reshape(len(cells), (SIDE // STRIDE) ** 2) for a in labels]
    targets = np.stack([np.take_along_axis(a, cells, 1) for a in maps], 1)
    auxiliary = np.stack([_pooled((lobes > 0).astype(np.float32)), _pooled(_edges(lobes)), _pooled(_edges(particles))])
    return Example(image, points.astype(np.float32), cells, weights, targets, labels, auxiliary)


_BETWEEN_CELLS: Final = F.interpolate(torch.eye(NEAR)[None], scale_factor=float(STRIDE), mode="linear")[0].T
"""(pixels, cells) bilinear interpolation along one side of the square about a prompt, as a matrix."""


def at_pixels(logits: Tensor, item: Example) -> tuple[Tensor, Tensor]:
    """IoU (L, M) of masks as the engine makes them, and how far (L, ``FINE``) the soft Dice of the finest is from 1.

    Of (L, M, K) logits those of the square about a prompt are interpolated to pixels, as the engine does it, and held
    against the truth pixel by pixel; for the IoU, cells far from it count as a whole, each for as many as it stands
    for. Only the Dice has a gradient.
    """
    count, side, width = len(item.cells), NEAR * STRIDE, item.labels.shape[2] // STRIDE
    square = LEVEL * torch.tanh(logits[:, :, : NEAR**2].reshape(count, len(MASKS), NEAR, NEAR) / LEVEL)
    pixels = _BETWEEN_CELLS @ square @ _BETWEEN_CELLS.T
    row, col = item.cells[:, 0] // width * STRIDE, item.cells[:, 0] % width * STRIDE
    squares = np.lib.stride_tricks.sliding_window_view(item.labels, (side, side), (1, 2))[:, row, col]
    x, y = item.points[:count].astype(int).T
    truth = (squares == item.labels[:, y, x, None, None]).swapaxes(0, 1)
    with torch.no_grad():
        ours = pixels.numpy() > 0
        both, either = (
            torch.tensor([[np.count_nonzero(mask) for mask in masks] for masks in a]).reshape(count, len(MASKS))
            for a in (ours & truth, ours | truth)
        )
        far, wanted = logits[:, :, NEAR**2 :] > 0, torch.from_numpy(item.targets)[:, :, NEAR**2 :]
        stands_for = torch.from_numpy(item.weights)[:, None, NEAR**2 :] * STRIDE**2
        both = both + (far * wanted * stands_for).sum(2)
        either = either + (torch.maximum(far.to(wanted), wanted) * stands_for).sum(2)
    inside, fine = torch.sigmoid(pixels[:, :FINE] / FINE_MARGIN), torch.from_numpy(truth[:, :FINE].astype(np.float32))
    common = torch.einsum("lmyx,lmyx->lm", inside, fine)
    dice = (2 * common + 1) / (inside.sum((2, 3)) + fine.sum((2, 3)) + 1)
    return both / either.clamp(min=1), 1 - dice


def losses(net: Colloid, item: Example) -> dict[str, Tensor]:
    """Loss terms of one example, named with a leading ``+``, and the IoU reached for prompts on lobes.

    The predicted IoU learns what its mask reaches in the engine's hands, 0 where the prompt lies on no lobe.
    """
    grey = normalise(torch.from_numpy(item.image).float())[None, None].contiguous(memory_format=torch.channels_last)
    points, wanted, count = torch.from_numpy(item.points), torch.from_numpy(item.targets), len(item.cells)
    cells, stands_for = torch.from_numpy(item.cells), torch.from_numpy(item.weights)[:, None]
    with torch.autocast("cpu", torch.bfloat16, enabled=QUICK_IN_HALF):
        y16, y8, y4, features = net.encoder.features(grey)
        auxiliary = net.auxiliary(y4)[0].float()
        hidden = net.decoder.hidden(y16, y8, y4, points)
        weights, iou_logits = net.decoder.weights(hidden[:count]), net.decoder.iou(hidden)
        width = features.shape[3]
        centres = (torch.stack([cells % width, cells // width], 2) + 0.5) * STRIDE
        flat = features[0].flatten(1).T.contiguous()[cells]
        logits = net.decoder.masks(flat, centres - points[:count, None], weights)
    logits = logits.transpose(1, 2).float()
    bce = (F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * stands_for).sum(2)
    inside, size = torch.sigmoid(logits), (wanted * stands_for).sum(2)
    dice = 1 - (2 * (inside * wanted * stands_for).sum(2) + 1) / ((inside * stands_for).sum(2) + size + 1)
    reached, fine = at_pixels(logits, item)
    balance = torch.tensor([1.0, 0.7, 0.25])
    iou = iou_logits.float().sigmoid()
    on = (iou[:count] - reached).square().sum() / POINTS
    beside = iou[count:].square().sum(1).mean() * (BESIDE_COUNTS if count else EMPTY_COUNTS)
    mask_loss = (bce / (4 * size + 64) * 4 + dice) * balance
    return {
        "+fine": (fine * balance[:FINE]).sum(1).mean() if len(fine) else auxiliary.sum() * 0,
        "+mask": mask_loss.sum(1).mean() if len(mask_loss) else auxiliary.sum() * 0,
        "+iou": (on + beside) * 2,
        "+auxiliary": F.binary_cross_entropy_with_logits(auxiliary, torch.from_numpy(item.auxiliary)),
        "beside": iou[count:].amax(1).mean(),
        **{f"iou_{name}": reached[:, i].mean() for i, name in enumerate(MASKS)},
    }


def train(
    folder: Path, schedule: Schedule, seed: int, start: Path | None = None, most_steps: int | None = None
) -> None:
    """Train in ``folder``, see ``loop.run``; where it holds no state, from the weights of the model in ``start``."""
    torch.manual_seed(seed)
    net = from_onnx(start) if start else Colloid()
    run(
        folder, net.train().to(memory_format=torch.channels_last), example, losses, FIRST_SEED + seed * 100_000_000,
        schedule, keep=0.9985, stage=0.2, most_steps=most_steps, notes={"seed": seed, "start": start_of(start)},
    )  # fmt: skip


def start_of(folder: Path | None) -> str:
    """The model that a training began with, in words; of one that went on from others, with how those came about."""
    if folder is None:
        return "nothing"
    card = ModelCard.read(folder / CARD)
    return f"{card.name} {card.digest} ({card.source.split(';')[0]})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of the training state")
    parser.add_argument("--start", type=Path, help="folder of an exported model to begin with (else from nothing)")
    parser.add_argument("--until", type=float, default=10.0, help="hours, those of earlier runs included")
    parser.add_argument("--fall", type=float, default=1.5, help="hours at the end in which the rate falls")
    parser.add_argument("--rate", type=float, default=8e-4, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="threads of torch (else all cores)")
    given = parser.parse_args()
    torch.set_flush_denormal(True)  # for the whole process
    keep_memory()
    if given.threads:
        torch.set_num_threads(given.threads)
    train(given.checkpoint, Schedule(given.rate, given.until, given.fall), given.seed, given.start)
