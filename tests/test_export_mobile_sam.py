"""MobileSAM's own code and our network compute the same, in torch and through onnxruntime."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import segment_anything
import torch
from samcolloid_edge import ModelError
from samcolloid_edge.export import mobile_sam as family
from samcolloid_edge.export.families import family_of
from samcolloid_edge.export.tiny_vit import Attention, FoldedAttention
from torch import nn

with warnings.catch_warnings():
    # MobileSAM imports timm by its old names and registers names that timm has taken since.
    warnings.filterwarnings("ignore", "Importing from timm", FutureWarning)
    warnings.filterwarnings("ignore", "Overwriting tiny_vit_", UserWarning)
    import mobile_sam
    from mobile_sam.modeling import TinyViT

PUBLISHED = family.TinyViTSizes(widths=(64, 128, 160, 320), depths=(2, 2, 6, 2), heads=(4, 5, 10), windows=(7, 14, 7),
                                expansion=256, hidden=(512, 640, 1280), kernel=3, out=256)  # fmt: skip
# MobileSAM's code keeps the last stage's resolution only where it is 320 wide.
OTHER = family.TinyViTSizes(widths=(16, 32, 48, 320), depths=(1, 2, 1, 1), heads=(2, 3, 10), windows=(5, 16, 7),
                            expansion=32, hidden=(64, 96, 640), kernel=5, out=256)  # fmt: skip


def randomise(module: nn.Module) -> None:
    """Weights as no initialisation leaves them, running statistics and attention biases too."""
    rng = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=rng) * 2 + 0.1)
            elif name.endswith(("running_mean", "attention_biases")):
                tensor.copy_(torch.randn(tensor.shape, generator=rng))
            elif tensor.ndim == 1:
                tensor.add_(torch.randn(tensor.shape, generator=rng) * 0.3)
    module.eval()  # anew: MobileSAM's attention reads its biases then


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(0)
    model = mobile_sam.sam_model_registry["vit_t"]()
    randomise(model)
    return model


@pytest.fixture(scope="module")
def other(published):
    torch.manual_seed(1)
    encoder = TinyViT(img_size=1024, embed_dims=list(OTHER.widths), depths=list(OTHER.depths),
                      num_heads=[1, *OTHER.heads], window_sizes=[7, *OTHER.windows], mlp_ratio=2,
                      mbconv_expand_ratio=2, local_conv_size=OTHER.kernel, num_classes=3)  # fmt: skip
    randomise(encoder)
    model = mobile_sam.modeling.Sam(encoder, published.prompt_encoder, published.mask_decoder)
    return model.eval()


def picture(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def embed(model: nn.Module, image: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return model.image_encoder(model.preprocess(torch.from_numpy(image).permute(2, 0, 1).float())[None])


def assert_close(ours: torch.Tensor, theirs: torch.Tensor, share: float) -> None:
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max() / (theirs.max() - theirs.min())) <= share


def session(reference: nn.Module, folder: Path) -> onnxruntime.InferenceSession:
    family.write_encoder(reference, folder / "encoder.onnx")
    return onnxruntime.InferenceSession(str(folder / "encoder.onnx"), providers=["CPUExecutionProvider"])


def test_the_published_architecture_encodes_as_mobile_sam_does(published, tmp_path):
    state = published.state_dict()
    assert family_of(state) is family.FAMILY
    assert family.sizes(state) == PUBLISHED
    image = picture(1024, 683)
    (graph,) = session(family.reference(state), tmp_path).run(["image_embeddings"], {"image": image})
    assert_close(torch.from_numpy(graph), embed(published, image), 1e-5)


def test_other_sizes_are_read_from_the_tensors_and_encode_as_mobile_sam_does(other, tmp_path):
    state = other.state_dict()
    assert family.sizes(state) == OTHER
    reference = family.reference(state)
    graph = session(reference, tmp_path)
    for height, width in ((401, 1024), (1024, 1024)):
        image = picture(height, width)
        theirs = embed(other, image)
        (ours,) = graph.run(["image_embeddings"], {"image": image})
        assert_close(torch.from_numpy(ours), theirs, 1e-5)
    assert_close(embed(reference, image), theirs, 1e-5)


def test_the_reference_serves_segment_anything(other):
    reference = family.reference(other.state_dict())
    image = picture(90, 120)
    answers = []
    for predictor in (segment_anything.SamPredictor(reference), mobile_sam.SamPredictor(other)):
        predictor.set_image(image)
        answers.append(predictor.predict(np.array([[40.0, 30.0]]), np.array([1]), return_logits=True))
    for ours, theirs in zip(*answers, strict=True):
        assert_close(torch.from_numpy(ours), torch.from_numpy(theirs), 1e-4)
    generator = segment_anything.SamAutomaticMaskGenerator(
        reference, points_per_side=2, pred_iou_thresh=-100, stability_score_thresh=0
    )
    assert all(found["segmentation"].shape == (90, 120) for found in generator.generate(image))


def test_a_checkpoint_without_the_classification_head_is_whole(other):
    state = {name: tensor for name, tensor in other.state_dict().items() if name not in family.UNREAD}
    assert len(state) == len(other.state_dict()) - len(family.UNREAD)
    family.reference(state)


@pytest.mark.parametrize("name", [
    "image_encoder.patch_embed.seq.0.c.weight",
    "image_encoder.layers.0.blocks.0.conv1.c.weight",
    "image_encoder.layers.1.downsample.conv1.c.weight",
    "image_encoder.layers.2.blocks.0.attn.attention_biases",
    "image_encoder.layers.2.blocks.0.local_conv.bn.running_var",
    "image_encoder.neck.3.bias",
    "mask_decoder.iou_token.weight",
    "mask_decoder.transformer.layers.0.mlp.lin1.weight",
    "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
])  # fmt: skip
def test_a_missing_tensor_is_named(other, name):
    state = other.state_dict()
    del state[name]
    with pytest.raises(ModelError, match=f"lacks.*'{name}'"):
        family.reference(state)


@pytest.mark.parametrize(("name", "shape"), [
    ("image_encoder.layers.1.blocks.0.attn.attention_biases", (2, 26)),
    ("image_encoder.layers.3.blocks.0.attn.attention_biases", (3, 49)),
    ("image_encoder.layers.1.blocks.0.mlp.fc1.weight", (64,)),
    ("image_encoder.layers.0.downsample.conv1.c.weight", (32, 16, 1)),
    ("image_encoder.neck.0.weight", (128, 320, 1, 1)),
    ("mask_decoder.mask_tokens.weight", (3, 256)),
])  # fmt: skip
def test_a_tensor_of_a_wrong_shape_is_named(other, name, shape):
    with pytest.raises(ModelError, match=f"'{name}' has the shape"):
        family.reference({**other.state_dict(), name: torch.zeros(shape)})


@pytest.mark.parametrize("name", ["image_encoder.layers.4.norm.weight", "image_encoder.head.scale", "epoch"])
def test_an_unknown_tensor_is_named(other, name):
    with pytest.raises(ModelError, match=f"unknown tensor '{name}'"):
        family.reference({**other.state_dict(), name: torch.zeros(1)})


def test_a_sam_with_another_encoder_is_not_taken_for_one(other):
    assert not family.is_mobile_sam({})
    names = {name for name in other.state_dict() if not name.startswith("image_encoder.layers.")}
    assert not family.is_mobile_sam(dict.fromkeys(names, torch.zeros(1)))


@pytest.mark.parametrize(("side", "window"), [(10, 4), (8, 4), (7, 7)])
def test_folding_leaves_attention_as_it_was(side, window):
    torch.manual_seed(2)
    attention = Attention(24, 3, window, side)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.5)
        x = torch.randn(1, side, side, 24)
        torch.testing.assert_close(FoldedAttention(attention)(x), attention(x), rtol=1e-4, atol=1e-4)
