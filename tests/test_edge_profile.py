"""Outlines move to where the grey profile across them has the edge, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine import edge_profile, report
from samcolloid_edge.engine.outline import Outlines
from samcolloid_edge.engine.synthetic import render
from samcolloid_edge.export.outline import compare, sphere_scene

SIDE, FINER = 240, 8
CENTRES = [(60.3, 60.1), (179.2, 61.7), (58.9, 180.4), (181.1, 178.6)]


def micrograph(radius: float, signal: str, blur: float = 0.8) -> np.ndarray:
    """(SIDE, SIDE) float64: four spheres by a finer grid, in a light that steps, grows with thickness, or shines."""
    y, x = (np.indices((SIDE * FINER, SIDE * FINER)) + 0.5) / FINER
    image = np.zeros(x.shape)
    for cx, cy in CENTRES:
        squared = ((x - cx) ** 2 + (y - cy) ** 2) / radius**2
        inside, rise = squared < 1, np.sqrt(np.maximum(1 - squared, 0))
        if signal == "step":
            image += 100.0 * inside
        elif signal == "thickness":
            image -= 120.0 * rise
        else:
            image += inside * (60 + 25 / np.maximum(rise, 0.18))
    image = cv2.GaussianBlur(image, (0, 0), blur * FINER)
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) + 150)


def circles(radius: float, free: bool = True) -> tuple[Outlines, np.ndarray]:
    """Outlines of the four, and labels of the same radius."""
    n = 200
    turn = np.arange(n) * 2 * np.pi / n
    circle = radius * np.stack([np.cos(turn), np.sin(turn)], 1)
    y, x = np.indices((SIDE, SIDE)) + 0.5
    labels = np.zeros((SIDE, SIDE), np.int32)
    for i, (cx, cy) in enumerate(CENTRES):
        labels[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = i + 1
    points = np.concatenate([circle + centre for centre in CENTRES])
    return Outlines(points, n * np.arange(5), np.full(4 * n, free), np.ones(4)), labels


@pytest.mark.parametrize("signal", ["step", "thickness", "shining"])
@pytest.mark.parametrize(("radius", "beside"), [(7.0, -0.4), (20.0, 0.5), (20.0, -0.7), (45.0, -0.6), (45.0, 0.0)])
def test_outlines_beside_the_edge_are_brought_to_it(signal: str, radius: float, beside: float) -> None:
    outlines, labels = circles(radius + beside)
    pixels = micrograph(radius, signal)
    moved, found = edge_profile.settled(outlines, labels, pixels, {})
    assert found is not None
    # Where the signal fades towards the edge it tells least, and the outlines count more.
    np.testing.assert_allclose(moved.radii, radius, atol=0.25 if signal == "thickness" else 0.15)
    np.testing.assert_allclose(moved.radii - outlines.radii, found.offset, atol=1e-3)
    # In any unit of grey, and of the negative, the edge is where it is.
    other = edge_profile.settled(outlines, labels, np.rint((400 - pixels) * 100).astype(np.uint16), {})[1]
    assert other is not None
    assert other.offset == pytest.approx(found.offset, abs=0.01)


def test_the_calibration_of_what_is_left_comes_to_it() -> None:
    law: dict[str, Any] = {"radius": [10.0], "offset": [0.2], "slope": 0.0, "zooms": [1.0, 1.0]}
    outlines, labels = circles(20.0)
    pixels = micrograph(20.0, "step")
    plain, more = (edge_profile.settled(outlines, labels, pixels, given)[0] for given in ({}, law))
    np.testing.assert_allclose(more.radii - plain.radii, 0.2, atol=1e-3)


def test_what_is_not_free_does_not_move_and_too_little_says_nothing() -> None:
    outlines, labels = circles(20.0)
    pixels = micrograph(21.0, "step")
    still, found = edge_profile.settled(replace(outlines, free=np.zeros(len(outlines.free), bool)), labels, pixels, {})
    assert found is None
    np.testing.assert_array_equal(still.points, outlines.points)
    half = np.arange(len(outlines.free)) < 400
    moved, found = edge_profile.settled(replace(outlines, free=half), labels, pixels, {})
    assert found is not None and found.offset > 0.5
    distance = np.linalg.norm(moved.points - outlines.points, axis=1)
    np.testing.assert_allclose(distance[half], found.offset)
    assert not distance[~half].any()
    # Where another lobe lies close by, the profile is not that of one edge.
    crowded = np.where(labels == 0, 4, labels).astype(np.int32)
    assert edge_profile.settled(outlines, crowded, pixels, {})[1] is None


def test_a_flat_micrograph_moves_nothing_far() -> None:
    outlines, labels = circles(20.0)
    noise = np.random.default_rng(0).normal(100, 20, (SIDE, SIDE))
    for pixels in (noise, np.full((SIDE, SIDE), 7, np.uint8)):
        found = edge_profile.settled(outlines, labels, pixels, {})[1]
        assert found is not None and abs(found.offset) < 0.6
        assert np.isfinite(found.misfit)


def test_outlines_move_alike_in_any_number_of_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    outlines, _ = circles(20.0)
    outwards = np.array([0.1, 0.2, 0.3, 0.4])
    whole = outlines.moved(outwards)
    monkeypatch.setattr("samcolloid_edge.engine.outline.AT_ONCE", 37)
    np.testing.assert_array_equal(outlines.moved(outwards).points, whole.points)
    np.testing.assert_allclose(whole.radii - outlines.radii, outwards, atol=1e-3)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(device="cpu")


def test_in_transmission_diameters_are_nearer_the_truth(segmenter: Segmenter) -> None:
    bias: dict[bool, list[float]] = {True: [], False: []}
    for seed in (880_000, 880_001, 880_002):
        truth = render(replace(sphere_scene(seed, (15, 30)), style="dark_field"))
        for on, found in bias.items():
            compared = compare(truth, segmenter.analyze(truth.image, settings=Settings(edge_profile=on)))
            found.append(float(np.mean(compared.excess[~compared.astray])))
    assert np.mean(bias[False]) < -0.6
    assert abs(np.mean(bias[True])) < 0.5 * abs(np.mean(bias[False]))


def test_a_result_tells_what_moved_its_outlines(segmenter: Segmenter) -> None:
    image = render(sphere_scene(880_010, (8, 15))).image
    moved, plain = (segmenter.analyze(image, settings=Settings(edge_profile=on)) for on in (True, False))
    np.testing.assert_array_equal(moved.masks.labels(), plain.masks.labels())
    assert plain.edge is None and report.record(plain)["edge_profile"] is None
    assert moved.edge is not None
    told = report.record(moved)["edge_profile"]
    assert told["outlines_moved_outwards_px"] == pytest.approx(moved.edge.offset, abs=1e-4)
    assert len(told["distance_outwards_px"]) == len(told["mean_grey"]) > 20
    assert told["points"] >= edge_profile.POINTS[0]
    assert report.record(moved)["model"]["edge_profile"] == dict(segmenter.card.edge_profile)
    assert segmenter.analyze(np.zeros((64, 64), np.uint8)).edge is None


def test_the_published_method_moves_no_outline() -> None:
    assert Settings().edge_profile and not Settings.preset("published").edge_profile
