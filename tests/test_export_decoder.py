"""The decoder graph answers as segment_anything's own prompt encoder and mask decoder do."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from samcolloid_edge.export.sam_decoder import INPUTS, OUTPUTS, SamDecoder, write_decoder
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

pytestmark = pytest.mark.filterwarnings("default")  # torch's own deprecations are not ours to mend

TOLERANCE = 2e-5
"""Of each tensor's range."""


def sam(channels: int, cells: tuple[int, int], mlp: int, heads: int, depth: int) -> SimpleNamespace:
    """SAM without its image encoder; every parameter is random, so that none can be forgotten."""
    torch.manual_seed(3)
    prompt_encoder = PromptEncoder(embed_dim=channels, image_embedding_size=cells,
                                   input_image_size=(16 * cells[0], 16 * cells[1]), mask_in_chans=16)  # fmt: skip
    transformer = TwoWayTransformer(depth=depth, embedding_dim=channels, mlp_dim=mlp, num_heads=heads)
    mask_decoder = MaskDecoder(num_multimask_outputs=3, transformer=transformer, transformer_dim=channels)
    with torch.no_grad():
        for part in (prompt_encoder, mask_decoder):
            for parameter in part.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return SimpleNamespace(prompt_encoder=prompt_encoder.eval(), mask_decoder=mask_decoder.eval(), cells=cells)


