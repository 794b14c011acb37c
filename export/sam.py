"""The SAM family: a checkpoint's tensors → ``segment_anything``'s torch modules, of the sizes that the tensors have."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

from ..engine.settings import Settings
from ..models.errors import ModelError
from .families import Family
from .vit import write_encoder

PIXEL_MEAN: Final = (123.675, 116.28, 103.53)
PIXEL_STD: Final = (58.395, 57.12, 57.375)
DECODER_HEADS: Final = 8
"""Of every published SAM; tensors do not tell it."""
TYPES: Final = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}
"""Embedding width and depth → the name Meta gave it."""


def recognises(state: Mapping[str, Tensor]) -> bool:
    """These are the tensors of a SAM with a ViT encoder."""
    return {"image_encoder.patch_embed.proj.weight", "image_encoder.blocks.0.attn.rel_pos_h",
            "mask_decoder.iou_token.weight"} <= set(state)  # fmt: skip


def generator(model: Any, settings: Settings, **more: Any) -> SamAutomaticMaskGenerator:
    """SAM's own automatic mask generator, with the engine's settings; ``more`` of its options."""
    names = ("points_per_side", "pred_iou_thresh", "stability_score_thresh", "stability_score_offset", "box_nms_thresh",
             "crop_n_layers", "crop_nms_thresh", "crop_overlap_ratio", "crop_n_points_downscale_factor",
             "min_mask_region_area")  # fmt: skip
    return SamAutomaticMaskGenerator(model, **{name: getattr(settings, name) for name in names}, **more)


def model_type(state: Mapping[str, Tensor]) -> str:
    """``vit_b``, ``vit_l`` or ``vit_h``, or ``vit`` for other sizes."""
    return TYPES.get((state["image_encoder.patch_embed.proj.weight"].shape[0], _depth(state)), "vit")


def reference(state: Mapping[str, Tensor]) -> Sam:
    """``segment_anything``'s model with these tensors, in evaluation mode; ModelError names the first that is wrong."""
    with torch.device("meta"):
        model = build(**sizes(state))
    load(model, state)
    return model


def load(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a module on the meta device a checkpoint's tensors as they are, without a copy."""
    expected = model.state_dict()
    for name in sorted(expected.keys() ^ state.keys()):
        what = "lacks" if name in expected else "has an unknown"
        raise ModelError(f"The checkpoint {what} tensor {name!r}: it is incomplete or of another architecture.")
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            raise ModelError(f"The checkpoint's tensor {name!r} has the shape {tuple(state[name].shape)}, "
                             f"not {tuple(tensor.shape)}: it is of another architecture.")  # fmt: skip
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    for name, buffer in (("pixel_mean", PIXEL_MEAN), ("pixel_std", PIXEL_STD)):
        model.register_buffer(name, torch.tensor(buffer).view(-1, 1, 1), False)  # not in checkpoints
    model.requires_grad_(False).eval()


def _depth(state: Mapping[str, Tensor]) -> int:
    return 1 + max(int(name.split(".")[2]) for name in state if name.startswith("image_encoder.blocks."))


def sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of ``build`` that give a model for these tensors."""
    patch = state["image_encoder.patch_embed.proj.weight"]
    grid = state["image_encoder.pos_embed"].shape[1] if "image_encoder.pos_embed" in state else 64
    spans = [(len(state[f"image_encoder.blocks.{i}.attn.rel_pos_h"]) + 1) // 2 for i in range(_depth(state))]
    windows = [span for span in spans if span != grid]
    return {
        "img_size": grid * patch.shape[2],
        "patch_size": patch.shape[2],
        "embed_dim": patch.shape[0],
        "num_heads": patch.shape[0] // state["image_encoder.blocks.0.attn.rel_pos_h"].shape[1],
        "window_size": windows[0] if windows else 0,
        "global_attn_indexes": tuple(i for i, span in enumerate(spans) if span == grid),
        "depth": len(spans),
        "mlp_ratio": state["image_encoder.blocks.0.mlp.lin1.weight"].shape[0] / patch.shape[0],
        "decoder_dim": state["mask_decoder.iou_token.weight"].shape[1],
        "decoder_mlp_dim": state["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0],
    }


def build(img_size: int, patch_size: int, embed_dim: int, num_heads: int, window_size: int,
          global_attn_indexes: tuple[int, ...], depth: int, mlp_ratio: float, decoder_dim: int,
          decoder_mlp_dim: int) -> Sam:  # fmt: skip
    """A SAM of these sizes, as ``segment_anything.build_sam`` puts it together."""
    encoder = ImageEncoderViT(
        img_size=img_size, patch_size=patch_size, embed_dim=embed_dim, depth=depth, num_heads=num_heads,
        mlp_ratio=mlp_ratio, out_chans=decoder_dim, norm_layer=partial(nn.LayerNorm, eps=1e-6), use_rel_pos=True,
        window_size=window_size, global_attn_indexes=global_attn_indexes,
    )  # fmt: skip
    return with_encoder(encoder, img_size, img_size // patch_size, decoder_dim, decoder_mlp_dim)


def with_encoder(encoder: nn.Module, img_size: int, grid: int, dim: int, mlp_dim: int) -> Sam:
    """An image encoder with SAM's prompt encoder and mask decoder."""
    return Sam(
        image_encoder=encoder,
        prompt_encoder=PromptEncoder(
            embed_dim=dim, image_embedding_size=(grid, grid), input_image_size=(img_size, img_size), mask_in_chans=16
        ),
        mask_decoder=MaskDecoder(
            transformer=TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=DECODER_HEADS, mlp_dim=mlp_dim),
            transformer_dim=dim,
        ),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    )


FAMILY: Final = Family("sam_", recognises, model_type, reference, write_encoder)
