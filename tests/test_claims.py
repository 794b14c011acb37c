"""What a particle's mask holds between its lobes goes to the likelier of them, and to nobody else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from samcolloid_edge import Segmenter, Settings, SettingsError
from samcolloid_edge.engine import claims
from samcolloid_edge.engine.crop import Found
from samcolloid_edge.engine.matching import mask_overlaps, match
from samcolloid_edge.engine.mosaic import disjoint
from samcolloid_edge.engine.ragged import Patches
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.engine.types import Area
from test_masks import patches

SHAPE = (30, 60)
LEFT, RIGHT, BOTH = (5, 5, 33, 25), (27, 5, 55, 25), (5, 5, 55, 25)
"""Boxes; the lobes' masks end at x = 27 and begin at x = 33, where their boxes reach 6 px further."""


def two_lobes(whole: tuple[int, int, int, int] = BOTH, owners: tuple[int, ...] = (0, 1)) -> Found:
    """A dumbbell of two rectangles with 6 px between them, logits falling by 1 a px; particle masks for ``owners``."""
    columns = np.indices(SHAPE)[1] + 0.5

    def lobe(i: int, height: int, width: int) -> NDArray[np.float64]:
        x0, y0, x1, y1 = (LEFT, RIGHT)[i]
        return (27 - columns if i == 0 else columns - 33)[y0:y1, x0:x1]

    lobes = patches([LEFT, RIGHT], lobe)
    particles = patches([whole] * len(owners), lambda i, h, w: np.full((h, w), 4.0))
    return Found(lobes, particles, np.array(owners, np.int64), 2)


def labels_of(found: Found, fill: bool) -> NDArray[np.int32]:
    return disjoint(found, Area(0, 0, *SHAPE), 0.5, fill)[0]


def test_lobes_share_the_gap_in_their_particle_at_its_middle() -> None:
    before, after = labels_of(two_lobes(), False), labels_of(two_lobes(), True)
    assert (before[5:25, 27:33] == 0).all()
    first, second = before[10, 10], before[10, 50]
    assert (after[5:25, 5:30] == first).all()
    assert (after[5:25, 30:55] == second).all()
    assert not after[:5].any()
    assert not after[25:].any()


def test_nothing_beyond_the_particle_is_taken() -> None:
    after = labels_of(two_lobes(whole=(5, 5, 29, 25)), True)
    assert (after[5:25, 27:29] == after[10, 10]).all()
    assert (after[5:25, 29:33] == 0).all()


def test_a_lobe_without_a_particle_mask_stays_and_keeps_others_out() -> None:
    after = labels_of(two_lobes(owners=(0,)), True)
    assert (after[5:25, 5:30] == after[10, 10]).all()
    assert (after[5:25, 30:33] == 0).all()
    found = two_lobes(owners=())
    assert claims.claimed(found, SHAPE) is found


def test_unlikely_pixels_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LEAST", -1.5)
    after = labels_of(two_lobes(), True)
    assert (after[5:25, 27] > 0).all()
    assert (after[5:25, 29:31] == 0).all()


def reference(found: Found, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The raised logits, lobe by lobe over the whole image."""

    def spread(of: Patches, i: int) -> NDArray[np.float32]:
        image = np.full(shape, -np.inf, np.float32)
        x0, y0, x1, y1 = of.boxes[i]
        image[y0:y1, x0:x1] = of.patch(i)
        return image

    images = [spread(found.lobes, i) for i in range(len(found.lobes))]
    raised = []
    for i, (x0, y0, x1, y1) in enumerate(found.lobes.boxes):
        own = images[i]
        rival = np.max([np.full(shape, -np.inf, np.float32), *images[:i], *images[i + 1 :]], axis=0)
        for k in np.flatnonzero(found.lobe_of_particle == i):
            with np.errstate(invalid="ignore"):
                claim = np.minimum(spread(found.particles, int(k)), own - rival)
            own = np.where(own >= claims.LEAST, np.maximum(own, claim), own)
        raised.append(own[y0:y1, x0:x1].ravel())
    return np.concatenate(raised)


@pytest.mark.parametrize("seed", range(8))
def test_the_compiled_loop_does_what_is_written(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def boxes(n: int) -> list[tuple[int, int, int, int]]:
        corner = rng.integers(0, 20, (n, 2))
        return [(x, y, x + w, y + h) for (x, y), (w, h) in zip(corner.tolist(), rng.integers(1, 11, (n, 2)).tolist(),
                                                             strict=True)]  # fmt: skip

    def noise(_: int, height: int, width: int) -> NDArray[np.float64]:
        return rng.normal(-1, 4, (height, width))

    lobes = patches(boxes(6), noise)
    owners = rng.permutation(6)[:4]
    found = Found(lobes, patches(boxes(4), noise), owners.astype(np.int64), 6)
    np.testing.assert_array_equal(claims.claimed(found, (32, 32)).lobes.logits, reference(found, (32, 32)))


def test_fused_lobes_lose_less_of_themselves() -> None:
    truth = render(Scene(seed=31, shape=(384, 384), particle="dumbbell", radius_px=16.0, packing=0.3))
    missing = []
    for fill in (False, True):
        ours = Segmenter(device="cpu").analyze(truth.image, settings=replace(Settings(), fill_particles=fill)).masks
        labels = ours.labels()
        pairs = match(mask_overlaps(truth.lobes, labels), 0.5)
        assert len(pairs) > 20
        lost = [np.mean(labels[truth.lobes == i + 1] != j + 1) for i, j in pairs.tolist()]
        missing.append(float(np.mean(lost)))
    assert missing[1] < missing[0]


def test_the_paper_s_preset_fills_nothing() -> None:
    assert Settings().fill_particles
    assert not Settings.preset("published").fill_particles


def test_whether_they_are_filled_is_said_in_one_word(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(Settings(fill_particles=False).to_toml(), "utf-8")
    assert not Settings.from_toml(tmp_path / "s.toml").fill_particles
    with pytest.raises(SettingsError, match="fill_particles must be true or false, not 1"):
        Settings.from_mapping({"fill_particles": 1})
