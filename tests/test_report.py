"""The files of a result: what they say, that they are whole, and what happens where they cannot be."""

from __future__ import annotations

import csv
import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from handmade import discs, result_of, small_result
from samcolloid_edge import save
from samcolloid_edge.engine import report
from samcolloid_edge.engine.overlay import draw
from samcolloid_edge.engine.pixel_size import PixelSize
from samcolloid_edge.engine.quantities import COLUMNS
from samcolloid_edge.engine.report_formats import FORMATS, chosen, files_of
from samcolloid_edge.engine.settings import Settings
from samcolloid_edge.engine.types import Result
from samcolloid_edge.models.errors import OutputError, SettingsError
from skimage.measure import regionprops_table

SHA = "ab" * 32
TEXT = ("lobe", "kind", "shape", "incomplete", "excluded_by")
"""Columns in which an empty cell is an empty text."""


def identity(result: Result, **other: Any) -> report.Identity:
    version = report.versions()["samcolloid-edge"]
    return replace(report.Identity(SHA, result.settings, result.model.digest, version), **other)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_every_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "Größe 5 µm" / "a"
    assert save(small_result(), folder) == [folder / name for name in report.FILES]
    assert names(folder) == sorted(report.FILES)


def test_tables_read_back_as_they_were(tmp_path: Path) -> None:
    result = small_result()
    save(result, tmp_path)
    for name, table in (("lobes.csv", result.lobes), ("sets.csv", result.sets)):
        frame = pd.read_csv(tmp_path / name, keep_default_na=False, na_values={c: "" for c in table if c not in TEXT})
        assert list(frame.columns) == list(table)
        for column, values in table.items():
            if values.dtype.kind in "fiu":
                np.testing.assert_allclose(frame[column], values, rtol=1e-6)
            else:
                assert frame[column].tolist() == values.tolist()


def test_scikit_image_on_the_label_image_gives_the_table(tmp_path: Path) -> None:
    save(small_result(), tmp_path)
    columns = ["label", "area", "perimeter", "centroid", "bbox", "eccentricity", "feret_diameter_max"]
    again = regionprops_table(tifffile.imread(tmp_path / "labels.tif"), properties=columns)
    frame = pd.read_csv(tmp_path / "lobes.csv")
    for name, values in again.items():
        np.testing.assert_allclose(frame[name], values, rtol=1e-6)


def test_nothing_found_gives_headers_and_an_empty_label_image(tmp_path: Path) -> None:
    save(result_of(np.zeros((5, 7), np.int32), np.zeros(0, np.int32)), tmp_path)
    lines = (tmp_path / "lobes.csv").read_text("utf-8").splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("label,set,lobe,area,area_nm2,")
    assert tifffile.imread(tmp_path / "labels.tif").shape == (5, 7)
    found = report.read_record(tmp_path)
    assert found["summary"]["lobes"] == 0
    assert found["summary"]["diameter_mean"] is None


def test_the_overlay_is_written_in_its_own_colours(tmp_path: Path) -> None:
    result = small_result()
    picture = draw(result)
    save(result, tmp_path)
    data = np.frombuffer((tmp_path / "overlay.png").read_bytes(), np.uint8)
    assert np.array_equal(cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1], picture)


def test_the_record_says_how_the_result_came_about(tmp_path: Path) -> None:
    result = small_result(source="a.tif", sha256=SHA, settings=Settings(pixel_size=2.0))
    stated = PixelSize(2.5, 2.5, "a tag")
    micrograph = replace(result.micrograph, file_pixel_size=2.5, pixel_size_uncertainty=0.1, warnings=("one",),
                         pixel_sizes=(stated,), scale_bar=67.0, side_files={"a.txt": "cd"})  # fmt: skip
    save(replace(result, micrograph=micrograph, warnings=("one", "two")), tmp_path)
    found = json.loads((tmp_path / "result.json").read_text("utf-8"))
    assert found["input"] == {
        "path": "a.tif", "sha256": SHA, "side_files": {"a.txt": "cd"}, "shape": [120, 110], "dtype": "uint8",
        "analysed_area": {"row0": 0, "col0": 0, "row1": 120, "col1": 110},
        "mapped_to_8_bit": None,
    }
    assert found["pixel_size"] == {
        "nm_per_px": 2.0, "uncertainty_nm_per_px": 0.1, "source": "a test", "file_nm_per_px": 2.5,
        "found": [{"nm_per_px": 2.5, "source": "a tag"}], "scale_bar_px": 67.0,
    }  # fmt: skip
    assert found["settings"] == result.settings.to_dict()
    model = result.model
    assert found["model"] == {
            "name": "by-hand", "digest": model.digest, "files": dict(model.files), "outline": model.outline,
        "edge_profile": model.edge_profile,
        }  # fmt: skip
    assert {"samcolloid-edge", "numpy", "opencv-python", "numba"} <= set(found["versions"])
    assert set(found["versions"]) & {"onnxruntime", "onnxruntime-gpu"}
    assert found["units"]["lobes"]["area"] == "px²"
    assert found["units"]["sets"]["angle_max"] == "°"
    assert found["counts"] == {"prompts": 64}
    assert found["timings"] == {"encode": 0.5, "decode": 0.25}
    assert found["warnings"] == ["one", "two"]
    assert found["schema_version"] == report.SCHEMA_VERSION
    assert found["created"].endswith("+00:00")


