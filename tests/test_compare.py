"""Two sides that speak of the same micrographs: what they share, and how their diameters agree."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from handmade import TRIMER_AND_DUMBBELL, discs, result_of
from program import Program
from samcolloid_edge.engine import compare, report
from samcolloid_edge.engine.bland_altman import Resampled
from samcolloid_edge.engine.findings import sources
from samcolloid_edge.engine.types import Result
from samcolloid_edge.models.errors import ImageError

SHAPE = (120, 110)
SMALLER = [(row, col, radius - 1, of) for row, col, radius, of in TRIMER_AND_DUMBBELL]


def write(folder: Path, lobes: list[tuple[int, int, int, int]], image: str = "a", **how: object) -> Result:
    how = {"source": f"there/{image}.tif", "sha256": f"of {image}", **how}
    result = result_of(*discs(SHAPE, lobes), **how)  # type: ignore[arg-type]
    report.save(result, folder / image)
    return result


def compared(a: Path, b: Path, **how: object) -> compare.Comparison:
    return compare.compare(compare.pair(sources(a), sources(b)).pairs, **how)  # type: ignore[arg-type]


def test_a_run_agrees_with_itself_in_everything(tmp_path: Path) -> None:
    for image in "ab":
        write(tmp_path, TRIMER_AND_DUMBBELL, image)
    found = compared(tmp_path, tmp_path)
    assert [score.f1 for score in (*found.lobes.values(), *found.sets.values(), found.same_sets)] == [1] * 5
    assert found.lobes[0.5].found == 10 and found.same_sets.found == 4
    assert found.same_roles == (10, 10)
    for agreement in found.agreements.values():
        assert agreement.bias == agreement.sd == 0 and agreement.ratio == 1
        assert agreement.limits == agreement.bias_interval == (0, 0)
    assert {name: agreement.n for name, agreement in found.agreements.items()} == {
        "lobes": 10, "lobes large": 2, "lobes small": 2, "lobes a": 2, "lobes b": 2, "lobes c": 2,
        "sets": 4, "sets dumbbell": 2, "sets trimer": 2, "sets of the same lobes": 4,
    }  # fmt: skip


def test_the_bias_is_the_mean_difference_and_changes_sign_with_the_sides(tmp_path: Path) -> None:
    smaller, usual = tmp_path / "smaller", tmp_path / "usual"
    write(smaller, SMALLER), write(usual, TRIMER_AND_DUMBBELL)
    one, other = compared(smaller, usual), compared(usual, smaller)
    table = one.table
    lobes = table["what"] == "lobe"
    difference = table["diameter_a_nm"][lobes] - table["diameter_b_nm"][lobes]
    bias, sd = difference.mean(), difference.std(ddof=1)
    agreement = one.agreements["lobes"]
    assert one.unit == "nm" and agreement.bias == pytest.approx(bias) and -6 < bias < -3
    assert agreement.sd == pytest.approx(sd)
    assert agreement.limits == pytest.approx((bias - 1.96 * sd, bias + 1.96 * sd))
    assert agreement.bias_interval[0] <= bias <= agreement.bias_interval[1]
    assert other.agreements["lobes"].bias == pytest.approx(-bias)
    assert other.agreements["lobes"].ratio == pytest.approx(1 / agreement.ratio)


def test_missed_and_extra_lobes_and_other_sets_are_told_apart(tmp_path: Path) -> None:
    ours = [*TRIMER_AND_DUMBBELL[1:], (100, 20, 9, 2)]
    write(tmp_path / "ours", ours), write(tmp_path / "all", TRIMER_AND_DUMBBELL)
    found = compared(tmp_path / "ours", tmp_path / "all")
    lobes = found.lobes[0.5]
    assert (lobes.found, lobes.truth - lobes.found, lobes.predicted - lobes.found) == (4, 1, 1)
    assert (found.same_sets.found, found.same_sets.truth, found.same_sets.predicted) == (1, 2, 3)
    rows = [dict(zip(found.table, row, strict=True)) for row in zip(*found.table.values(), strict=True)]
    (missed,) = (row for row in rows if row["status"] == "missed" and row["what"] == "lobe")
    assert (missed["number_a"], missed["number_b"], missed["role_b"]) == (0, 1, "a")
    assert (missed["centroid-0"], missed["centroid-1"]) == pytest.approx((30, 20), abs=1)
    (extra,) = (row for row in rows if row["status"] == "extra" and row["what"] == "lobe")
    assert extra["centroid-0"] == pytest.approx(100, abs=1) and np.isnan(extra["iou"])


def test_lobes_cut_by_the_border_are_matched_but_not_measured(tmp_path: Path) -> None:
    write(tmp_path, [*TRIMER_AND_DUMBBELL, (117, 100, 12, 2)])
    found = compared(tmp_path, tmp_path)
    assert found.lobes[0.5].found == 6 and found.agreements["lobes"].n == 5


def test_without_a_scale_on_one_side_diameters_are_in_px_and_it_is_said(tmp_path: Path) -> None:
    write(tmp_path / "a", TRIMER_AND_DUMBBELL, pixel_size=None), write(tmp_path / "b", TRIMER_AND_DUMBBELL)
    found = compared(tmp_path / "a", tmp_path / "b")
    assert found.unit == "px" and "difference_nm" not in found.table
    assert found.notes == ["Diameters are compared in px: the first side does not know the scale of a."]


def test_pixel_sizes_that_differ_are_part_of_the_bias_and_it_is_said(tmp_path: Path) -> None:
    write(tmp_path / "a", TRIMER_AND_DUMBBELL, pixel_size=2.02), write(tmp_path / "b", TRIMER_AND_DUMBBELL)
    found = compared(tmp_path / "a", tmp_path / "b")
    assert found.agreements["lobes"].ratio == pytest.approx(1.01)
    assert found.notes == ["The sides have different pixel sizes for a, up to +1 %: that is part of the bias in nm."]


def test_micrographs_are_paired_by_their_bytes_whatever_their_names(tmp_path: Path) -> None:
    write(tmp_path / "a", TRIMER_AND_DUMBBELL, "one"), write(tmp_path / "b", SMALLER, "two", sha256="of one")
    write(tmp_path / "b", SMALLER, "three")
    pairing = compare.pair(sources(tmp_path / "a"), sources(tmp_path / "b"))
    assert [(a.image, b.image) for a, b in pairing.pairs] == [("one", "two")]
    assert (pairing.notes, pairing.only_first, pairing.only_second) == ([], [], ["three"])


def test_other_files_of_the_same_name_are_no_pair(tmp_path: Path) -> None:
    write(tmp_path / "a", TRIMER_AND_DUMBBELL), write(tmp_path / "b", TRIMER_AND_DUMBBELL, sha256="of another")
    with pytest.raises(ImageError, match=r"share names \(a\) but not files"):
        compared(tmp_path / "a", tmp_path / "b")
    write(tmp_path / "c", TRIMER_AND_DUMBBELL, "c")
    with pytest.raises(ImageError, match=r"no micrograph in common: the first has a; the second has c\."):
        compared(tmp_path / "a", tmp_path / "c")


def test_label_images_of_other_shapes_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "run", TRIMER_AND_DUMBBELL)
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "a.tif", np.ones((50, 60), np.uint8))
    with pytest.raises(ImageError, match=r"not of one micrograph, as their label images have 110 × 120 and 60 × 50 px"):
        compared(tmp_path / "run", tmp_path / "labels")


def test_a_table_is_matched_by_boxes_and_paired_by_letters_and_digits(tmp_path: Path) -> None:
    result = write(tmp_path / "run", TRIMER_AND_DUMBBELL, "GM 1_07")
    lobes = result.lobes
    boxes = [lobes[f"bbox-{k}"] for k in range(4)]
    header = "image,set,lobe,centroid_row,centroid_col,bbox_min_row,bbox_min_col,bbox_max_row,bbox_max_col,area"
    columns = (lobes["set"] - 1, lobes["lobe"], lobes["centroid-0"], lobes["centroid-1"], *boxes, lobes["area"])
    lines = [f"GM_1_07,{','.join(map(str, row))}" for row in zip(*columns, strict=True)]
    (tmp_path / "lobes.csv").write_text("\n".join([header, *lines]), "utf-8")
    pairing = compare.pair(sources(tmp_path / "run"), sources(tmp_path / "lobes.csv"))
    assert pairing.notes == ["1 of 1 micrographs are paired by name, as one side does not know their bytes."]
    found = compare.compare(pairing.pairs)
    assert (found.by, found.unit) == ("box", "px")
    assert found.lobes[0.7].f1 == found.same_sets.f1 == 1 and found.same_roles == (5, 5)
    with pytest.raises(ImageError, match="Masks cannot be compared"):
        compare.compare(pairing.pairs, by="mask")


def test_a_table_that_is_none_is_refused_in_a_sentence(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("image,area\na,3\n", "utf-8")
    with pytest.raises(ImageError, match=r"t\.csv: has no column bbox_min_row or bbox-0\."):
        sources(table)[0].load()
    table.write_text("area\n3\n", "utf-8")
    with pytest.raises(ImageError, match="needs a column image"):
        sources(table)
    with pytest.raises(ImageError, match="there is no such file or folder"):
        sources(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="holds neither a result"):
        sources(tmp_path / "empty")


def test_intervals_come_from_micrographs_and_sets_not_from_single_lobes() -> None:
    """100 lobes whose error is their micrograph's are four measurements, not a hundred."""
    shift = np.repeat([0.0, 1.0, 2.0, 3.0], 25)
    images, chosen = np.repeat(list("abcd"), 25).tolist(), np.ones(100, bool)
    of_images = Resampled(images, list(range(100))).agreement(shift + 10, np.full(100, 10.0), chosen)
    low, high = of_images.bias_interval
    assert of_images.bias == pytest.approx(1.5)
    assert low < 0.8 and high > 2.2
    in_sets = Resampled(["a"] * 100, np.repeat(range(4), 25).tolist()).agreement(shift, np.zeros(100), chosen)
    single = Resampled(["a"] * 100, list(range(100))).agreement(shift, np.zeros(100), chosen)
    assert np.ptp(in_sets.bias_interval) > 3 * np.ptp(single.bias_interval)
    standard_error = shift.std(ddof=1) / 10
    assert np.ptp(single.bias_interval) == pytest.approx(2 * 1.96 * standard_error, rel=0.15)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Program:
    monkeypatch.chdir(tmp_path)
    return Program(capsys, monkeypatch)


