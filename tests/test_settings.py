"""Settings are checked, written and read back."""

from __future__ import annotations

import pytest
from samcolloid_edge import Settings, SettingsError


def test_the_published_preset_is_the_papers():
    paper = Settings.preset("published")
    assert (paper.points_per_side, paper.pred_iou_thresh, paper.stability_score_thresh) == (36, 0.80, 0.80)
    assert (paper.crop_n_layers, paper.crop_n_points_downscale_factor, paper.min_mask_region_area) == (1, 2, 350)


def test_toml_leads_there_and_back(tmp_path):
    settings = Settings(points_per_side=12, min_radius=3.5, particle="trimer", grouping="published",
                        min_diameter=12.5, border=3, trim_area_last=0.05, roi=(0, 10, 200, 300))  # fmt: skip
    (tmp_path / "s.toml").write_text(settings.to_toml(), "utf-8")
    assert Settings.from_toml(tmp_path / "s.toml") == settings


@pytest.mark.parametrize("wrong", [
    {"pred_iou_thresh": 1.5}, {"stability_score_thresh": -0.1}, {"box_nms_thresh": 2}, {"crop_overlap_ratio": 1},
    {"points_per_side": 0}, {"crop_n_layers": -1}, {"min_radius": 0}, {"min_radius": float("nan")},
    {"pixel_size": -4.4}, {"pixel_size": float("inf")},
    {"pixel_size": "4.4±"}, {"pixel_size": "4.4±5"}, {"pixel_size": "4.4±0.1", "pixel_size_uncertainty": 0.2},
    {"pixel_size_uncertainty": -1}, {"particle": "cube"}, {"grouping": "none"},
    {"min_diameter": 0}, {"max_area": -1}, {"border": 0}, {"min_circularity": float("nan")}, {"trim_area_first": 0.5},
    {"min_diameter": 9, "max_diameter": 8}, {"min_area": 9, "max_area": 8}, {"roi": [0, 0, 10]}, {"roi": "all"},
    {"roi": [5, 0, 5, 10]}, {"roi": [0, 0, 1.5, 10]}, {"roi": [-1, 0, 10, 10]},
    {"unheard_of": 1}, {"pred_iou_thresh": "high"},
])  # fmt: skip
def test_a_senseless_setting_is_named(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong)) if "high" not in wrong.values() else "wrong type"):
        Settings.from_mapping(wrong)


def test_an_unknown_preset_lists_those_there_are():
    with pytest.raises(SettingsError, match="default, published"):
        Settings.preset("fast")


@pytest.mark.parametrize("text", ["points_per_side = [", "\xff"])
def test_a_file_that_is_no_toml_is_named(tmp_path, text):
    (tmp_path / "s.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"s\.toml"):
        Settings.from_toml(tmp_path / "s.toml")


@pytest.mark.parametrize("text", ["4.466±0.05", "4.466 ± 0.05", "4.466+-0.05", "4.466 +/- 5e-2"])
def test_a_pixel_size_may_be_written_with_its_uncertainty(tmp_path, text):
    settings = Settings(pixel_size=4.466, pixel_size_uncertainty=0.05)
    assert Settings.from_mapping({"pixel_size": text}) == settings
    (tmp_path / "s.toml").write_text(f'pixel_size = "{text}"', "utf-8")
    assert Settings.from_toml(tmp_path / "s.toml") == settings
    (tmp_path / "s.toml").write_text(settings.to_toml(), "utf-8")
    assert Settings.from_toml(tmp_path / "s.toml") == settings


def test_an_uncertainty_alone_is_that_of_the_files_own_pixel_size():
    assert Settings.from_mapping({"pixel_size_uncertainty": 0.05}) == Settings(pixel_size_uncertainty=0.05)
    assert Settings.from_mapping({"pixel_size": "4.466"}) == Settings(pixel_size=4.466)


def test_the_label_of_the_scale_bar_may_have_its_unit(tmp_path):
    (tmp_path / "s.toml").write_text('scale_bar = "0.3 um"', "utf-8")
    assert Settings.from_toml(tmp_path / "s.toml") == Settings(scale_bar=300)
