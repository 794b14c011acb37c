"""The bundled model in torch, from its own files, and inside SAM's generator."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samcolloid_edge import ModelError, Settings
from samcolloid_edge.engine.session import open_model
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.export import bundle
from samcolloid_edge.models.store import locate

pytestmark = pytest.mark.filterwarnings("default")  # torch's own deprecations are not ours to mend
FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
SCENE = Scene(seed=41, shape=(256, 352), particle="dumbbell", radius_px=18.0, packing=0.4)
SETTINGS = replace(Settings.preset("published"), points_per_side=12, min_mask_region_area=60)


def test_the_bundled_files_hold_the_whole_network():
    assert max(bundle.parity(bundle.from_onnx(locate(None)), locate(None)).values()) < 1e-4


def test_weights_of_another_network_are_refused(tmp_path):
    for name in ("encoder.onnx", "decoder.onnx"):
        shutil.copy(locate(None) / "decoder.onnx", tmp_path / name)
    with pytest.raises(ModelError, match=r"encoder\.onnx are not those of colloid-tiny"):
        bundle.from_onnx(tmp_path)


@pytest.mark.parametrize("crop_layers", [0, 1])
def test_the_engine_gives_the_masks_of_sams_generator(monkeypatch, crop_layers):
    monkeypatch.syspath_prepend(FOLDER)
    import generator
    from adapter import Adapter

    image, settings = render(SCENE).image, replace(SETTINGS, crop_n_layers=crop_layers)
    reference = generator.theirs(Adapter(locate(None)), image, settings)
    engine = generator.ours(open_model(device="cpu"), image, settings)
    found = generator.same(reference.masks, engine.masks)
    assert found.truth >= 5
    assert found.f1 >= 0.99
    assert reference.prompts == engine.prompts
    assert 0 < engine.encoder + engine.decoder < engine.whole
    assert 0 < reference.encoder + reference.decoder < reference.whole


def test_masks_that_overlap_are_compared_pixel_by_pixel(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from cutouts import Cutouts, cutout_overlaps

    rng = np.random.default_rng(0)
    masks = [rng.random((9, 12)) < 0.2 for _ in range(5)]
    overlaps = cutout_overlaps(Cutouts.of(masks[:3]), Cutouts.of(masks[2:]))
    expected = {(i, j): (a & b).sum() / (a | b).sum() for i, a in enumerate(masks[:3]) for j, b in enumerate(masks[2:])}
    assert dict(zip(zip(overlaps.first, overlaps.second, strict=True), overlaps.iou, strict=True)) == pytest.approx(
        {pair: iou for pair, iou in expected.items() if iou > 0}
    )
