"""SAM's ViT image encoder (Kirillov et al., *Segment Anything*, ICCV 2023; Li et al., ViTDet, ECCV 2022), laid out to
run fast in onnxruntime on a CPU: the same function, in a graph of matrix products over a list of tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..models.errors import ModelError
from .graph import LARGE, write_graph

SCORES: Final = 2**21
"""Most attention scores computed at once: 8 MB of float32, which a processor's cache holds between the steps."""


class Dense(nn.Module):
    """``x (T, K) → x @ weight + bias (T, N)``; the weight lies (K, N), as onnxruntime multiplies it."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().t().contiguous(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        x = x @ self.weight
        return x if self.bias is None else x + self.bias


class HeadAttention(nn.Module):
    """Attention of one head after another, over windows of h × w tokens, with decomposed relative positions.

    A score is ``q·k / √d + q·R_h[row of q, row of k] + q·R_w[column of q, column of k]`` (Li et al., *MViTv2*, CVPR
    2022). In small windows the last two are part of the first product: q is followed by its products with R_h and R_w,
    k by the one-hot code of its row and column. In large ones that product would outweigh all others, and adding is
    cheaper. Scores are computed for a part of the queries at a time, so that they stay in the cache and take no memory.
    """

    def __init__(self, attention: nn.Module, window: tuple[int, int]) -> None:
        super().__init__()
        self.heads = int(attention.num_heads)
        self.window = window
        h, w = window
        depth = attention.qkv.out_features // 3 // self.heads
        weight = attention.qkv.weight.detach().clone()
        bias = None if attention.qkv.bias is None else attention.qkv.bias.detach().clone()
        width = depth * self.heads
        weight[:width] *= attention.scale
        if bias is not None:
            bias[:width] *= attention.scale
        self.qkv = Dense(weight, bias)
        self.proj = Dense(attention.proj.weight, attention.proj.bias)
        self.relative = bool(attention.use_rel_pos)
        self.joined = self.relative and h + w <= depth
        if self.relative:
            # q carries the scale, which the relative terms do not have.
            self.rows = nn.Parameter(_relative(attention.rel_pos_h, h) / attention.scale, requires_grad=False)
            self.columns = nn.Parameter(_relative(attention.rel_pos_w, w) / attention.scale, requires_grad=False)
        if self.joined:
            place = torch.arange(h * w)
            code = torch.cat([place[:, None] // w == torch.arange(h), place[:, None] % w == torch.arange(w)], 1)
            self.register_buffer("code", code.float()[None], persistent=False)

    def forward(self, qkv: Tensor, order: Tensor | None, windows: int) -> Tensor:
        """``qkv (T, 3C)``, ``order (windows · h · w,)`` tokens → (windows · h · w, C); without order as they come."""
        h, w = self.window
        parts = qkv.reshape(qkv.shape[0], 3 * self.heads, -1)
        out = []
        for head in range(self.heads):
            q, k, v = (parts[:, head + i * self.heads] for i in range(3))
            if order is not None:
                q, k, v = (x.index_select(0, order) for x in (q, k, v))
            q, k, v = (x.reshape(windows, h * w, -1) for x in (q, k, v))
            out.append(self._head(q, k, v).reshape(windows * h * w, -1))
        return torch.cat(out, 1)

    def _head(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """``q, k, v (windows, h · w, d)`` → the same."""
        (h, w), windows = self.window, q.shape[0]
        by_row = by_column = q
        if self.relative:
            grid = q.reshape(windows, h, w, -1)
            by_row = grid @ self.rows
            by_column = (grid.transpose(1, 2) @ self.columns).transpose(1, 2)
        if self.joined:
            q = torch.cat([q, by_row.reshape(windows, h * w, h), by_column.reshape(windows, h * w, w)], 2)
            k = torch.cat([k, self.code.expand(windows, h * w, h + w)], 2)
        k = k.transpose(1, 2)
        step = max(1, SCORES // (windows * h * w * w))
        out = []
        for start in range(0, h, step):
            end = min(start + step, h)
            scores = q[:, start * w : end * w] @ k
            if self.relative and not self.joined:
                scores = scores.reshape(windows, (end - start) * w, h, w)
                scores = scores + by_row[:, start:end].reshape(windows, -1, h, 1)
                scores = scores + by_column[:, start:end].reshape(windows, -1, 1, w)
                scores = scores.reshape(windows, -1, h * w)
            out.append(scores.softmax(2) @ v)
        return torch.cat(out, 1) if len(out) > 1 else out[0]


class Block(nn.Module):
    """One transformer block over ``x (T, C)``, the tokens of the grid row by row."""

    def __init__(self, block: nn.Module, grid: tuple[int, int]) -> None:
        super().__init__()
        side = int(block.window_size)
        self.windowed = side > 0
        self.windows = -(-grid[0] // side) * -(-grid[1] // side) if self.windowed else 1
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.attention = HeadAttention(block.attn, (side, side) if self.windowed else grid)
        self.lin1 = Dense(block.mlp.lin1.weight, block.mlp.lin1.bias)
        self.lin2 = Dense(block.mlp.lin2.weight, block.mlp.lin2.bias)
        self.activation = block.mlp.act

    def forward(self, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        """``order`` and ``back`` as in ``window_order``."""
        y = self.norm1(x)
        if self.windowed:
            # What pads a window is a token of zeros, which the weights turn into their bias: one for all windows.
            y = self.attention(self.attention.qkv(functional.pad(y, (0, 0, 0, 1))), order, self.windows)
            y = y.index_select(0, back)
        else:
            y = self.attention(self.attention.qkv(y), None, 1)
        x = x + self.attention.proj(y)
        return x + self.lin2(self.activation(self.lin1(self.norm2(x))))


class VitEncoder(nn.Module):
    """The image encoder of a SAM with its preprocessing, in the sizes of the module it is made from.

    ``image (H, W, 3) uint8`` RGB, H and W at most the model's side → ``image_embeddings (1, C, h, w) float32``.
    """

    def __init__(self, encoder: nn.Module, pixel_mean: Tensor, pixel_std: Tensor) -> None:
        """``encoder``: segment_anything's ``ImageEncoderViT``; ``pixel_mean``, ``pixel_std``: three values each."""
        super().__init__()
        patch = encoder.patch_embed.proj
        self.side = int(encoder.img_size)
        self.patch = int(patch.kernel_size[0])
        self.grid = (self.side // self.patch, self.side // self.patch)
        self.register_buffer("mean", pixel_mean.detach().reshape(1, 1, 3).clone(), persistent=False)
        # The rows of a patch lie pixel by pixel, (row, column, channel).
        weight = patch.weight.detach() / pixel_std.detach().reshape(1, 3, 1, 1)
        self.embed = Dense(weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1), patch.bias)
        self.position: nn.Parameter | None = None
        if encoder.pos_embed is not None:
            self.position = nn.Parameter(encoder.pos_embed.detach().flatten(0, 2), requires_grad=False)
        self.blocks = nn.ModuleList([Block(block, self.grid) for block in encoder.blocks])
        self.window = max(int(block.window_size) for block in encoder.blocks)
        order, back = window_order(self.grid, max(self.window, 1))
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", back, persistent=False)
        narrow, self.norm1, self.smooth, self.norm2 = encoder.neck
        self.narrow = Dense(narrow.weight.flatten(1), None)

    def forward(self, image: Tensor) -> Tensor:
        """As the class says."""
        (rows, columns), patch, side = self.grid, self.patch, self.side
        x = functional.pad(image.float() - self.mean, (0, 0, 0, side - image.shape[1], 0, side - image.shape[0]))
        x = x.reshape(rows, patch, columns, patch * 3).transpose(1, 2).reshape(rows * columns, -1)
        x = self.embed(x)
        if self.position is not None:
            x = x + self.position
        for block in self.blocks:
            x = block(x, self.order, self.back)
        x = _channel_norm(self.narrow(x), self.norm1)
        x = self.smooth(x.t().reshape(1, -1, rows, columns))
        x = _channel_norm(x.flatten(2)[0].t(), self.norm2)
        return x.t().reshape(1, -1, rows, columns)


