"""Training of the bundled model on rendered micrographs; seeded, resumable.

``python -m samcolloid_edge.export.train --steps 12000 --checkpoint DIR``
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from ..engine.synthetic import Scene, render
from .colloid import MASKS, STRIDE, Colloid, normalise

T = TypeVar("T")
FIRST_SEED = 1_000_000
"""Seeds below are for tests and benchmarks; none of them is trained on."""
POINTS = 96
SIDE = 512
NEAR, FAR = 40, 800
"""Of a prompt's cells all in a square of ``NEAR`` around it are trained on, and ``FAR`` of the others, weighted to
stand for all: five times cheaper than the whole map, and small lobes lose nothing."""
LEAST_AREA = 12
"""Visible lobes below this are not prompted, px²."""


@dataclass(frozen=True, slots=True)
class Example:
    """One rendered micrograph with prompts and soft targets at the masks' stride."""

    image: NDArray[np.uint8]
    points: NDArray[np.float32]
    """(P, 2) (x, y) continuous px."""
    on_lobe: NDArray[np.bool_]
    """(P,) the prompt lies on a lobe; the L of them have masks."""
    cells: NDArray[np.int64]
    """(L, K) the cells trained on, row-major in the map of masks."""
    weights: NDArray[np.float32]
    """(L, K) how many cells each stands for."""
    targets: NDArray[np.float32]
    """(L, M, K) share of each cell that the mask covers."""
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


def example(seed: int) -> Example:
    """Render the training example of a seed."""
    import cv2

    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, 3])
    truth = render(Scene.random(seed, (SIDE, SIDE)))
    image, lobes, particles = truth.image, truth.lobes, truth.particles
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image.T)
        lobes, particles = np.ascontiguousarray(lobes.T), np.ascontiguousarray(particles.T)
    if rng.random() < 0.05:
        image = 255 - image
    area = np.bincount(lobes.ravel())
    area[0] = 0
    candidates = np.flatnonzero(area >= LEAST_AREA)
    points = rng.uniform(0, SIDE, (POINTS, 2))
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
    cells, weights = _cells(points[on_lobe], rng)
    row, col = row[on_lobe], col[on_lobe]
    maps = [_soft(a, a[row, col]).reshape(len(cells), (SIDE // STRIDE) ** 2) for a in (lobes, particles, clusters)]
    targets = np.stack([np.take_along_axis(a, cells, 1) for a in maps], 1)
    auxiliary = np.stack([_pooled((lobes > 0).astype(np.float32)), _pooled(_edges(lobes)), _pooled(_edges(particles))])
    return Example(image, points.astype(np.float32), on_lobe, cells, weights, targets, auxiliary)


def _yield_to_training() -> None:
    """A renderer that shares the cores evenly makes all threads of a step wait for the one it displaced."""
    if hasattr(os, "nice"):
        os.nice(15)


def examples(make: Callable[[int], T], first: int, pool: ProcessPoolExecutor, ahead: int = 6) -> Iterator[T]:
    """``make(first)``, ``make(first + 1)`` …, rendered ahead in other processes."""
    waiting = [pool.submit(make, first + i) for i in range(ahead)]
    for seed in itertools.count(first + ahead):
        done = waiting.pop(0)
        waiting.append(pool.submit(make, seed))
        yield done.result()


def losses(net: Colloid, item: Example) -> dict[str, Tensor]:
    """Loss terms of one example, and the soft IoU reached for prompts on lobes."""
    grey = normalise(torch.from_numpy(item.image).float())[None, None].contiguous(memory_format=torch.channels_last)
    points, wanted, on_lobe = (torch.from_numpy(a) for a in (item.points, item.targets, item.on_lobe))
    cells, stands_for = torch.from_numpy(item.cells), torch.from_numpy(item.weights)[:, None]
    with torch.autocast("cpu", torch.bfloat16):
        y16, y8, y4, features = net.encoder.features(grey)
        auxiliary = net.auxiliary(y4)[0].float()
        weights, iou_logits = net.decoder.at_points(y16, y8, y4, points)
        width = features.shape[3]
        centres = (torch.stack([cells % width, cells // width], 2) + 0.5) * STRIDE
        flat = features[0].flatten(1).T.contiguous()[cells]
        logits = net.decoder.masks(flat, centres - points[on_lobe][:, None], weights[on_lobe])
    logits = logits.transpose(1, 2).float()
    bce = (F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * stands_for).sum(2)
    inside, size = torch.sigmoid(logits), (wanted * stands_for).sum(2)
    dice = 1 - (2 * (inside * wanted * stands_for).sum(2) + 1) / ((inside * stands_for).sum(2) + size + 1)
    with torch.no_grad():
        low, high = ((f(inside, wanted) * stands_for).sum(2) for f in (torch.minimum, torch.maximum))
        reached = low / high.clamp(min=1e-3)
        iou_target = torch.zeros(len(points), len(MASKS))
        iou_target[on_lobe] = reached
    balance = torch.tensor([1.0, 0.7, 0.25])
    mask_loss = (bce / (4 * size + 64) * 4 + dice) * balance
    return {
        "mask": mask_loss.sum(1).mean() if len(mask_loss) else auxiliary.sum() * 0,
        "iou": (iou_logits.float().sigmoid() - iou_target).square().sum(1).mean() * 2,
        "auxiliary": F.binary_cross_entropy_with_logits(auxiliary, torch.from_numpy(item.auxiliary)),
        **{f"soft_iou_{name}": reached[:, i].mean() for i, name in enumerate(MASKS)},
    }


def train(folder: Path, steps: int, peak_rate: float, seed: int) -> None:
    """Train to ``steps``, going on from the newest state in ``folder``; writes it every three minutes."""
    torch.manual_seed(seed)
    net = Colloid().to(memory_format=torch.channels_last)
    average = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), lr=peak_rate, weight_decay=0.01, fused=True)
    state_file, step, seconds = folder / "state.pt", 0, 0.0
    folder.mkdir(parents=True, exist_ok=True)
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, seconds = state["step"], state["seconds"]
    saved = begun = time.monotonic()
    running: dict[str, float] = {}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_yield_to_training) as pool:
        for item in examples(example, FIRST_SEED + seed * 100_000_000 + step, pool):
            warm = min(1.0, (step + 1) / 200)
            rate = peak_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))
            for group in optimiser.param_groups:
                group["lr"] = rate
            terms = losses(net, item)
            loss = terms["mask"] + terms["iou"] + terms["auxiliary"]
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            step += 1
            keep = min(0.9985, 1 - 1 / (step / 4 + 1))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - keep)
            for name, value in terms.items():
                number = float(value.detach())
                if math.isfinite(number):
                    running[name] = 0.98 * running.get(name, number) + 0.02 * number
            now_s = time.monotonic()
            if step % 50 == 0:
                figures = " ".join(f"{k} {v:.3f}" for k, v in running.items())
                print(f"step {step} {seconds + now_s - begun:.0f} s rate {rate:.1e} {figures}", flush=True)
            if now_s - saved > 180 or step >= steps:
                saved = now_s
                state = {"net": net.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
                         "step": step, "seconds": seconds + now_s - begun, "seed": seed}  # fmt: skip
                torch.save(state, folder / "state.tmp")
                (folder / "state.tmp").replace(state_file)
            if step >= steps:
                return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of the training state")
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--rate", type=float, default=8e-4, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_flush_denormal(True)  # for the whole process
    train(given.checkpoint, given.steps, given.rate, given.seed)
