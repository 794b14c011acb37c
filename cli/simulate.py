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
        str, typer.Option(metavar="sphere|dumbbell|trimer|chain|mixture", help="Kind of particle.")
    ] = "sphere",
    radius_nm: Annotated[float, typer.Option(help="Mean radius of a particle's largest lobe, nm.")] = 60.0,
    pixel_size: Annotated[float, typer.Option(help="nm per px.")] = 2.0,
    size: Annotated[str, typer.Option(metavar="WxH", help="Width and height, px.")] = "1024x768",
    count: Annotated[int, typer.Option(min=1, help="Number of images.")] = 1,
    seed: Annotated[
        int, typer.Option(min=0, help="The same seed gives the same pixels; image i has seed + i.")
    ] = 0,
    spread: Annotated[float, typer.Option(min=0, help="Relative standard deviation of the radius.")] = 0.05,
    packing: Annotated[
        float, typer.Option(min=0, help="Share of the area that particles cover; 0.85 is jammed.")
    ] = 0.6,
    contrast_to_noise: Annotated[
        float, typer.Option(min=0, help="Contrast over noise; 0 for no noise.")
    ] = 10.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Render micrographs with exact truth: a TIFF with its pixel size and a CSV of the lobes in it, each."""
    from ..engine.files import check_folder, write_files
    from ..engine.report_csv import table_csv
    from ..engine.report_tiff import gray_tiff
    from ..engine.synthetic import Scene, of_size, render

    shape = re.fullmatch(r"(\d+)x(\d+)", size)
    if shape is None:
        raise SettingsError(f"--size must be width x height in px, such as 1024x768, not {size!r}.")
    check_folder(out)
    for number in range(seed, seed + count):
        scene = Scene(
            seed=number,
            shape=(int(shape[2]), int(shape[1])),
            particle=particle,
            spread=spread,
            packing=packing,
            contrast_to_noise=contrast_to_noise,
            pixel_size=pixel_size,
        )
        name = f"{particle}_{number:04d}"
        rendered = render(of_size(scene, radius_nm))
        contents = {
            f"{name}.tif": gray_tiff(rendered.image, pixel_size),
            f"{name}_truth.csv": table_csv(rendered.truth()),
        }
        there = [out / file for file in contents if (out / file).exists()]
        if there and not overwrite:
            raise OutputError(f"{there[0]}: is there already; add --overwrite or choose another --out.")
        write_files(out, contents)
        typer.echo(f"{out / name}.tif: {len(rendered.radii)} lobes")
