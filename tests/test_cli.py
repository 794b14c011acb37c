"""The program: what it writes, says and exits with. A segmenter made by hand stands in for the model."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from handmade import HandmadeSegmenter
from program import Program
from rich.console import Console
from samcolloid_edge.cli import overlap
from samcolloid_edge.cli.analyze import settings_of
from samcolloid_edge.cli.display import Display
from samcolloid_edge.cli.inputs import expand, result_folders
from samcolloid_edge.engine.report import FILES
from samcolloid_edge.engine.settings import Settings
from samcolloid_edge.models.errors import ModelError, SettingsError


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Program:
    monkeypatch.setattr("samcolloid_edge.engine.pipeline.Segmenter", HandmadeSegmenter)
    monkeypatch.chdir(tmp_path)
    return Program(capsys, monkeypatch)


def image(path: str, data: bytes = b"image") -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data)
    return Path(path)


def summary(folder: str = "out") -> list[dict[str, str]]:
    return list(csv.DictReader((Path(folder) / "summary.csv").read_text("utf-8").splitlines()))


def test_analyze_writes_a_folder_an_image_and_a_summary(run: Program) -> None:
    image("day 1/Probe ä µ.tif")
    answer = run("analyze", "day 1", "--out", "out folder")
    assert answer.code == 0
    assert answer.err == ""
    assert "[1/1]" in answer.out
    assert "5 lobes, 2 sets, 2 nm/px" in answer.out
    assert sorted(p.name for p in Path("out folder/Probe ä µ").iterdir()) == sorted(FILES)
    (row,) = summary("out folder")
    assert (row["status"], row["lobes"], row["folder"]) == ("ok", "5", "Probe ä µ")


def test_files_folders_and_patterns_name_each_image_once(run: Program) -> None:
    for name in ("1.tif", "2.PNG", "notes.txt", "._1.tif", "deeper/3.tif"):
        image(f"a/{name}")
    for name in ("b/4.jpeg", "b/5.bmp", "b/6.md", "c [1].tif"):
        image(name)
    given = [str(item.path.as_posix()) for item in expand(["a", "b/*", "a/1.tif", "c [1].tif"])]
    assert given == ["a/1.tif", "a/2.PNG", "b/4.jpeg", "b/5.bmp", "c [1].tif"]


def test_a_folder_or_pattern_without_images_fails_and_the_rest_goes_on(run: Program) -> None:
    image("a.tif")
    Path("empty").mkdir()
    answer = run("analyze", "empty", "x*.tif", "missing.tif", "a.tif", "--out", "out")
    assert answer.code == 1
    assert "holds no image" in answer.err
    assert "no image matches" in answer.err
    assert "missing.tif: there is no such file." in answer.err
    assert "Traceback" not in answer.err
    assert [row["status"] for row in summary()] == ["failed", "failed", "failed", "ok"]
    assert answer.err.splitlines()[-1] == "failed: empty, x*.tif, missing.tif"


@pytest.mark.parametrize(
    ("files", "folders"),
    [
        (["a.tif", "b.tif"], ["a", "b"]),
        (["day1/a.tif", "day2/b.tif"], ["a", "b"]),
        (["day1/a.tif", "day2/a.tif", "day1/b.tif"], ["day1/a", "day2/a", "day1/b"]),
        (["x/raw/a.tif", "y/raw/a.tif"], ["x/raw/a", "y/raw/a"]),
        (["x/a.tif", "x/sub/a.tif"], ["a", "sub/a"]),
        (["a.tif", "a.png"], ["a.tif", "a.png"]),
        (["a.tif", "a.png", "a.png.tif"], ["a.tif", "a.png", "a.png.tif"]),
        (["a.tif", "A.png", "b.tif"], ["a.tif", "A.png", "b"]),
        (["a.tif", "A.tif"], ["a.tif (1)", "A.tif (2)"]),
        (["a .tif", "...tif"], ["a", "...tif"]),
    ],
)
def test_no_two_inputs_share_a_folder(files: list[str], folders: list[str]) -> None:
    assert [p.as_posix() for p in result_folders([Path(file) for file in files])] == folders


def test_a_result_that_is_there_is_skipped_and_still_summarised(run: Program) -> None:
    image("a.tif")
    run("analyze", "a.tif", "--out", "out")
    before, first = (Path("out/a/result.json")).read_bytes(), summary()
    answer = run("analyze", "a.tif", "--out", "out")
    assert answer.code == 0
    assert "skipped, the same result is in" in answer.out
    assert Path("out/a/result.json").read_bytes() == before
    assert summary() == [first[0] | {"status": "skipped"}]


def test_files_that_a_result_lacks_are_added_and_those_it_has_stay(run: Program) -> None:
    image("a.tif")
    run("analyze", "a.tif", "--out", "out")
    assert run("analyze", "a.tif", "--out", "out", "--formats", "csv, ROI").code == 0
    assert run("analyze", "a.tif", "--out", "out", "--formats", "coco").code == 0
    assert sorted(p.name for p in Path("out/a").iterdir()) == sorted([*FILES, "rois.zip", "coco.json"])
    assert "skipped, the same result" in run("analyze", "a.tif", "--out", "out", "--formats", "roi").out
    assert run("analyze", "a.tif", "--out", "out", "--overwrite").code == 0
    assert sorted(p.name for p in Path("out/a").iterdir()) == sorted(FILES)


def test_a_format_whose_library_is_missing_ends_the_run_before_it_begins(
    run: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samcolloid_edge.engine.report_formats.find_spec", lambda _: None)
    image("a.tif")
    answer = run("analyze", "a.tif", "--out", "out", "--formats", "xlsx")
    assert answer.code == 2
    assert answer.err == (
        "samcolloid-edge: The format xlsx needs xlsxwriter, not installed here: "
        'pip install "samcolloid-edge[xlsx]"\n'
    )
    assert not Path("out").exists()


def test_another_result_is_refused_without_overwrite(run: Program) -> None:
    image("a.tif")
    run("analyze", "a.tif", "--out", "out")
    before = Path("out/a/result.json").read_bytes()
    answer = run("analyze", "a.tif", "--out", "out", "--max-overlap", "0.4")
    assert answer.code == 1
    assert "add --overwrite" in answer.err
    assert Path("out/a/result.json").read_bytes() == before
    assert run("analyze", "a.tif", "--out", "out", "--max-overlap", "0.4", "--overwrite").code == 0
    assert Path("out/a/result.json").read_bytes() != before


def test_a_bug_in_one_image_is_reported_and_the_batch_goes_on(run: Program) -> None:
    image("a.tif", b"bug")
    image("b.tif")
    answer = run("analyze", "a.tif", "b.tif", "--out", "out")
    assert answer.code == 1
    assert "Traceback" in answer.err
    assert "a.tif: unexpected ZeroDivisionError (by hand)" in answer.err
    assert [row["status"] for row in summary()] == ["failed", "ok"]
    assert not Path("out/a").exists()


def test_ctrl_c_keeps_what_is_done(run: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "GRACE", 60.0)  # on a busy machine: else the program, here the tests, leaves at once
    image("a.tif")
    image("b.tif", b"ctrl-c")
    image("c.tif")
    answer = run("analyze", "a.tif", "b.tif", "c.tif", "--out", "out")
    assert answer.code == 130
    assert "1 of 3" in answer.err
    assert [row["file"] for row in summary()] == ["a.tif"]
    assert sorted(p.name for p in Path("out").iterdir()) == ["a", "statistics.csv", "summary.csv"]


def test_a_model_that_cannot_be_used_ends_the_run_in_one_sentence(
    run: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def altered(*_: Any, **__: Any) -> None:
        raise ModelError("encoder.onnx: was altered.")

    monkeypatch.setattr(HandmadeSegmenter, "analyze", altered)
    image("a.tif")
    answer = run("analyze", "a.tif", "--out", "out")
    assert (answer.code, answer.err) == (1, "samcolloid-edge: encoder.onnx: was altered.\n")
    assert not Path("out/a").exists()


def test_an_output_folder_that_cannot_be_written_to_is_one_sentence(run: Program) -> None:
    image("a.tif")
    image("taken")
    answer = run("analyze", "a.tif", "--out", "taken")
    assert answer.code == 1
    assert answer.err.startswith("samcolloid-edge: taken: cannot be written to")
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--pixel-size", "0"], ["--pixel-size", "nan"], ["--pixel-size", "4+-5"],
        ["--pred-iou-thresh", "3"], ["--particle", "cube"],
        ["--preset", "best"], ["--device", "tpu"], ["--threads", "0"], ["--settings", "missing.toml"],
        ["--min-diameter", "-3"], ["--min-diameter", "9", "--max-diameter", "8"], ["--trim-area-last", "0.7"],
        ["--roi", "1", "2", "3"], ["--roi", "9", "0", "5", "10"], ["--no-such-flag"], ["--formats", "csv,docx"],
        ["--edge-weighting", "all"],
    ],
)  # fmt: skip
def test_a_wrong_option_is_a_usage_error(run: Program, arguments: list[str]) -> None:
    image("a.tif")
    answer = run("analyze", "a.tif", "--out", "out", *arguments)
    assert answer.code == 2
    assert answer.err
    assert "Traceback" not in answer.err
    assert not Path("out").exists()


def test_options_go_over_the_settings_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("points_per_side = 20\nmax_overlap = 0.5\n", "utf-8")
    chosen = settings_of("published", file, {"max_overlap": 0.25})
    assert (chosen.points_per_side, chosen.max_overlap, chosen.min_mask_region_area) == (20, 0.25, 350)
    file.write_text("crop_n_layers = 0\n", "utf-8")
    assert settings_of("published", file, {}).crop_n_layers == 0
    assert settings_of("default", None, {}) == Settings()
    file.write_text("pixel_size = '4.466±0.05'\n", "utf-8")
    assert settings_of("default", file, {}) == Settings(pixel_size=4.466, pixel_size_uncertainty=0.05)
    assert settings_of("default", file, {"pixel_size": "5"}) == Settings(pixel_size=5)
    file.write_text("points = 20\n", "utf-8")
    with pytest.raises(SettingsError, match="Unknown setting 'points'"):
        settings_of("default", file, {})


def test_the_statistics_of_all_images_have_those_that_were_skipped_too(run: Program) -> None:
    names = [str(image(f"{name}.tif", name.encode())) for name in "abc"]
    pixel_size = ("--pixel-size", "4.466±0.05", "--out", "out")
    run("analyze", *names, *pixel_size)
    first = list(csv.DictReader(Path("out/statistics.csv").read_text("utf-8").splitlines()))
    assert "3 skipped" in run("analyze", *names, *pixel_size).out
    again = list(csv.DictReader(Path("out/statistics.csv").read_text("utf-8").splitlines()))
    assert [row["n"] for row in first] == [row["n"] for row in again]
    for one, other in zip(first, again, strict=True):
        for name in ("mean", "mean_low", "mean_combined_high", "scale_relative"):
            assert float(one[name] or 0) == pytest.approx(float(other[name] or 0), rel=1e-5, abs=1e-9)
    assert {row["images"] for row in first} == {"3"}
    one = list(csv.DictReader(Path("out/a/statistics.csv").read_text("utf-8").splitlines()))
    assert [3 * int(row["n"]) for row in one] == [int(row["n"]) for row in first]


def test_without_a_result_there_are_no_statistics(run: Program) -> None:
    assert run("analyze", "missing.tif", "--out", "out").code == 1
    assert sorted(p.name for p in Path("out").iterdir()) == ["summary.csv"]


def test_filters_leave_lobes_in_the_table_and_are_recorded(run: Program) -> None:
    image("a.tif")
    assert run("analyze", "a.tif", "--out", "out", "--min-diameter", "41", "--roi", "0", "0", "70", "110").code == 0
    rows = list(csv.DictReader(Path("out/a/lobes.csv").read_text("utf-8").splitlines()))
    assert [row["excluded_by"] for row in rows] == ["", "min_diameter", "", "roi", "min_diameter"]
    filters = json.loads(Path("out/a/result.json").read_text("utf-8"))["filters"]
    assert [(f["name"], f["threshold"], f["unit"], f["lobes_excluded"]) for f in filters] == [
        ("min_diameter", 41.0, "nm", 2), ("roi", [0, 0, 70, 110], "px", 1),
    ]  # fmt: skip
    assert "skipped" in run("analyze", "a.tif", "--out", "out", "--min-diameter", "41",
                            "--roi", "0", "0", "70", "110").out  # fmt: skip


def test_every_setting_has_its_option(run: Program) -> None:
    text = run("analyze", "--help").out
    for name in Settings().to_dict():
        assert f"--{name.replace('_', '-')}" in text


def test_simulate_writes_a_micrograph_with_its_pixel_size_and_truth(run: Program) -> None:
    command = [
        "simulate", "--out", "out", "--count", "2",
        "--particle", "trimer", "--radius-nm", "30", "--size", "200x150",
    ]  # fmt: skip
    assert run(*command).code == 0
    assert sorted(p.relative_to("out").as_posix() for p in Path("out").rglob("*.*")) == [
        "labels/trimer_0000.tif", "labels/trimer_0001.tif",
        "trimer_0000.tif", "trimer_0000_truth.csv", "trimer_0001.tif", "trimer_0001_truth.csv",
    ]  # fmt: skip
    with Path("out/trimer_0000_truth.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == tifffile.imread("out/labels/trimer_0000.tif").max()
    with tifffile.TiffFile("out/trimer_0000.tif") as file:
        assert file.asarray().shape == (150, 200)
        assert file.imagej_metadata["unit"] == "nm"
    before = Path("out/trimer_0000.tif").read_bytes()
    answer = run(*command)
    assert answer.code == 1
    assert "add --overwrite" in answer.err
    assert run(*command, "--overwrite").code == 0
    assert Path("out/trimer_0000.tif").read_bytes() == before


def test_simulate_writes_a_sheet_of_every_kind(run: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samcolloid_edge.engine.synthetic_gallery.KINDS", {"cube": {"particle": "cube"}})
    assert run("simulate", "--gallery", "--out", "out").code == 0
    assert [p.name for p in Path("out").iterdir()] == ["gallery.png"]
    assert "add --overwrite" in run("simulate", "--gallery", "--out", "out").err


def test_simulate_refuses_what_is_no_size_or_particle(run: Program) -> None:
    for wrong in (("--size", "200"), ("--particle", "cat"), ("--radius-nm", "-1"), ("--pixel-size", "0")):
        answer = run("simulate", "--out", "out", *wrong)
        assert answer.code == 2
        assert len(answer.err.splitlines()) == 1


def test_info_names_providers_model_and_versions(run: Program) -> None:
    answer = run("info", "--threads", "3")
    assert answer.code == 0
    for part in ("CPUExecutionProvider", "threads: 3", "by-hand", "numpy: ", "samcolloid-edge: "):
        assert part in answer.out


def test_info_of_images_tells_their_scale_with_every_source(run: Program) -> None:
    pixels = np.zeros((60, 83), np.uint16)
    tifffile.imwrite("a.tif", pixels, imagej=True, resolution=(0.25, 0.25), metadata={"unit": "nm"})
    Path("a.txt").write_text("[SemImageFile]\nPixelSize=4.1\nDataSize=83x60\n", "utf-8")
    answer = run("info", "a.tif", "missing.tif", command=None)
    assert answer.code == 1
    assert "a.tif: 83 × 60 px, uint16" in answer.out
    assert "pixel size: 4 nm (ImageJ unit and resolution)" in answer.out
    assert "also stated: 4.1 nm (Hitachi side file PixelSize)" in answer.out
    assert "a.tif: Two pixel sizes are stated, 2.5 % apart" in answer.err
    assert "missing.tif: there is no such file" in answer.err


def test_the_label_of_the_scale_bar_is_a_length(run: Program) -> None:
    image("a.tif")
    answer = run("analyze", "a.tif", "--out", "out", "--scale-bar", "300")
    assert answer.code == 2
    assert "A length above 0 with its unit is needed, like 300nm" in answer.err


def test_columns_lists_every_column(run: Program) -> None:
    out = run("columns").out
    assert "  circularity: 4π area / perimeter²" in out
    assert "  angle_max [°]" in out


def in_a_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "samcolloid_edge.cli", *arguments]
    return subprocess.run(command, capture_output=True, env=os.environ | environment, check=False)


def test_on_a_terminal_a_bar_says_which_image_it_is_and_the_time_left() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Display(3, console) as display:
        display.start("[2/3]", Path("a [b].tif"))
        display.step("decode", 0.5)
        display.done(2)
    text = console.file.getvalue()
    assert "[2/3] a [b].tif" in text
    assert "left:" in text


def test_version_and_help_load_nothing_that_computes() -> None:
    assert in_a_process("--version").stdout.decode().startswith("samcolloid-edge ")
    code = (
        "import sys; sys.argv = ['samcolloid-edge', 'analyze', '--help']\n"
        "from samcolloid_edge.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: print({'numba', 'cv2', 'onnxruntime', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip().endswith("set()")


def test_letters_that_the_console_lacks_do_not_stop_the_program(tmp_path: Path) -> None:
    path = str(tmp_path / "粒子.tif")
    done = in_a_process("analyze", path, "--out", str(tmp_path / "out"), PYTHONIOENCODING="cp1252")
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert rb"\u7c92\u5b50.tif" in done.stderr
