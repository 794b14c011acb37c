"""Outlines are moved by what rendered spheres have shown, and by no more."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import CARD
from samcolloid_edge.engine import outline
from samcolloid_edge.engine.outline import Outlines
from samcolloid_edge.engine.pipeline import Segmenter
from samcolloid_edge.engine.settings import Settings
from samcolloid_edge.engine.synthetic import render
from samcolloid_edge.export.outline import ASTRAY, Compared, calibrated, compare, fit, measured, scenes, sphere_scene
from samcolloid_edge.models.card import ModelCard
from samcolloid_edge.models.errors import ModelError

LAW = {"radius": [8.0, 20.0, 45.0], "offset": [0.3, 0.1, 0.2], "slope": 0.25, "zooms": [0.75, 2.0]}


def circle(radius: float, free: bool = True, n: int = 400, zoom: float = 1.0) -> Outlines:
    turn = np.arange(n) * 2 * np.pi / n
    points = 100 + radius * np.stack([np.cos(turn), np.sin(turn)], 1)
    return Outlines(points, np.array([0, n]), np.full(n, free), np.array([zoom]))


def radii(outlines: Outlines) -> np.ndarray:
    return np.linalg.norm(outlines.points - 100, axis=1)


@pytest.mark.parametrize(("radius", "zoom", "moved"), [
    (20, 1, 0.1), (3, 1, 0.3), (70, 1, 0.2), (np.sqrt(8 * 20), 1, 0.2),  # between knots, and beyond them
    (10, 2, (0.1 + 0.25) / 2), (5, 4, (0.1 + 0.25) / 4), (90, 0.5, (0.2 - 0.25 * 0.25) / 0.5),  # px of the file
])  # fmt: skip
def test_an_outline_moves_by_the_offset_of_its_radius_and_the_zoom(radius: float, zoom: float, moved: float) -> None:
    there = outline.calibrated(circle(radius, zoom=zoom), LAW)
    np.testing.assert_allclose(radii(there), radius + moved, atol=2e-3)


def test_an_outline_stays_where_another_lobe_is_and_where_the_card_says_nothing() -> None:
    np.testing.assert_array_equal(outline.calibrated(circle(20, free=False), LAW).points, circle(20).points)
    np.testing.assert_array_equal(outline.calibrated(circle(20), {}).points, circle(20).points)
    assert len(outline.calibrated(outline.Gathered().whole(), LAW)) == 0


def spheres(n: int, seed: int) -> Compared:
    """As found where outlines lie too far inside by ``LAW``, with noise."""
    rng = np.random.default_rng(seed)
    radius = np.exp(rng.uniform(np.log(5), np.log(60), n))
    zoom = np.clip(14 / radius, 1, 2) * np.clip(45 / radius, 0.75, 1)
    offset = outline.offset(LAW, radius * zoom, zoom) + rng.normal(0, 0.1, n)
    return Compared(radius, -2 * offset / zoom, -2 * offset / zoom, np.full(n, 0.5), zoom)


def test_the_fit_finds_the_offsets_again_and_heeds_no_outline_that_is_astray() -> None:
    some = spheres(20_000, 0)
    bitten = replace(spheres(2_000, 1), excess=np.full(2_000, -9.0), farthest=np.full(2_000, sum(ASTRAY) * 60))
    found = fit(Compared.concatenate([some, bitten]))
    left = some.excess + 2 * outline.offset(found, some.radius * some.zoom, some.zoom) / some.zoom
    for low, high in ((5, 8), (8, 15), (15, 30), (30, 60)):
        assert abs(left[(some.radius >= low) & (some.radius < high)].mean()) < 0.03
    assert found["slope"] == pytest.approx(0.25, abs=0.03)


def test_the_seeds_of_the_scenes_run_on_and_their_radii_lie_in_the_bins() -> None:
    drawn = list(scenes(700_000, (2, 1, 0, 1)))
    assert [(k, scene.seed) for k, scene in drawn] == [(0, 700_000), (0, 700_001), (1, 700_002), (3, 700_003)]
    assert all(low <= scene.radius_px < high for (_, scene), (low, high) in
               zip(drawn, ((5, 8), (5, 8), (8, 15), (30, 60)), strict=True))  # fmt: skip
    assert max(scene.blur for _, scene in drawn) <= 1


def test_both_calibrations_are_made_of_one_analysis_each() -> None:
    """What ``calibrated`` works out from results that nothing moved is what an analysis with its card gives."""
    segmenter = Segmenter(device="cpu")
    before = segmenter.card
    card = calibrated(segmenter, (2, 2, 2, 0))
    assert segmenter.card is before
    assert card.outline["spheres"] > 50
    chosen = [scene for _, scene in scenes(700_000, (2, 2, 2, 0))]
    segmenter.session.card = replace(card, edge_profile={})
    left = -measured(segmenter, chosen).excess.mean() / 2
    segmenter.session.card = card
    truths = [render(scene) for scene in chosen]
    found = Compared.concatenate([compare(truth, segmenter.analyze(truth.image)) for truth in truths])
    assert abs(found.excess.mean()) < max(0.05, abs(left))
    assert card.edge_profile["spheres"] == card.outline["spheres"]


def test_the_bundled_models_diameters_are_right_on_average() -> None:
    found = measured(Segmenter(device="cpu"), [scene for _, scene in scenes(860_000, (4, 4, 2, 0))])
    whole = found[~found.astray]
    assert len(whole.radius) > 150
    # The mean diameters of scenes differ by 0.2 px (SD), so that of ten by 0.06.
    assert abs(whole.excess.mean()) < 0.2


def test_a_calibration_moves_outlines_and_no_pixel_of_a_label() -> None:
    segmenter = Segmenter(device="cpu")
    image = render(sphere_scene(870_000, (8, 15))).image
    moved = segmenter.analyze(image, settings=Settings(edge_profile=False))
    segmenter.session.card = replace(segmenter.card, outline={})
    plain = segmenter.analyze(image, settings=Settings(edge_profile=False))
    np.testing.assert_array_equal(moved.masks.labels(), plain.masks.labels())
    np.testing.assert_array_equal(moved.outlines.offsets, plain.outlines.offsets)
    assert moved.lobes["area_subpixel"].sum() > plain.lobes["area_subpixel"].sum()


@pytest.mark.parametrize("name", ["outline", "edge_profile"])
def test_a_calibration_belongs_to_the_model_and_is_checked(tmp_path: Path, name: str) -> None:
    card = replace(CARD, **{name: LAW})
    assert card.digest != CARD.digest != replace(CARD, **{name: LAW | {"slope": 0.0}}).digest != card.digest
    path = tmp_path / "card.json"
    path.write_text(card.to_json(), "utf-8")
    assert ModelCard.read(path) == card
    for wrong in ({"radius": [8.0, 8.0, 9.0]}, {"offset": [0.1]}, {"offset": ["a", 1.0, 1.0]}, {"slope": "steep"},
                  {"zooms": [2.0, 1.0]}, {"zooms": [1.0]}):  # fmt: skip
        path.write_text(json.dumps(json.loads(card.to_json()) | {name: LAW | wrong}), "utf-8")
        with pytest.raises(ModelError, match=name):
            ModelCard.read(path)