def written(reference, folder):
    write_decoder(reference, folder / "decoder.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(folder / "decoder.onnx"), options, providers=["CPUExecutionProvider"])

    def run(*inputs):
        return session.run(list(OUTPUTS), dict(zip(INPUTS, (np.asarray(i, np.float32) for i in inputs), strict=True)))

    return run


def in_torch(reference):
    decoder = SamDecoder(reference.prompt_encoder, reference.mask_decoder).eval()

    def run(*inputs):
        with torch.no_grad():
            return [o.numpy() for o in decoder(*(torch.as_tensor(np.asarray(i, np.float32)) for i in inputs))]

    return run


@pytest.fixture(scope="module")
def small():
    reference = sam(channels=32, cells=(10, 14), mlp=48, heads=4, depth=3)
    # The prediction of the single-mask token stands out.
    reference.mask_decoder.iou_prediction_head.layers[-1].bias.data[0] += 3
    return reference


@pytest.fixture(scope="module", params=["onnxruntime", "torch"])
def decode(request, small, tmp_path_factory):
    return written(small, tmp_path_factory.mktemp("decoder")) if request.param == "onnxruntime" else in_torch(small)


def embedding(reference, channels: int):
    return np.random.default_rng(1).standard_normal((1, channels, *reference.cells)).astype(np.float32)


def prompts(reference, p: int, points: int, box: bool, seed: int = 0):
    """Points, their labels (positive and negative) and boxes or None, in model px."""
    rng = np.random.default_rng(seed)
    size = np.array(reference.cells[::-1]) * 16
    coords = (rng.random((p, points, 2)) * size).astype(np.float32)
    boxes = np.sort((rng.random((p, 2, 2)) * size).astype(np.float32), 1)
    return coords, rng.integers(0, 2, (p, points)).astype(np.float32), boxes if box else None


def by_sam(reference, image, coords, labels, boxes, padded=True):
    """IoU predictions and logits from segment_anything, for all prompts."""
    with torch.no_grad():
        points = (torch.as_tensor(coords), torch.as_tensor(labels)) if coords.shape[1] else None
        sparse, dense = reference.prompt_encoder(points, None if boxes is None else torch.as_tensor(boxes), None)
        sparse = sparse if padded else sparse[:, :-1]
        masks, iou = reference.mask_decoder.predict_masks(
            torch.as_tensor(image), reference.prompt_encoder.get_dense_pe(), sparse, dense
        )
    return iou.numpy(), masks.numpy()


def as_points(coords, labels, boxes, padded=True):
    """The same prompt as the contract puts it: corners are points of labels 2 and 3, padding is written out."""
    p = len(coords)
    if boxes is not None:
        more, kinds = boxes, [2, 3]
    else:
        more, kinds = np.zeros((p, int(padded), 2), np.float32), [-1] * padded
    kinds = np.tile(np.array(kinds, np.float32), (p, 1))
    return np.concatenate([coords, more], 1), np.concatenate([labels, kinds], 1)


def assert_same(found, expected):
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    if expected.size:
        assert np.abs(found - expected).max() <= TOLERANCE * np.ptp(expected)


CASES = [(1, 1, False, False), (7, 1, False, False), (1, 1, False, True), (5, 1, False, True), (3, 0, True, True),
         (4, 3, False, False), (4, 3, False, True), (2, 4, False, True), (6, 3, True, True), (64, 1, False, True),
         (1, 7, True, True)]  # fmt: skip


@pytest.mark.parametrize(("p", "points", "box", "padded"), CASES)
def test_every_prompt_is_answered_as_sam_answers_it(small, decode, p, points, box, padded):
    image, prompt = embedding(small, 32), prompts(small, p, points, box)
    iou, masks = by_sam(small, image, *prompt, padded)
    found, index, logits = decode(image, *as_points(*prompt, padded), -np.inf)
    assert_same(found, iou)
    assert index.tolist() == list(range(p))
    assert logits.shape == (p, 4, 40, 56)
    assert_same(logits, masks)


@pytest.mark.parametrize("passing", [0, 1, 5, 11, 12])
def test_masks_are_given_for_the_prompts_above_the_threshold(small, decode, passing):
    image, prompt = embedding(small, 32), prompts(small, 12, 1, False)
    iou, masks = by_sam(small, image, *prompt)
    best = iou[:, 1:].max(1)
    # Between two predictions, so that rounding decides nothing.
    levels = np.concatenate([[best.max() + 1], np.sort(best)[::-1], [best.min() - 1]])
    found, index, logits = decode(image, *as_points(*prompt), levels[passing : passing + 2].mean())
    assert_same(found, iou)
    assert index.dtype == np.int64
    assert index.tolist() == np.sort(np.argsort(-best)[:passing]).tolist()
    assert_same(logits, masks[index])


def test_the_single_mask_token_opens_no_gate(small, decode):
    image, prompt = embedding(small, 32), prompts(small, 12, 1, False)
    iou, _ = by_sam(small, image, *prompt)
    best = iou[:, 1:].max(1)
    assert best.max() < iou[:, 0].min()
    _, index, _ = decode(image, *as_points(*prompt), (best.max() + iou[:, 0].min()) / 2)
    assert not len(index)


def test_prompts_of_a_batch_do_not_feel_each_other(small, decode):
    image, (coords, labels) = embedding(small, 32), as_points(*prompts(small, 9, 2, True))
    _, _, together = decode(image, coords, labels, -np.inf)
    for i in (0, 4, 8):
        _, _, alone = decode(image, coords[i : i + 1], labels[i : i + 1], -np.inf)
        assert_same(alone, together[i : i + 1])


def test_full_size(tmp_path):
    full = sam(channels=256, cells=(64, 64), mlp=2048, heads=8, depth=2)
    image, prompt = embedding(full, 256), prompts(full, 2, 1, False)
    iou, masks = by_sam(full, image, *prompt)
    for decode in (in_torch(full), written(full, tmp_path)):
        found, index, logits = decode(image, *as_points(*prompt), -np.inf)
        assert index.tolist() == [0, 1]
        assert_same(found, iou)
        assert_same(logits, masks)


def test_another_upscaling_is_refused(small):
    changed = sam(channels=32, cells=(4, 4), mlp=16, heads=4, depth=1)
    changed.mask_decoder.output_upscaling[0].stride = (1, 1)
    with pytest.raises(ValueError, match="stride"):
        SamDecoder(changed.prompt_encoder, changed.mask_decoder)
