"""The int8 edition of the bundled model finds what the model itself finds, or is not kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from samcolloid_edge import ModelError, Segmenter
from samcolloid_edge.engine.matching import mask_overlaps, match
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.export import parity
from samcolloid_edge.export.bundle_int8 import bundle_int8
from samcolloid_edge.models.card import CARD, ModelCard
from samcolloid_edge.models.store import locate

pytestmark = pytest.mark.filterwarnings("default")  # torch's own deprecations are not ours to mend


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "int8"
    bundle_int8(locate(None), folder, points_per_side=12)
    return folder


def test_its_card_tells_what_it_is_and_what_was_proven(int8: Path) -> None:
    card, full = ModelCard.read(int8 / CARD), ModelCard.read(locate(None) / CARD)
    assert (card.name, card.precision, card.masks) == (f"{full.name}-int8", "int8", full.masks)
    assert full.digest in card.source
    (proof,) = card.parity.values()
    masks = proof["masks of the automatic run"]
    assert masks["torch"] >= parity.FEWEST
    assert masks["F1"] >= 0.95
    assert masks["mean IoU"] >= 0.95
    assert card.outline == {}
    assert (int8 / "encoder.onnx").stat().st_size < (locate(None) / "encoder.onnx").stat().st_size / 3


def test_it_finds_the_same_lobes(int8: Path) -> None:
    image = render(Scene(seed=11, shape=(384, 512), particle="dumbbell", radius_px=18.0, packing=0.4)).image
    ours, theirs = (Segmenter(model, device="cpu").analyze(image).masks for model in (int8, None))
    pairs = match(mask_overlaps(ours.labels(), theirs.labels()), 0.8)
    assert len(pairs) >= 0.95 * max(len(ours), len(theirs), 20)


def test_one_that_finds_others_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parity.TOLERANCES, "int8", parity.Tolerance(None, 1.01, 0.0))
    with pytest.raises(ModelError, match=r"not the same as colloid-tiny: the mean mask IoU is 0\.\d+, below 1\.01"):
        bundle_int8(locate(None), tmp_path, points_per_side=12)
    assert not (tmp_path / CARD).exists()