def test_the_command_says_what_it_found_and_writes_table_record_and_picture(run: Program, tmp_path: Path) -> None:
    write(tmp_path / "a", SMALLER), write(tmp_path / "b", TRIMER_AND_DUMBBELL)
    answer = run("compare", "a", "b", "--out", "out", "--iou", "0.6")
    assert answer.code == 0 and answer.err == ""
    assert "lobes, IoU >= 0.6" in answer.out and "5 of 5 matched lobes have the same role" in answer.out
    assert "A  a (by-hand" in answer.out and "mask IoU" in answer.out
    with Path("out/compare.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["what"] for row in rows] == ["lobe"] * 5 + ["set"] * 2
    found = json.loads(Path("out/compare.json").read_text("utf-8"))
    mean = np.mean([float(row["difference_nm"]) for row in rows if row["what"] == "lobe"])
    assert found["diameters"]["lobes"]["bias"] == pytest.approx(mean)
    assert found["units"]["diameters"] == "nm" and list(found["lobes"]) == ["0.6"]
    picture = cv2.imdecode(np.fromfile("out/bland-altman.png", np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (950, 1400, 3) and picture.std() > 5
    again = run("compare", "a", "b", "--out", "out")
    assert again.code == 1 and "is there already; add --overwrite" in again.err


def test_the_command_refuses_in_one_sentence(run: Program, tmp_path: Path) -> None:
    write(tmp_path / "a", SMALLER)
    for wrong, code, words in (
        (("a", "none", "--out", "out"), 1, "none: there is no such file or folder"),
        (("a", "a", "--out", "out", "--iou", "0"), 2, "--iou must lie above 0"),
    ):
        answer = run("compare", *wrong)
        assert answer.code == code and words in answer.err and answer.err.count("\n") == 1
        assert not Path("out").exists()


def test_nothing_in_common_between_lobes_is_a_result(run: Program, tmp_path: Path) -> None:
    write(tmp_path / "a", [(30, 30, 8, 0)]), write(tmp_path / "b", [(90, 80, 8, 0)])
    answer = run("compare", "a", "b", "--out", "out")
    assert answer.code == 0
    found = json.loads(Path("out/compare.json").read_text("utf-8"))
    assert found["lobes"]["0.5"] == {
        "found": 0, "missed": 1, "extra": 1, "recall": 0, "precision": 0, "f1": 0,
    } and found["diameters"] == {}  # fmt: skip


def test_a_rendered_truth_is_found_in_full_and_hidden_lobes_do_not_count(run: Program, tmp_path: Path) -> None:
    run("simulate", "--particle", "dumbbell", "--out", "truth", "--size", "300x260", "--radius-nm", "30",
        "--packing", "0.9")  # fmt: skip
    (truth,) = sources(Path("truth"))
    lobes = truth.load()
    assert truth.pixel_size == pytest.approx(2.0) and truth.made_by == "truth"
    with Path("truth/dumbbell_0000_truth.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert lobes.numbers.tolist() == [int(row["label"]) for row in rows]
    assert lobes.areas.tolist() == [float(row["visible_area"]) for row in rows]
    assert lobes.ignored.tolist() == [float(row["visible_fraction"]) < 0.5 for row in rows]
    assert set(lobes.roles.tolist()) <= {"large", "small", "sphere"}
    seen = replace(truth, load=lambda: replace(lobes, ignored=np.zeros(len(lobes.numbers), bool)))
    found = compare.compare([(seen, truth)])
    assert found.lobes[0.5].f1 == 1 and found.lobes[0.5].truth == (~lobes.ignored).sum()
