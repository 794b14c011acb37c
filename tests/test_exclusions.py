"""Particles excluded on the page are found again by where they lie, whatever their number is now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import TRIMER_AND_DUMBBELL, HandmadeSegmenter, discs, result_of, small_result
from program import Program
from samcolloid_edge.engine import filters, report
from samcolloid_edge.engine.exclusions import Exclusions, exclude
from samcolloid_edge.engine.types import Lobe, Particle, Result
from samcolloid_edge.models.errors import SettingsError

DUMBBELL: Particle = (Lobe(80.2, 59.6, 610.0), Lobe(80.0, 85.0, 240.0))
TRIMER: Particle = (Lobe(30, 20, 441), Lobe(30, 40, 317), Lobe(36, 58, 377))


def excluded(result: Result, *particles: Particle) -> tuple[list[str], list[str], tuple[str, ...]]:
    found = exclude(result, particles)
    return found.lobes["excluded_by"].tolist(), found.sets["excluded_by"].tolist(), found.warnings


def content(sha256: str, *particles: Particle) -> dict[str, Any]:
    """As the page writes it."""
    listed = [{"lobes": [{"centroid": [o.row, o.col], "area": o.area} for o in p]} for p in particles]
    return {"format": "samcolloid-edge exclusions", "version": 1,
            "images": [{"sha256": sha256, "file": "a.tif", "particles": listed}]}  # fmt: skip


def test_a_particle_is_excluded_with_all_its_lobes() -> None:
    assert excluded(small_result(), DUMBBELL) == (["", "", "", "user", "user"], ["", "user"], ())


def test_neither_order_nor_a_pixel_matters() -> None:
    turned = result_of(*discs((120, 110), [(r + 1, c, radius, 1 - s) for r, c, radius, s in TRIMER_AND_DUMBBELL[::-1]]))
    lobes, sets, warnings = excluded(turned, TRIMER)
    assert lobes == ["", "", "user", "user", "user"]
    assert (sets, warnings) == (["", "user"], ())


def test_a_particle_that_is_cut_into_two_now_is_excluded_with_both() -> None:
    apart = result_of(*discs((120, 110), [*TRIMER_AND_DUMBBELL[:4], (80, 84, 9, 2)]))
    assert excluded(apart, DUMBBELL)[1] == ["", "user", "user"]


def test_a_particle_that_is_a_small_part_of_another_now_excludes_nothing_and_that_is_told() -> None:
    lobes, sets, warnings = excluded(small_result(), (TRIMER[0],))
    assert (set(lobes), set(sets)) == ({""}, {""})
    assert warnings == ("1 of 1 particles to exclude were not found again, so they exclude nothing; their centroids "
                        "(row, column): (30, 20) px.",)  # fmt: skip


@pytest.mark.parametrize("lobe", [Lobe(100, 20, 400), Lobe(-3, 500, 400), Lobe(80, 60, 6000), Lobe(80, 60, 60)])
def test_what_lies_elsewhere_or_is_of_another_size_is_not_it(lobe: Lobe) -> None:
    lobes, _, warnings = excluded(small_result(), (lobe, lobe))
    assert set(lobes) == {""}
    assert "1 of 1 particles" in warnings[0]


def test_a_lobe_of_no_set_is_a_particle() -> None:
    alone = result_of(*discs((120, 110), [*TRIMER_AND_DUMBBELL, (100, 20, 7, -1)]))
    assert excluded(alone, (Lobe(100, 20, 149),))[:2] == ([""] * 5 + ["user"], ["", ""])


def test_the_centre_of_a_ring_is_in_no_mask_and_finds_it_all_the_same() -> None:
    rows, cols = np.indices((60, 60))
    distance = np.hypot(rows - 30, cols - 30)
    ring = ((distance < 14) & (distance > 8)).astype(np.int32)
    assert excluded(result_of(ring, np.zeros(1, np.int32)), (Lobe(30, 30, float(ring.sum())),))[0] == ["user"]


def test_what_a_filter_has_left_out_stays_with_the_filter() -> None:
    result = small_result()
    names = np.array(["", "", "", "min_diameter", ""])
    filtered = exclude(
        Result(result.micrograph, result.masks, result.outlines,
               filters.with_counting(result.lobes, {"excluded_by": names}),
               result.sets, result.settings, result.model), (DUMBBELL,))  # fmt: skip
    assert filtered.lobes["excluded_by"].tolist() == ["", "", "", "min_diameter", "user"]


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"format": "other", "version": 1, "images": []}',
    '{"format": "samcolloid-edge exclusions", "version": 2, "images": []}',
    json.dumps(content("0", ())), json.dumps(content("0", (Lobe(1, 2, 0),))),
    json.dumps(content("0", (Lobe(float("nan"), 2, 5),))),
])  # fmt: skip
def test_other_files_are_refused_in_one_sentence_that_names_them(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ä.json"
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=r"ä\.json: is no exclusions file") as error:
        Exclusions.read(path)
    assert "\n" not in str(error.value)
    with pytest.raises(SettingsError, match="cannot be read"):
        Exclusions.read(tmp_path / "missing.json")


def test_analyze_takes_the_file_marks_tables_and_tells_what_matches_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("samcolloid_edge.engine.pipeline.Segmenter", HandmadeSegmenter)
    monkeypatch.chdir(tmp_path)
    run = Program(capsys, monkeypatch)
    Path("a.tif").write_bytes(b"image")
    assert run("analyze", "a.tif", "--out", "out").code == 0
    sha256 = report.read_record(Path("out/a"))["input"]["sha256"]
    listed = content(sha256, DUMBBELL, (Lobe(5, 5, 9),))
    listed["images"].append({"sha256": "f" * 64, "file": "gone.tif", "particles": listed["images"][0]["particles"]})
    Path("e.json").write_text(json.dumps(listed), "utf-8")

    refused = run("analyze", "a.tif", "--out", "out", "--exclusions", "e.json")
    assert refused.code == 1
    assert "exclusions" in refused.err
    again = run("analyze", "a.tif", "--out", "out", "--exclusions", "e.json", "--overwrite")
    assert again.code == 0
    assert "1 of 2 particles to exclude were not found again" in again.err
    assert "2 particles to exclude belong to gone.tif" in again.err
    record = report.read_record(Path("out/a"))
    assert record["exclusions"] == [[list(o) for o in DUMBBELL], [[5.0, 5.0, 9.0]]]
    assert Path("out/a/sets.csv").read_text("utf-8").count(",user") == 1
    assert "skipped" in run("analyze", "a.tif", "--out", "out", "--exclusions", "e.json").out
    assert run("analyze", "a.tif", "--out", "out", "--exclusions", "a.tif").code == 2
