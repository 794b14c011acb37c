"""The bundled model's network: a convolutional encoder, and a head whose mask weights follow from the prompt.

The head is conditional convolution for instance segmentation (Tian et al., ECCV 2020): features sampled at the
prompt become the weights of three 1×1 layers, run over mask features and the coordinates relative to the prompt.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

MASKS: Final = ("lobe", "particle", "cluster")
STRIDE: Final = 4
"""Model px per cell of the mask features."""
REACH: Final = 16.0
"""Relative coordinates are divided by this, model px."""
BUMPS: Final = (8.0, 20.0, 50.0)
"""SDs of Gaussian bumps around the prompt, model px: with them the head localises from the first steps on."""
PLACE: Final = 3 + len(BUMPS)
"""Inputs of the head that tell where a cell lies: dx, dy, distance and the bumps."""
LEVEL: Final = 2.0
"""Masks leave the graph as ``SCALE · LEVEL · tanh(logit / LEVEL)``, at 2 that is proportional to 2 p − 1 of the
probability p: the engine then interpolates shares of cells, whose contour at one half is the outline. Between plain
logits it lies too far inside, as the network is surer of what is outside than of what is inside."""
SCALE: Final = 3.5
"""Makes masks that are worth keeping have a stability of 0.8 or more at SAM's offset of 1, as SAM's have."""
HIDDEN: Final = 16
MASK_FEATURES: Final = 16
WIDTHS: Final = (32, 64, 128, 192)
TOP_DOWN: Final = (64, 96, 128)
"""Channels of the top-down path at strides 4, 8, 16."""


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(8, channels)


class Residual(nn.Module):
    """Two 3×3 convolutions and a shortcut, with squeeze-excite where asked for."""

    def __init__(self, channels: int, squeeze: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), _norm(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), _norm(channels),
        )  # fmt: skip
        self.squeeze = nn.Sequential(
            nn.Conv2d(channels, channels // 8, 1), nn.ReLU(), nn.Conv2d(channels // 8, channels, 1), nn.Sigmoid()
        ) if squeeze else None  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        if self.squeeze is not None:
            y = y * self.squeeze(y.mean((2, 3), keepdim=True))
        return F.relu(x + y)


def _down(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), _norm(after), nn.ReLU())


def _smooth(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), _norm(channels), nn.ReLU())


class Encoder(nn.Module):
    """``image (H, W, 3) uint8`` → embeddings at strides 16, 8 and 4 and the mask features at stride 4."""

    def __init__(self) -> None:
        super().__init__()
        c4, c8, c16, c32 = WIDTHS
        t4, t8, t16 = TOP_DOWN
        self.stem = nn.Sequential(_down(1, 24), _down(24, c4))
        self.stage4 = nn.Sequential(Residual(c4, False), Residual(c4, False))
        self.stage8 = nn.Sequential(_down(c4, c8), Residual(c8, False), Residual(c8, False))
        self.stage16 = nn.Sequential(_down(c8, c16), Residual(c16, True), Residual(c16, True))
        self.stage32 = nn.Sequential(_down(c16, c32), Residual(c32, True), Residual(c32, True), Residual(c32, True))
        self.lateral16, self.from32 = nn.Conv2d(c16, t16, 1), nn.Conv2d(c32, t16, 1)
        self.lateral8, self.from16 = nn.Conv2d(c8, t8, 1), nn.Conv2d(t16, t8, 1)
        self.lateral4, self.from8 = nn.Conv2d(c4, t4, 1), nn.Conv2d(t8, t4, 1)
        self.smooth16, self.smooth8 = _smooth(t16), _smooth(t8)
        self.smooth4 = nn.Sequential(_smooth(t4), _smooth(t4))
        self.mask_features = nn.Conv2d(t4, MASK_FEATURES, 1)

    def features(self, grey: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 1, H, W) normalised grey, H and W multiples of 32 → features at strides 16, 8, 4, mask features."""
        x4 = self.stage4(self.stem(grey))
        x8 = self.stage8(x4)
        x16 = self.stage16(x8)
        x32 = self.stage32(x16)
        up16 = F.interpolate(self.from32(x32), scale_factor=2.0, mode="nearest")
        y16 = self.smooth16(self.lateral16(x16) + up16)
        y8 = self.smooth8(self.lateral8(x8) + F.interpolate(self.from16(y16), scale_factor=2.0, mode="nearest"))
        y4 = self.smooth4(self.lateral4(x4) + F.interpolate(self.from8(y8), scale_factor=2.0, mode="nearest"))
        return y16, y8, y4, self.mask_features(y4)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # A matrix product with so small a matrix takes onnxruntime longer than the convolutions after it.
        grey = normalise((image.float() * image.new_tensor([0.299, 0.587, 0.114], dtype=torch.float32)).sum(2))
        height, width = grey.shape
        grey = F.pad(grey[None, None], (0, (-width) % 32, 0, (-height) % 32))
        return self.features(grey)


def normalise(grey: Tensor) -> Tensor:
    """Grey levels 0–255 → about −2 … 2."""
    return (grey / 255 - 0.45) / 0.25


