"""The bundled model inside ``segment_anything.SamAutomaticMaskGenerator``, which stays as it is.

The generator sees what it needs of a SAM: an image encoder, a prompt encoder, a mask decoder, and the way there and
back. The network is torch's, in fp32, with the weights of the exported files. Of each prompt's masks the generator gets
the lobe alone, over the whole frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812
from samcolloid_edge.export.bundle import SIDE, from_onnx
from samcolloid_edge.export.colloid import MASKS, STRIDE, Decoder, Encoder
from torch import Tensor

LOBE: Final = MASKS.index("lobe")


class ImageEncoder:
    """``image (1, 3, H, W)`` RGB, 0–255 → the maps that the decoder takes."""

    img_size = SIDE

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def __call__(self, image: Tensor) -> tuple[Tensor, ...]:
        # Normalises, and then pads to a multiple of 32.
        maps: tuple[Tensor, ...] = self.encoder(image[0].permute(1, 2, 0))
        return maps


class PromptEncoder:
    """Hands prompts on: this model's decoder samples its maps at the points themselves."""

    def __call__(self, points: tuple[Tensor, Tensor], boxes: None, masks: None) -> tuple[tuple[Tensor, Tensor], None]:
        return points, None

    def get_dense_pe(self) -> None:
        """There is none."""


class MaskDecoder:
    """Points → the lobe mask of each over the whole frame (P, 1, h, w), and its predicted IoU (P, 1)."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    def __call__(self, image_embeddings: tuple[Tensor, ...], image_pe: None, dense_prompt_embeddings: None,
                 sparse_prompt_embeddings: tuple[Tensor, Tensor],
                 multimask_output: bool) -> tuple[Tensor, Tensor]:  # fmt: skip
        coords, labels = sparse_prompt_embeddings
        window = max(image_embeddings[-1].shape[2:])
        iou, _, masks, _ = self.decoder(
            *image_embeddings, coords.float(), labels.float(), torch.tensor(0.0), torch.tensor(window)
        )
        return masks[:, LOBE : LOBE + 1], iou[:, LOBE : LOBE + 1]


class Adapter:
    """What ``SamAutomaticMaskGenerator`` takes for a SAM."""

    mask_threshold = 0.0
    image_format = "RGB"
    device = torch.device("cpu")

    def __init__(self, folder: Path) -> None:
        """The model of ``folder``, as ``export.bundle`` wrote it."""
        net = from_onnx(folder).requires_grad_(False)
        self.image_encoder: Any = ImageEncoder(net.encoder)
        self.prompt_encoder: Any = PromptEncoder()
        self.mask_decoder: Any = MaskDecoder(net.decoder)

    def preprocess(self, image: Tensor) -> Tensor:
        """Nothing: the encoder does it."""
        return image

    def postprocess_masks(self, masks: Tensor, input_size: tuple[int, int], original_size: tuple[int, int]) -> Tensor:
        """(P, 1, h, w) cells → (P, 1, *original_size) px, by SAM's two interpolations."""
        padded = tuple(STRIDE * side for side in masks.shape[2:])
        masks = F.interpolate(masks, padded, mode="bilinear", align_corners=False)
        masks = masks[..., : input_size[0], : input_size[1]]
        return F.interpolate(masks, original_size, mode="bilinear", align_corners=False)