def window_order(grid: tuple[int, int], side: int) -> tuple[Tensor, Tensor]:
    """Where the tokens of (H, W) ``grid`` lie in windows of ``side`` × ``side``, filled up at the right and bottom.

    ``(windows · side², )`` the token at each place of the windows, H · W where there is none, and ``(H · W,)`` each
    token's place.
    """
    h, w = grid
    across, down = -(-w // side), -(-h // side)
    tokens = torch.full((down * side, across * side), h * w)
    tokens[:h, :w] = torch.arange(h * w).reshape(h, w)
    order = tokens.reshape(down, side, across, side).transpose(1, 2).reshape(-1)
    back = torch.empty(h * w + 1, dtype=torch.int64)
    back[order] = torch.arange(len(order))
    return order, back[:-1]


def _relative(table: Tensor, size: int) -> Tensor:
    """``table (2 size − 1, d)`` of relative positions → (size, d, size): for each place of q, those of k."""
    if len(table) != 2 * size - 1:
        raise ModelError(
            f"The encoder's table of relative positions has {len(table)} rows where {2 * size - 1} belong to {size} "
            "tokens; give a checkpoint whose image side is the model's."
        )
    place = torch.arange(size)
    return table.detach()[place[:, None] - place[None, :] + size - 1].transpose(1, 2).contiguous()


def _channel_norm(x: Tensor, norm: nn.Module) -> Tensor:
    """segment_anything's ``LayerNorm2d`` over ``x (T, C)``."""
    return functional.layer_norm(x, (x.shape[1],), norm.weight, norm.bias, norm.eps)


def write_encoder(reference: Any, path: Path, large: int = LARGE) -> None:
    """Write the encoder of a ``segment_anything.modeling.Sam`` to ``path``; ``large`` as in ``write_graph``."""
    net = VitEncoder(reference.image_encoder, reference.pixel_mean, reference.pixel_std).eval()
    image = torch.zeros((net.side, net.side * 3 // 4, 3), dtype=torch.uint8)
    with torch.no_grad():
        write_graph(net, (image,), path, ("image",), ("image_embeddings",), {"image": {0: "height", 1: "width"}}, large)
