"""``samcolloid-edge simulate``: rendered micrographs whose truth is known, to try a particle type on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from ..models.errors import OutputError, SettingsError


def simulate(
    out: Annotated[
        Path, typer.Option(help="Folder for the images; it is made where it is missing.", show_default=False)
    ],
    particle: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="sphere, dumbbell, trimer, rod, cube, tem, lacey, empty … --gallery shows them all."
        ),
    ] = "sphere",
    gallery: Annotated[
        bool, typer.Option("--gallery", help="Write gallery.png, every kind beside its truth, and nothing else.")
    ] = False,
    radius_nm: Annotated[
        float | None,
        typer.Option(help="Mean radius of a particle's largest lobe, nm (else 60, or the kind's own)."),
    ] = None,
    pixel_size: Annotated[float, typer.Option(help="nm per px.")] = 2.0,
    size: Annotated[str, typer.Option(metavar="WxH", help="Width and height, px.")] = "1024x768",
    count: Annotated[int, typer.Option(min=1, help="Number of images.")] = 1,
    seed: Annotated[
        int, typer.Option(min=0, help="The same seed gives the same pixels; image i has seed + i.")
    ] = 0,
    spread: Annotated[
        float | None,
        typer.Option(min=0, help="Relative standard deviation of the radius (else 0.05, or the kind's own)."),
    ] = None,
    packing: Annotated[
        float | None,
        typer.Option(
            min=0, help="Share of the area that particles cover; 0.85 is jammed (else 0.6, or the kind's own)."
        ),
    ] = None,
    contrast_to_noise: Annotated[
        float | None,
        typer.Option(min=0, help="Contrast over noise; 0 for no noise (else 10, or the kind's own)."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Render micrographs with exact truth: a TIFF with its pixel size, a CSV of its lobes and their label image."""
    from ..engine.report_csv import table_csv
    from ..engine.report_tiff import gray_tiff, label_tiff
    from ..engine.synthetic import render
    from ..engine.synthetic_kinds import KINDS, kind

    shape = re.fullmatch(r"(\d+)x(\d+)", size)
    if shape is None:
        raise SettingsError(f"--size must be width x height in px, such as 1024x768, not {size!r}.")
    if not pixel_size > 0:
        raise SettingsError(f"--pixel-size must be above 0, not {pixel_size:g}.")
    fields = {"spread": spread, "packing": packing, "contrast_to_noise": contrast_to_noise}
    given = {name: value for name, value in fields.items() if value is not None}
    if radius_nm is not None or "radius_px" not in KINDS.get(particle, {}):
        given["radius_px"] = (60.0 if radius_nm is None else radius_nm) / pixel_size
    if gallery:
        _write(out, {"gallery.png": _gallery_png(seed)}, overwrite)
        typer.echo(f"{out / 'gallery.png'}: every kind, its truth beside it")
        return
    for number in range(seed, seed + count):
        scene = kind(particle, seed=number, shape=(int(shape[2]), int(shape[1])), pixel_size=pixel_size, **given)
        name = f"{particle}_{number:04d}"
        rendered = render(scene)
        contents = {
            f"{name}.tif": gray_tiff(rendered.image, pixel_size),
            f"{name}_truth.csv": table_csv(rendered.truth()),
        }
        _write(out, contents, overwrite)
        # Apart, so that an analysis of the whole folder does not take them for micrographs.
        _write(out / "labels", {f"{name}.tif": label_tiff(rendered.lobes, pixel_size)}, overwrite)
        typer.echo(f"{out / name}.tif: {len(rendered.radii)} lobes")


def _gallery_png(seed: int) -> bytes:
    import cv2

    from ..engine.synthetic_gallery import gallery

    return cv2.imencode(".png", gallery(seed))[1].tobytes()


def _write(out: Path, contents: dict[str, bytes], overwrite: bool) -> None:
    from ..engine.files import check_folder, write_files

    check_folder(out)
    there = [out / file for file in contents if (out / file).exists()]
    if there and not overwrite:
        raise OutputError(f"{there[0]}: is there already; add --overwrite or choose another --out.")
    write_files(out, contents)
