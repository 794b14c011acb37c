"""``samcolloid-edge analyze``: micrographs in, tables and overlays out."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..engine.settings import (
    PRESETS,
    Brightness,
    Columns,
    EdgeWeighting,
    Grouping,
    Method,
    Particle,
    Schedule,
    Settings,
    plain_lengths,
)

_DEFAULT = Settings()


def _setting(name: str, is_what: str) -> Any:
    """An option that has a default of its own."""
    default = getattr(_DEFAULT, name)
    return typer.Option(help=is_what, show_default="on" if default is True else str(default))


def _filter(keeps: str) -> Any:
    """An option that leaves lobes out."""
    return typer.Option(help=f"Filter: {keeps}", show_default="none")


def _traditional(what: str, default: object) -> Any:
    """An option of the method without a model."""
    return typer.Option(help=f"Watershed: {what}", show_default=str(default))


def analyze(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            show_default=False,
            help="Images (TIFF, PNG, JPEG, BMP, DM3, DM4, EMD, MRC), folders (the images directly in them) or "
            "patterns (*.tif).",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the results; it is made where it is missing.", show_default=False)
    ],
    pixel_size: Annotated[
        str | None,
        typer.Option(
            metavar="NM",
            help="nm per px, instead of what the file says; 4.466±0.05 (or +-) with its uncertainty.",
            show_default=False,
        ),
    ] = None,
    pixel_size_uncertainty: Annotated[
        float | None,
        typer.Option(help="Standard uncertainty of that, or of the file's own, nm per px.", show_default=False),
    ] = None,
    scale_bar: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help="Label of the burnt-in scale bar, like 300nm: checks the pixel size, or gives it.",
            show_default=False,
        ),
    ] = None,
    particle: Annotated[
        Particle | None,
        _setting("particle", "What a set is: 1, 2, 3 or more lobes (chain), or as many as are found (auto)."),
    ] = None,
    grouping: Annotated[
        Grouping | None,
        _setting("grouping", "Lobes become sets by all evidence there is, or by the paper's neighbour rules."),
    ] = None,
    preset: Annotated[str, typer.Option(help="Settings to start from.", metavar="|".join(PRESETS))] = "default",
    settings: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of settings, named as the options are (with _ for -); it goes over the preset, "
            "and options go over it.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other results in the output folder.")] = False,
    schedule: Annotated[
        Schedule | None,
        _setting("schedule", "Ask all points of the grid (exact), or only those that can still tell something new."),
    ] = None,
    zoom: Annotated[
        float | None,
        typer.Option(help="Model px per px.", show_default="found by a first look"),
    ] = None,
    min_radius: Annotated[
        float | None,
        typer.Option(help="Smallest lobe radius sought, px.", show_default="as the model resolves"),
    ] = None,
    points_per_side: Annotated[
        int | None,
        typer.Option(help="Prompts along each side.", show_default="as --min-radius needs"),
    ] = None,
    pred_iou_thresh: Annotated[
        float | None,
        _setting("pred_iou_thresh", "Lowest predicted IoU, 0-1."),
    ] = None,
    stability_score_thresh: Annotated[
        float | None,
        _setting("stability_score_thresh", "Lowest stability score, 0-1."),
    ] = None,
    inside_iou_thresh: Annotated[
        float | None,
        _setting(
            "inside_iou_thresh",
            "Lowest predicted IoU where a particle mask has room for one more lobe, 0-1; 1: none is sought.",
        ),
    ] = None,
    inside_stability_thresh: Annotated[
        float | None, _setting("inside_stability_thresh", "Lowest stability score of such a lobe, 0-1.")
    ] = None,
    redraw_solidity: Annotated[
        float | None,
        _setting("redraw_solidity", "Masks of a lower solidity are drawn again at half the zoom, 0-1; 0: none."),
    ] = None,
    fill_particles: Annotated[
        bool | None,
        _setting(
            "fill_particles",
            "What a particle's mask holds and none of its lobes does goes to the likeliest lobe nearby.",
        ),
    ] = None,
    join_pieces: Annotated[
        bool | None,
        _setting(
            "join_pieces", "Neighbours with neither neck nor crease between them, as pieces of a rod, become one lobe."
        ),
    ] = None,
    edge_profile: Annotated[
        bool | None,
        _setting("edge_profile", "All outlines move to where the mean grey profile across them has the edge."),
    ] = None,
    stability_score_offset: Annotated[
        float | None, _setting("stability_score_offset", "Shift of the threshold for that score, logits.")
    ] = None,
    box_nms_thresh: Annotated[
        float | None, _setting("box_nms_thresh", "Highest box IoU of two masks of a crop, 0-1.")
    ] = None,
    crop_n_layers: Annotated[
        int | None, _setting("crop_n_layers", "Layers of crops analysed again, magnified.")
    ] = None,
    crop_nms_thresh: Annotated[
        float | None, _setting("crop_nms_thresh", "Highest box IoU of masks of two crops, 0-1.")
    ] = None,
    crop_overlap_ratio: Annotated[
        float | None,
        typer.Option(help="Overlap of crops as a share of the image side.", show_default="512/1500"),
    ] = None,
    crop_n_points_downscale_factor: Annotated[
        int | None, _setting("crop_n_points_downscale_factor", "Points per side are divided by this a layer.")
    ] = None,
    min_mask_region_area: Annotated[
        int | None, _setting("min_mask_region_area", "Smaller holes and islands are removed, px².")
    ] = None,
    max_overlap: Annotated[
        float | None, _setting("max_overlap", "Largest share of a mask that better masks hold, 0-1.")
    ] = None,
    method: Annotated[
        Method | None, _setting("method", "What finds lobes: the model, or the traditional threshold and watershed.")
    ] = None,
    watershed_particles: Annotated[
        Brightness | None, _traditional("particles are bright, dark, or what is rounder.", _DEFAULT.watershed_particles)
    ] = None,
    watershed_median_radius: Annotated[
        int | None, _traditional("radius of the median filter, px.", _DEFAULT.watershed_median_radius)
    ] = None,
    watershed_background_radius: Annotated[
        float | None, _traditional("radius of the rolling ball, px; 0: none.", _DEFAULT.watershed_background_radius)
    ] = None,
    watershed_tolerance: Annotated[
        float | None, _traditional("least neck between two lobes, px.", _DEFAULT.watershed_tolerance)
    ] = None,
    watershed_set_tolerance: Annotated[
        float | None, _traditional("least neck between two particles, px.", _DEFAULT.watershed_set_tolerance)
    ] = None,
    watershed_min_area: Annotated[
        int | None, _traditional("smaller lobes and holes are noise, px².", _DEFAULT.watershed_min_area)
    ] = None,
    min_diameter: Annotated[float | None, _filter("smallest lobe that counts, nm of equivalent diameter.")] = None,
    max_diameter: Annotated[float | None, _filter("largest lobe that counts, nm of equivalent diameter.")] = None,
    roi: Annotated[
        tuple[int, int, int, int] | None,
        typer.Option(
            metavar="ROW0 COL0 ROW1 COL1",
            help="Filter: rectangle in which lobes and sets count, px; their centroids decide.",
            show_default="the analysed area",
        ),
    ] = None,
    border: Annotated[int | None, _filter("least distance of a lobe from the edge of the analysed area, px.")] = None,
    min_area: Annotated[int | None, _filter("smallest lobe that counts, px².")] = None,
    max_area: Annotated[int | None, _filter("largest lobe that counts, px².")] = None,
    min_circularity: Annotated[float | None, _filter("least circularity that counts.")] = None,
    min_contour_circularity: Annotated[float | None, _filter("least circularity by contour points.")] = None,
    trim_area_first: Annotated[float | None, _filter("share of lobes at each end of the areas, first.")] = None,
    trim_area_last: Annotated[float | None, _filter("the same, last.")] = None,
    edge_weighting: Annotated[
        EdgeWeighting | None, _setting("edge_weighting", "How statistics make up for particles that the edge hides.")
    ] = None,
    columns: Annotated[
        Columns | None,
        _setting("columns", "Columns of lobes.csv: standard, or with scikit-image's or ImageJ's besides."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Name or folder of another model.", show_default="the bundled one")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "tensorrt"], typer.Option(help="Where the model runs.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of one run of the model.", show_default="all cores")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Images computed at once.")] = 1,
    formats: Annotated[
        str,
        typer.Option(
            help="Files to write beside the tables (CSV), label images, overlay and record, with commas between: "
            "xlsx, parquet, coco, roi; or all.",
            metavar="LIST",
            show_default=False,
        ),
    ] = "",
    exclusions: Annotated[
        Path | None,
        typer.Option(
            help="Particles to exclude, JSON as the report page exports it; they stay in the tables, with "
            "excluded_by = user.",
            show_default=False,
        ),
    ] = None,
    page: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html, the page of the run.")] = True,
) -> None:
    """Find and measure particles and their lobes: tables, label image and overlay of every image."""
    # The options that are settings carry the settings' names.
    named = {field.name: context.params.get(field.name) for field in dataclasses.fields(Settings)}
    chosen = settings_of(preset, settings, {name: value for name, value in named.items() if value is not None})
    from ..engine import ahead
    from ..engine.exclusions import NO_EXCLUSIONS, Exclusions
    from ..engine.pipeline import Segmenter
    from ..engine.report_formats import chosen as chosen_formats
    from .batch import Batch, run
    from .inputs import expand

    files = chosen_formats(name for name in formats.replace(" ", "").lower().split(",") if name)
    left_out = NO_EXCLUSIONS if exclusions is None else Exclusions.read(exclusions)
    segmenter = Segmenter(model, device=device, threads=threads)
    batch = Batch(expand(inputs), out, segmenter, chosen, overwrite, workers, files, page, left_out)
    ahead.start()
    raise typer.Exit(run(batch))


def settings_of(preset: str, file: Path | None, options: dict[str, Any]) -> Settings:
    """Options go over the settings file, the file over the preset. Raises SettingsError."""
    values = Settings.preset(preset).to_dict()
    if file is not None:
        in_file = Settings.from_toml(file).to_dict()
        values |= {name: in_file[name] for name in plain_lengths(tomllib.loads(file.read_text("utf-8")))}
    return Settings.from_mapping(values | plain_lengths(options))
