"""SAM's prompt encoder and mask decoder as the contract's decoder graph: the same function, arranged for many prompts.

All of it is exact algebra on segment_anything's weights (Kirillov et al., ICCV 2023). Few tokens T (5 for the output,
and the points) meet many image positions N, and three things make that cheap:

- What no prompt changes is computed once: the first layer's image keys, and their projections.
- From then on image-side projections are moved to the token side, (W x_n) · q_t = x_n · (Wᵀ q_t) in each of H heads:
  H · T × C products a position instead of C/2 × C for every projection, and no projected copies of the image.
- The upscaling runs only for prompts that pass the gate, as matrix products whose 2×2 sub-positions stay an axis of
  their own; pixels are put in order only where few channels are left, in the masks.

No reshape here has an inferred size (-1): ONNX can infer none when no prompt passes the gate.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from .graph import write_graph

INPUTS: Final = ("image_embeddings", "point_coords", "point_labels", "iou_threshold")
OUTPUTS: Final = ("iou_predictions", "prompt_index", "low_res_masks")


class Attention(nn.Module):
    """What the attentions have in common: H heads of equal size, 1/√d on the token side, where the tensors are small.

    C are the channels of tokens and image, I = H · d those of the attention; N is the number of image positions.
    """

    def __init__(self, reference: Any, positions: int = 0) -> None:
        super().__init__()
        self.positions = positions
        self.heads: int = reference.num_heads
        self.width: int = reference.internal_dim
        self.channels: int = reference.embedding_dim
        self.size = self.width // self.heads
        self.scale = 1 / math.sqrt(self.size)

    def scaled(self, linear: Any) -> nn.Linear:
        """``linear`` with the scale of the logits in it."""
        return _linear(linear.weight * self.scale, linear.bias * self.scale)

    def by_head(self, weight: Tensor) -> Tensor:
        """``(I, X)`` → ``(H, d, X)``."""
        return weight.detach().reshape(self.heads, self.size, weight.shape[1]).contiguous()

    def split(self, x: Tensor) -> Tensor:
        """``(P, T, I)`` → ``(P, H, T, d)``."""
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.size).permute(0, 2, 1, 3)

    def join(self, x: Tensor) -> Tensor:
        """``(P, H, T, d)`` → ``(P, T, I)``."""
        return x.permute(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], self.width)

    def rows(self, x: Tensor, width: int) -> Tensor:
        """``(P, H, T, ...)`` → ``(P, H · T, width)``: one row for each token in each head."""
        return x.reshape(x.shape[0], self.heads * x.shape[2], width)


class SelfAttention(Attention):
    """Tokens attend to tokens."""

    def __init__(self, reference: Any) -> None:
        super().__init__(reference)
        self.q, self.k = self.scaled(reference.q_proj), reference.k_proj
        self.v, self.out = reference.v_proj, reference.out_proj

    def forward(self, located: Tensor, tokens: Tensor) -> Tensor:
        """``located`` (for queries and keys) and ``tokens`` (for values), ``(P, T, C)`` → ``(P, T, C)``."""
        q, k, v = self.split(self.q(located)), self.split(self.k(located)), self.split(self.v(tokens))
        return self.out(self.join(torch.softmax(q @ k.transpose(2, 3), 3) @ v))


class TokenToImage(Attention):
    """Tokens attend to the image.

    The softmax over the image does not feel the bias of the key projection, and its weights sum to one, so that the
    bias of the values goes through to the output.
    """

    def __init__(self, reference: Any, positions: int) -> None:
        super().__init__(reference, positions)
        self.q = self.scaled(reference.q_proj)
        self.register_buffer("k", self.by_head(reference.k_proj.weight))
        self.register_buffer("v", self.by_head(reference.v_proj.weight).transpose(1, 2).contiguous())
        self.out = _linear(reference.out_proj.weight, reference.out_proj(reference.v_proj.bias))

    def shared(self, located: Tensor, keys: Tensor, located_keys: Tensor) -> Tensor:
        """Attention of ``located (P, T, C)`` to keys ``(1, N, C)`` that all prompts have in common → ``(P, T, C)``."""
        prompts, tokens = located.shape[0], located.shape[1]
        q = self.q(located).reshape(prompts * tokens, self.heads, self.size).transpose(0, 1)
        k = located_keys @ self.k.reshape(self.width, self.channels).T
        k = k.reshape(self.positions, self.heads, self.size).permute(1, 2, 0)
        found = (torch.softmax(q @ k, 2) @ (keys @ self.v)).transpose(0, 1)
        return self.out(found.reshape(prompts, tokens, self.width))

    def forward(self, located: Tensor, keys: Tensor, located_keys: Tensor) -> Tensor:
        """Attention of ``located (P, T, C)`` to keys ``(P, N, C)`` → ``(P, T, C)``."""
        q = self.rows(self.split(self.q(located)) @ self.k, self.channels)
        found = torch.softmax(q @ located_keys.transpose(1, 2), 2) @ keys
        found = found.reshape(located.shape[0], self.heads, located.shape[1], self.channels)
        return self.out(self.join(found @ self.v))


class ImageToToken(Attention):
    """The image attends to tokens.

    In each head the weights sum to one, so that each token may carry the head's share of the output's bias.
    """

    def __init__(self, reference: Any, positions: int) -> None:
        super().__init__(reference, positions)
        self.q, self.k, self.v = reference.q_proj, self.scaled(reference.k_proj), reference.v_proj
        self.register_buffer("own_head", torch.eye(self.heads)[:, None, :, None])
        self.register_buffer("q_weight", self.by_head(self.q.weight))
        self.register_buffer("q_bias", self.by_head(self.q.bias[:, None]))
        self.register_buffer("out", self.by_head(reference.out_proj.weight.T))
        self.register_buffer("out_bias", reference.out_proj.bias.detach() / self.heads)

    def shared(self, located: Tensor, tokens: Tensor, located_keys: Tensor) -> Tensor:
        """Answers to queries from keys ``(1, N, C)`` that all prompts have in common → ``(P, N, C)``."""
        # Zero outside a row's own head: the product over all of I is then the one over the head's d.
        k = self.rows(self.split(self.k(located))[:, :, :, None, :] * self.own_head, self.width)
        return self.answers(self.q(located_keys) @ k.transpose(1, 2), tokens)

    def forward(self, located: Tensor, tokens: Tensor, located_keys: Tensor) -> Tensor:
        """Answers to queries from keys ``(P, N, C)``, from ``tokens`` at ``located (P, T, C)`` → ``(P, N, C)``."""
        k = self.split(self.k(located))
        weight, bias = self.rows(k @ self.q_weight, self.channels), self.rows(k @ self.q_bias, 1)
        return self.answers(located_keys @ weight.transpose(1, 2) + bias.transpose(1, 2), tokens)

    def answers(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Logits ``(P, N, H · T)`` and values from ``tokens (P, T, C)`` → ``(P, N, C)``."""
        prompts, t = tokens.shape[0], tokens.shape[1]
        weights = torch.softmax(logits.reshape(prompts, self.positions, self.heads, t), 3)
        values = self.rows(self.split(self.v(tokens)) @ self.out + self.out_bias, self.channels)
        return weights.reshape(prompts, self.positions, self.heads * t) @ values