def test_the_record_says_which_values_a_deeper_image_was_mapped_between() -> None:
    pixels = np.arange(120 * 110, dtype=np.uint16).reshape(120, 110)
    result = replace(small_result(pixels=pixels), grey_range=(13.0, 13_185.5))
    assert report.record(result)["input"]["mapped_to_8_bit"] == [13.0, 13_185.5]


def test_the_summary_counts_all_but_averages_what_the_border_does_not_cut() -> None:
    lobes = [(30, 30, 10, 0), (30, 80, 12, 1), (0, 60, 11, 2), (80, 30, 12, 3), (80, 50, 9, 3)]
    result = result_of(*discs((120, 110), lobes), pixel_size=2.0)
    values = report.record(result)["summary"]
    assert (values["lobes"], values["sets"], values["spheres"], values["dumbbells"]) == (5, 4, 3, 1)
    assert values["lobes_excluded"] == 0
    diameters, weights = 2 * np.sqrt(np.array([317, 441]) / np.pi), result.sets["edge_weight"][:2]
    assert weights[1] > weights[0] > 1
    mean = np.average(diameters, weights=weights)
    variance = np.average((diameters - mean) ** 2, weights=weights) / (1 - (weights**2).sum() / weights.sum() ** 2)
    assert values["diameter_sphere_mean"] == pytest.approx(mean)
    assert values["diameter_sphere_sd"] == pytest.approx(np.sqrt(variance))
    assert values["diameter_sphere_mean_nm"] == pytest.approx(2 * mean)
    assert values["diameter_large_sd"] is None
    assert values["diameter_a_mean"] is None
    assert values["distance_mean_nm"] > 30


def test_the_summary_tells_how_many_lobes_filters_left_out() -> None:
    result = small_result(settings=Settings(min_diameter=41.0))
    values = report.record(result)["summary"]
    assert (values["lobes"], values["lobes_excluded"], values["dumbbells"], values["spheres"]) == (3, 2, 1, 1)
    assert "3 lobes (2 left out), 2 sets" in report.one_line(report.record(result))


def test_statistics_stand_in_the_record_and_in_a_file_of_their_own(tmp_path: Path) -> None:
    save(small_result(), tmp_path)
    rows = json.loads((tmp_path / "result.json").read_text("utf-8"))["statistics"]["rows"]
    frame = pd.read_csv(tmp_path / "statistics.csv")
    assert list(frame.columns) == list(COLUMNS)
    assert len(rows) == len(frame)
    for row, (_, line) in zip(rows, frame.iterrows(), strict=True):
        assert (row["quantity"], row["n"]) == (line["quantity"], line["n"])
        assert row["mean"] == pytest.approx(line["mean"])
        assert ("sd" in row) == (not np.isnan(line["sd"]))


def test_without_a_pixel_size_there_are_no_nanometres() -> None:
    result = small_result(pixel_size=None)
    values = report.record(result)["summary"]
    assert values["diameter_mean"] > 0
    assert values["diameter_mean_nm"] is None
    assert "no pixel size" in report.one_line(report.record(result))


def test_summary_rows_of_done_and_failed_images_have_the_same_columns() -> None:
    found = report.record(small_result())
    rows = [
        report.summary_row(Path("ä b.tif"), Path("ä b"), "ok", found),
        report.summary_row(Path("c.tif"), Path("c"), "failed", {}, "c.tif: is empty."),
    ]
    first, second = csv.DictReader(report.summary_csv(rows).decode("utf-8").splitlines())
    assert (first["file"], first["lobes"], first["trimers"], first["error"]) == ("ä b.tif", "5", "1", "")
    assert set(first) >= set(found["summary"])
    assert (second["status"], second["error"], second["lobes"]) == ("failed", "c.tif: is empty.", "")


