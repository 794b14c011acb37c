"""TinyViT as MobileSAM encodes with it: the network of its checkpoints, and the same function as a fast graph.

The network is Wu et al., *TinyViT: Fast Pretraining Distillation for Small Vision Transformers* (ECCV 2022), in the
shape that Zhang et al. gave it in *Faster Segment Anything* (2023): its third downsampling keeps the resolution, and
SAM's neck follows. Rewritten for inference after ``mobile_sam/modeling/tiny_vit_sam.py`` (MobileSAM, Apache-2.0).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

STRIDES: Final = (2, 2, 1, None)
"""Of the downsampling after each stage."""
PATCH: Final = 4


@dataclass(frozen=True, slots=True)
class TinyViTSizes:
    """What tells one TinyViT from another; four stages always. ``widths`` and ``depths`` have an entry for each."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    """Of the three stages with attention."""
    windows: tuple[int, ...]
    """Side of their windows, in tokens."""
    expansion: int
    """Hidden channels of the convolutional stage's blocks."""
    hidden: tuple[int, ...]
    """Hidden channels of the perceptrons of the stages with attention."""
    kernel: int
    """Side of the depthwise convolution between attention and perceptron."""
    out: int
    """Channels of the embedding."""


def conv_norm(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution ``c`` without bias and its BatchNorm ``bn``."""
    layers = nn.Sequential()
    layers.add_module("c", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False))
    layers.add_module("bn", nn.BatchNorm2d(outputs))
    return layers


class Inverted(nn.Module):
    """Widen, convolve each channel, narrow, add (Sandler et al., *MobileNetV2*, 2018): (B, C, H, W) → the same."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = conv_norm(width, hidden)
        self.conv2 = conv_norm(hidden, hidden, 3, groups=hidden)
        self.conv3 = conv_norm(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(y))


class Merging(nn.Module):
    """From one stage to the next: (B, C, H, W) → (B, D, H / stride, W / stride)."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv_norm(width, out)
        self.conv2 = conv_norm(out, out, 3, stride, groups=out)
        self.conv3 = conv_norm(out, out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return y


class Attention(nn.Module):
    """Attention among the tokens of each window: (B, side, side, C) → the same."""

    def __init__(self, width: int, heads: int, window: int, side: int) -> None:
        super().__init__()
        self.heads, self.window, self.side = heads, window, side
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))

    def bias(self) -> Tensor:
        """What is added to the scores, (heads, tokens, tokens): one number per unsigned row and column distance."""
        at = torch.arange(self.window)
        apart = (at[:, None] - at).abs()
        index = apart[:, None, :, None] * self.window + apart[None, :, None, :]
        return self.attention_biases[:, index.flatten(0, 1).flatten(1)]

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        side = self.window
        # The padding is attended to: past the norm its tokens are no longer zero.
        x = F.pad(x, (0, 0, 0, -w % side, 0, -h % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        x = x.view(b, rows, side, columns, side, c).transpose(2, 3).reshape(-1, side * side, c)
        q, k, v = self.qkv(self.norm(x)).view(len(x), side * side, self.heads, -1).transpose(1, 2).chunk(3, 3)
        scores = q @ k.transpose(2, 3) * q.shape[3] ** -0.5 + self.bias()
        x = self.proj((scores.softmax(3) @ v).transpose(1, 2).flatten(2))
        x = x.view(b, rows, columns, side, side, c).transpose(2, 3).reshape(b, rows * side, columns * side, c)
        return x[:, :h, :w]


class Perceptron(nn.Module):
    """Norm and two layers, over the last axis."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return y


class Block(nn.Module):
    """Attention, a depthwise convolution and a perceptron: (B, H, W, C) → the same."""

    def __init__(self, width: int, heads: int, window: int, hidden: int, kernel: int, side: int) -> None:
        super().__init__()
        self.attn: nn.Module = Attention(width, heads, window, side)
        self.local_conv = conv_norm(width, width, kernel, groups=width)
        self.mlp = Perceptron(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.mlp(x)


class Stage(nn.Module):
    """Blocks, then what leads to the next stage: (B, C, H, W) → (B, D, H / stride, W / stride)."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module | None, channels_last: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample
        self.channels_last = channels_last

    def forward(self, x: Tensor) -> Tensor:
        if self.channels_last:
            x = x.permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
        if self.channels_last:
            x = x.permute(0, 3, 1, 2)
        return x if self.downsample is None else self.downsample(x)


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of (B, C, H, W), as SAM's neck has it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        y = F.layer_norm(x.permute(0, 2, 3, 1), (self.width,), self.weight, self.bias, 1e-6)
        return y.permute(0, 3, 1, 2)


class TinyViT(nn.Module):
    """(B, 3, side, side) normalised → (B, out, side / 16, side / 16); parameters named as in MobileSAM's checkpoints.

    Of these the classification head (``norm_head``, ``head``) is left out: nothing reads it.
    """

    def __init__(self, sizes: TinyViTSizes, side: int = 1024) -> None:
        super().__init__()
        self.img_size = side
        """The name under which ``segment_anything`` asks for it."""
        first, *_, last = sizes.widths
        self.patch_embed = nn.Module()
        self.patch_embed.seq = nn.Sequential(conv_norm(3, first // 2, 3, 2), nn.GELU(),
                                             conv_norm(first // 2, first, 3, 2))  # fmt: skip
        self.layers = nn.ModuleList()
        at = side // PATCH
        for stage, (width, depth, stride) in enumerate(zip(sizes.widths, sizes.depths, STRIDES, strict=True)):
            blocks: list[nn.Module] = []
            for _ in range(depth):
                if stage == 0:
                    blocks.append(Inverted(width, sizes.expansion))
                else:
                    heads, window, hidden = (s[stage - 1] for s in (sizes.heads, sizes.windows, sizes.hidden))
                    blocks.append(Block(width, heads, window, hidden, sizes.kernel, at))
            following = None if stride is None else Merging(width, sizes.widths[stage + 1], stride)
            self.layers.append(Stage(blocks, following, channels_last=stage > 0))
            at //= stride or 1
        out = sizes.out
        self.neck = nn.Sequential(nn.Conv2d(last, out, 1, bias=False), ChannelNorm(out),
                                  nn.Conv2d(out, out, 3, padding=1, bias=False), ChannelNorm(out))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed.seq(x)
        for stage in self.layers:
            x = stage(x)
        y: Tensor = self.neck(x)
        return y


class FoldedAttention(nn.Module):
    """What ``Attention`` computes, for one image and in fewer operations; equal but for rounding.

    The norm's affine part, the scores' scale and all biases are folded into the projections. A key's bias adds the same
    to all scores of a query, which the softmax takes out again; a value's bias passes through it unchanged, into the
    output's. So without biases the padding, which the norm leaves at zero, has keys and values of zero, and tokens are
    projected before they are padded.
    """

    def __init__(self, of: Attention) -> None:
        super().__init__()
        self.heads, self.window, self.side = of.heads, of.window, of.side
        width = of.proj.in_features
        self.norm = nn.LayerNorm(width, of.norm.eps, elementwise_affine=False)
        weight = of.qkv.weight.double()
        bias = weight @ of.norm.bias.double() + of.qkv.bias.double()
        weight = weight * of.norm.weight.double()
        q, k, v = weight.view(of.heads, 3, -1, width).unbind(1)
        q_bias, _, v_bias = (b.flatten() for b in bias.view(of.heads, 3, -1).unbind(1))
        scale = (width // of.heads) ** -0.5
        self.q, self.k, self.v, self.out = (nn.Linear(width, width, bias=b) for b in (True, False, False, True))
        out = of.proj.weight.double()
        for target, value in ((self.q.weight, q * scale), (self.q.bias, q_bias * scale), (self.k.weight, k),
                              (self.v.weight, v), (self.out.weight, out),
                              (self.out.bias, of.proj.bias.double() + out @ v_bias)):  # fmt: skip
            target.data.copy_(value.reshape(target.shape))
        self.register_buffer("bias", of.bias().detach())

    def windows(self, x: Tensor) -> Tensor:
        """(1, side, side, C) → (windows, tokens, heads, C / heads), in arrays of at most four axes."""
        w, pad = self.window, -self.side % self.window
        if pad:
            x = F.pad(x, (0, 0, 0, pad, 0, pad))
        n = (self.side + pad) // w
        return x.reshape(n, w, n, -1).transpose(1, 2).reshape(n * n, w * w, self.heads, -1)

    def forward(self, x: Tensor) -> Tensor:
        w, n = self.window, -(-self.side // self.window)
        z = self.norm(x)
        q, k, v = (self.windows(p(z)) for p in (self.q, self.k, self.v))
        scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) + self.bias
        y = (scores.softmax(3) @ v.transpose(1, 2)).transpose(1, 2)
        y = y.reshape(n, n, w, -1).transpose(1, 2).reshape(1, n * w, n * w, -1)
        return self.out(y[:, : self.side, : self.side])


def folded(network: TinyViT) -> TinyViT:
    """A copy for one image a call: each BatchNorm inside its convolution, each attention a ``FoldedAttention``."""
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Attention):
                setattr(parent, name, FoldedAttention(child))
            elif isinstance(child, nn.Sequential) and hasattr(child, "bn"):
                # In double precision: the quotient of small variances would lose digits.
                conv, norm = child.c.double(), child.bn.double()
                setattr(parent, name, nn.utils.fusion.fuse_conv_bn_eval(conv, norm).float())
    return network.requires_grad_(False)


class TinyViTEncoder(nn.Module):
    """``image (H, W, 3) uint8`` RGB, H and W at most ``side`` → ``image_embeddings (1, C, side / 16, side / 16) f32``.

    Normalises, pads with zeros on the right and at the bottom, and encodes, as SAM's ``preprocess`` and encoder do.
    """

    def __init__(self, network: TinyViT, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.side = network.img_size
        self.network = folded(network)
        self.register_buffer("mean", mean.detach().clone().view(3, 1, 1))
        self.register_buffer("std", std.detach().clone().view(3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        x = (image.permute(2, 0, 1).float() - self.mean) / self.std
        x = F.pad(x, (0, self.side - image.shape[1], 0, self.side - image.shape[0]))
        # Spelled out, so that every size behind it is a constant of the graph.
        y: Tensor = self.network(x.reshape(1, 3, self.side, self.side))
        return y