class Block(nn.Module):
    """One layer of SAM's two-way transformer; in the ``first`` one the keys are the same for every prompt."""

    def __init__(self, reference: Any, positions: int, first: bool) -> None:
        super().__init__()
        self.skip_position: bool = reference.skip_first_layer_pe
        self.self_attention = SelfAttention(reference.self_attn)
        self.to_image = TokenToImage(reference.cross_attn_token_to_image, positions)
        self.to_token = ImageToToken(reference.cross_attn_image_to_token, positions)
        self.first = first
        self.mlp = reference.mlp
        self.norm1, self.norm2, self.norm3, self.norm4 = (getattr(reference, f"norm{i}") for i in (1, 2, 3, 4))

    def forward(self, tokens: Tensor, prompts: Tensor, keys: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """``tokens (P, T, C)`` and what they started as, ``keys (P, N, C)``, or (1, N, C) in the first one."""
        if self.skip_position:
            tokens = self.norm1(self.self_attention(tokens, tokens))
        else:
            tokens = self.norm1(tokens + self.self_attention(tokens + prompts, tokens))
        located_keys = keys + position
        attend = self.to_image.shared if self.first else self.to_image
        answer = self.to_token.shared if self.first else self.to_token
        tokens = self.norm2(tokens + attend(tokens + prompts, keys, located_keys))
        tokens = self.norm3(tokens + self.mlp(tokens))
        return tokens, self.norm4(keys + answer(tokens + prompts, tokens, located_keys))


class Upscaling(nn.Module):
    """SAM's ``output_upscaling`` and the product with the hypernetworks, from keys to masks."""

    def __init__(self, reference: Any, h: int, w: int) -> None:
        super().__init__()
        first, norm, activation, second, last = reference.output_upscaling
        self.h, self.w = h, w
        self.between, self.channels = first.out_channels, second.out_channels
        self.up1, self.up2 = _by_columns(first), _by_columns(second)
        self.norm = nn.LayerNorm(self.between, norm.eps)
        self.norm.weight.data, self.norm.bias.data = norm.weight.detach(), norm.bias.detach()
        self.activation, self.last = activation, last
        self.hypernetworks = reference.output_hypernetworks_mlps

    def forward(self, keys: Tensor, tokens: Tensor) -> Tensor:
        """``keys (S, N, C)``, mask ``tokens (S, M, C)`` → logits ``(S, M, 4h, 4w)``."""
        s, m, h, w = tokens.shape[0], len(self.hypernetworks), self.h, self.w
        x = self.up1(keys).reshape(s, h * w * 4, self.between)
        x = self.last(self.up2(self.activation(self.norm(x)))).reshape(s, h * w * 16, self.channels)
        masks = x @ torch.stack([net(tokens[:, i]) for i, net in enumerate(self.hypernetworks)], 2)
        # (position, column, row, column, row and mask): first the columns together, in whole runs of rows and masks.
        masks = masks.reshape(s, h * w * 2, 2, 2, 2 * m).transpose(2, 3)
        masks = masks.reshape(s, h, w * 4, 4 * m).transpose(2, 3)
        return masks.reshape(s, h * 4, m, w * 4).transpose(1, 2)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer of these values."""
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight.data, linear.bias.data = weight.detach().contiguous(), bias.detach().contiguous()
    return linear


def _by_columns(conv: Any) -> nn.Linear:
    """A 2×2 transposed convolution of stride 2 as a linear layer, whose outputs are (column, row, channel)."""
    if tuple(conv.kernel_size) != (2, 2) or tuple(conv.stride) != (2, 2):
        raise ValueError(f"kernel {conv.kernel_size}, stride {conv.stride}: SAM's upscaling has 2×2 and 2")
    weight = conv.weight.permute(3, 2, 1, 0).reshape(4 * conv.out_channels, conv.in_channels)
    return _linear(weight, conv.bias.repeat(4))


class SamDecoder(nn.Module):
    """The contract's decoder of a segment_anything ``Sam`` (or of what has the same prompt encoder and mask decoder).

    ``image_embeddings (1, C, h, w)``, ``point_coords (P, K, 2)`` in model px, ``point_labels (P, K)`` (1 positive, 0
    negative, -1 padding, 2 and 3 the corners of a box) and ``iou_threshold ()``, all f32 → ``iou_predictions (P, M)
    f32``, and for the S prompts of which a mask after the first (the single-mask token's) reaches the threshold
    ``prompt_index (S,) i64`` and ``low_res_masks (S, M, 4h, 4w) f32`` logits.
    """

    def __init__(self, prompt_encoder: Any, mask_decoder: Any) -> None:
        super().__init__()
        self.h, self.w = prompt_encoder.image_embedding_size
        side_h, side_w = prompt_encoder.input_image_size
        self.register_buffer("side", torch.tensor([side_w, side_h], dtype=torch.float32))
        self.register_buffer("waves", prompt_encoder.pe_layer.positional_encoding_gaussian_matrix.detach())
        rows, cols = (torch.arange(n, dtype=torch.float32) + 0.5 for n in (self.h, self.w))
        grid = torch.stack([(cols / self.w).expand(self.h, self.w), (rows / self.h)[:, None].expand(self.h, self.w)], 2)
        self.register_buffer("grid", grid.reshape(self.h * self.w, 2))
        kinds = [prompt_encoder.not_a_point_embed, *prompt_encoder.point_embeddings]
        self.register_buffer("kinds", torch.cat([kind.weight.detach() for kind in kinds]))
        self.register_buffer("no_mask", prompt_encoder.no_mask_embed.weight.detach())
        self.register_buffer(
            "output_tokens", torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight]).detach()[None]
        )
        transformer = mask_decoder.transformer
        self.channels: int = transformer.embedding_dim
        positions = self.h * self.w
        self.blocks = nn.ModuleList(Block(layer, positions, i == 0) for i, layer in enumerate(transformer.layers))
        self.last = TokenToImage(transformer.final_attn_token_to_image, positions)
        self.last_norm = transformer.norm_final_attn
        self.iou_head = mask_decoder.iou_prediction_head
        self.upscaling = Upscaling(mask_decoder, self.h, self.w)

    def position(self, places: Tensor) -> Tensor:
        """Random Fourier features of (x, y) as shares of the image, ``(..., 2)`` → ``(..., C)``."""
        phase = 2 * math.pi * ((2 * places - 1) @ self.waves)
        return torch.cat([torch.sin(phase), torch.cos(phase)], -1)

    def prompts(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Tokens that the output tokens and the points start as, ``(P, 5 + K, C)``."""
        points = self.position((coords + 0.5) / self.side) * (labels != -1).to(coords)[..., None]
        points = points + self.kinds[(labels + 1).to(torch.int64)]
        return torch.cat([self.output_tokens.expand(coords.shape[0], -1, -1), points], 1)

    def forward(
        self, image_embeddings: Tensor, point_coords: Tensor, point_labels: Tensor, iou_threshold: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        prompts, position = self.prompts(point_coords, point_labels), self.position(self.grid)
        keys = image_embeddings.reshape(1, self.channels, self.h * self.w).transpose(1, 2) + self.no_mask
        tokens = prompts
        for block in self.blocks:
            tokens, keys = block(tokens, prompts, keys, position)
        tokens = self.last_norm(tokens + self.last(tokens + prompts, keys, keys + position))
        iou = self.iou_head(tokens[:, 0])
        index = torch.nonzero(iou[:, 1:].amax(1) >= iou_threshold)[:, 0]
        mask_tokens = tokens[:, 1 : self.output_tokens.shape[1]]
        return iou, index, self.upscaling(keys[index], mask_tokens[index])


def write_decoder(reference: Any, path: Path) -> None:
    """Write the decoder graph of a ``segment_anything.modeling.Sam``; raises OSError where it cannot be written."""
    decoder = SamDecoder(reference.prompt_encoder, reference.mask_decoder).eval()
    embedding = torch.zeros(1, decoder.channels, decoder.h, decoder.w)
    coords = torch.rand(3, 2, 2) * decoder.side
    labels = torch.tensor([[1.0, -1.0]] * 3)
    with torch.no_grad():
        write_graph(
            decoder, (embedding, coords, labels, torch.tensor(-math.inf)), path, INPUTS, OUTPUTS,
            {"point_coords": {0: "prompts", 1: "points"}, "point_labels": {0: "prompts", 1: "points"},
             "iou_predictions": {0: "prompts"}, "prompt_index": {0: "selected"}, "low_res_masks": {0: "selected"}},
        )  # fmt: skip