def _sample(features: Tensor, points: Tensor, stride: int) -> Tensor:
    """Bilinear (P, C) samples of (1, C, h, w) features at (P, 2) points, (x, y), continuous model px."""
    h, w = features.shape[2:]
    size = torch.stack([torch.as_tensor(w), torch.as_tensor(h)]).to(points) * stride
    grid = (points / size * 2 - 1)[None, None]
    sampled = F.grid_sample(features.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled[0, :, 0].T


class Decoder(nn.Module):
    """Prompts → predicted IoU of every prompt, and windows of logits of those that reach the threshold."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = [(MASK_FEATURES + PLACE, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, len(MASKS))]
        n_weights = sum(a * b + b for a, b in self.sizes)
        self.trunk = nn.Sequential(nn.Linear(sum(TOP_DOWN), 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
        self.weights = nn.Linear(256, n_weights)
        self.iou = nn.Linear(256, len(MASKS))
        # Start from one ordinary small network for all prompts, which the prompts then learn to change.
        nn.init.normal_(self.weights.weight, std=0.005)
        start = [torch.cat([torch.randn(a * b) / a**0.5, torch.zeros(b)]) for a, b in self.sizes]
        start[-1][-len(MASKS) :] = -2
        with torch.no_grad():
            self.weights.bias.copy_(torch.cat(start))

    def hidden(self, y16: Tensor, y8: Tensor, y4: Tensor, points: Tensor) -> Tensor:
        """(P, 2) continuous model px → (P, 256), from which ``weights`` and the logits of ``iou`` follow."""
        sampled = torch.cat([_sample(y16, points, 16), _sample(y8, points, 8), _sample(y4, points, 4)], 1)
        hidden: Tensor = self.trunk(sampled)
        return hidden

    def masks(self, features: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
        """(S or 1, N, 16) mask features and (S, N, 2) cells relative to the prompt, model px → (S, N, M) logits."""
        near = offsets / REACH
        squared = near.square().sum(2, keepdim=True)
        bumps = [torch.exp(squared * (-0.5 * (REACH / sd) ** 2)) for sd in BUMPS]
        x = torch.cat([features, near, squared.sqrt(), *bumps], 2)
        start = 0
        for i, (a, b) in enumerate(self.sizes):
            kernel = weights[:, start : start + a * b].reshape(weights.shape[0], a, b)
            bias = weights[:, start + a * b : start + a * b + b].reshape(weights.shape[0], 1, b)
            x = torch.matmul(x, kernel) + bias
            if i < 2:
                x = F.relu(x)
            start += a * b + b
        return x

    def forward(
        self,
        image_embeddings: Tensor,
        features_8: Tensor,
        features_4: Tensor,
        mask_features: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        iou_threshold: Tensor,
        window: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # The mean of the positive points stands for the prompt; other labels say nothing to this model.
        positive = (point_labels == 1).to(point_coords)[..., None]
        points = (point_coords * positive).sum(1) / positive.sum(1).clamp(min=1) + 0.5
        hidden = self.hidden(image_embeddings, features_8, features_4, points)
        iou = self.iou(hidden).sigmoid()
        index = torch.nonzero(iou.amax(1) >= iou_threshold)[:, 0]
        # ONNX cannot reshape what is empty, so the first prompt is decoded in any case, and taken away at the end.
        decoded = torch.cat([index.new_zeros(1), index])
        points, weights = points[decoded], self.weights(hidden[decoded])
        h, w = mask_features.shape[2], mask_features.shape[3]
        size = torch.stack([torch.as_tensor(w), torch.as_tensor(h)]).to(window)
        span = torch.minimum(window, size)
        n_cells = span[0] * span[1]
        origin = torch.floor(points / STRIDE - span / 2 + 0.5).to(torch.int64)
        origin = torch.minimum(origin.clamp(min=0), size - span)
        cols = origin[:, 0:1] + torch.arange(span[0], device=origin.device)
        rows = origin[:, 1:2] + torch.arange(span[1], device=origin.device)
        cells = (rows[:, :, None] * w + cols[:, None, :]).reshape(decoded.shape[0], n_cells)
        flat = mask_features[0].flatten(1).T
        centres_x = (cols.to(points) + 0.5) * STRIDE - points[:, 0:1]
        centres_y = (rows.to(points) + 0.5) * STRIDE - points[:, 1:2]
        one = torch.ones_like(centres_x[:, None, :])
        offsets = torch.stack(
            [centres_x[:, None, :] * torch.ones_like(centres_y[:, :, None]), centres_y[:, :, None] * one], 3
        ).reshape(decoded.shape[0], n_cells, 2)
        logits = self.masks(flat[cells], offsets, weights)
        logits = SCALE * LEVEL * torch.tanh(logits / LEVEL)
        masks = logits.transpose(1, 2).reshape(decoded.shape[0], len(MASKS), span[1], span[0])
        return iou, index, masks[1:], origin[1:]


class Colloid(nn.Module):
    """Encoder, decoder and the auxiliary head that only training uses."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.auxiliary = nn.Conv2d(TOP_DOWN[0], 3, 1)