def test_a_result_is_the_same_only_where_input_settings_model_version_and_files_are(tmp_path: Path) -> None:
    result = small_result(sha256=SHA)
    assert report.existing(tmp_path, identity(result)) is None
    save(result, tmp_path)
    assert report.existing(tmp_path, identity(result)) == "same"
    edited = {"sha256": "cd" * 32, "side_files": {"a.txt": "cd"}, "settings": Settings(max_overlap=0.4),
              "model_digest": "0", "version": "0"}  # fmt: skip
    for other in ({name: value} for name, value in edited.items()):
        assert report.existing(tmp_path, identity(result, **other)) == "other"


@pytest.mark.parametrize("name", report.FILES)
@pytest.mark.parametrize("harm", [Path.unlink, lambda p: p.write_bytes(b"{}")])
def test_a_result_of_which_a_file_is_gone_or_edited_is_another(
    tmp_path: Path, name: str, harm: Callable[[Path], Any]
) -> None:
    result = small_result(sha256=SHA)
    save(result, tmp_path)
    harm(tmp_path / name)
    assert report.existing(tmp_path, identity(result)) == "other"


def test_a_result_with_fewer_files_than_asked_for_is_told_from_a_whole_one(tmp_path: Path) -> None:
    result = small_result(sha256=SHA)
    save(result, tmp_path)
    assert report.existing(tmp_path, identity(result), chosen(["coco"])) == "fewer"
    save(result, tmp_path, ["coco", "xlsx"])
    assert names(tmp_path) == sorted(files_of(chosen(["coco", "xlsx"])))
    assert report.existing(tmp_path, identity(result), chosen(["coco"])) == "same"
    assert report.existing(tmp_path, identity(result)) == "same"


def test_the_record_vouches_for_every_file(tmp_path: Path) -> None:
    save(small_result(), tmp_path, ["all"])
    assert names(tmp_path) == sorted(files_of(FORMATS))
    digests = report.read_record(tmp_path)["files"]
    assert {*digests, "result.json"} == set(files_of(FORMATS))
    assert all(report.sha256_of(tmp_path / name) == digest for name, digest in digests.items())


def test_no_file_of_another_result_lies_beside_a_new_one_but_what_somebody_edited(tmp_path: Path) -> None:
    save(small_result(), tmp_path, ["coco", "xlsx"])
    (tmp_path / "result.xlsx").write_bytes(b"with notes")
    (tmp_path / "mine.txt").write_bytes(b"")
    save(small_result(pixel_size=3.0), tmp_path)
    assert names(tmp_path) == sorted([*report.FILES, "mine.txt", "result.xlsx"])


def test_a_format_that_is_none_or_whose_library_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="no format 'docx'; there are csv, tiff, png, coco, roi, xlsx"):
        chosen(["docx"])
    monkeypatch.setattr("samcolloid_edge.engine.report_formats.find_spec", lambda _: None)
    assert chosen(["csv", "coco"]) == ("csv", "tiff", "png", "coco", "json")
    with pytest.raises(SettingsError, match=r'xlsx needs xlsxwriter.*pip install "samcolloid-edge\[xlsx\]"'):
        chosen(["xlsx"])
    with pytest.raises(SettingsError, match=r"xlsx, parquet need xlsxwriter and pyarrow.*\[xlsx,parquet\]"):
        chosen(["parquet", "xlsx"])


def test_a_full_disk_leaves_the_old_result_whole_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(small_result(sha256=SHA), tmp_path / "old")
    before = {p: p.read_bytes() for p in (tmp_path / "old").iterdir()}
    calls = iter(range(100))

    def full(_descriptor: int) -> None:
        if next(calls) % 4 == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for folder in (tmp_path / "old", tmp_path / "new" / "deeper"):
        with pytest.raises(OutputError, match="disk is full"):
            save(small_result(pixel_size=3.0), folder)
    assert {p: p.read_bytes() for p in (tmp_path / "old").iterdir()} == before
    assert names(tmp_path) == ["old"]


def test_a_file_held_open_is_written_beside_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(small_result(), tmp_path)
    before = (tmp_path / "lobes.csv").read_bytes()
    replace_file = Path.replace

    def held(self: Path, target: Path) -> Path:
        if target.name == "lobes.csv":
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        return replace_file(self, target)

    monkeypatch.setattr(Path, "replace", held)
    for number in (1, 2):
        written = save(small_result(pixel_size=3.0), tmp_path)
        assert written[0] == tmp_path / f"lobes ({number}).csv"
    assert (tmp_path / "lobes.csv").read_bytes() == before
    assert len(pd.read_csv(written[0])) == 5
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="cannot be written to"):
            save(small_result(), folder)
