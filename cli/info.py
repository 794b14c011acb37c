"""``samcolloid-edge info``: what this installation runs with, or what is known of the scale of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import typer


def info(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT]...", show_default=False, help="Images to tell the scale of, with its sources."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Name or folder of another model.", show_default="the bundled one")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "tensorrt"], typer.Option(help="Where the model runs.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads.", show_default="all cores")] = None,
) -> None:
    """Print providers, threads, model and versions; of images, their size, pixel size and its sources."""
    if inputs:
        raise typer.Exit(_tell_scales(inputs))
    from ..engine.pipeline import Segmenter
    from ..engine.report import versions

    segmenter = Segmenter(model, device=device, threads=threads)
    card = segmenter.card
    typer.echo(f"providers: {', '.join(segmenter.providers)}")
    typer.echo(f"threads: {threads or 'all cores'}")
    typer.echo(f"model: {card.name} {card.digest} ({card.family}, {card.precision}, {card.licence})")
    typer.echo(f"  weights: {card.source}")
    typer.echo(f"  side: {card.side} px, smallest radius: {card.smallest_radius:g} px")
    typer.echo(f"  masks: {', '.join(card.masks)}")
    for name, version in versions().items():
        typer.echo(f"{name}: {version}")
    for note in segmenter.notes:
        typer.echo(note, err=True)


def _tell_scales(arguments: Sequence[str]) -> int:
    """What ``read`` finds in each image; 1 where one cannot be read."""
    from ..engine.read import read
    from ..models.errors import ImageError
    from .inputs import expand

    failed = 0
    for item in expand(arguments):
        try:
            if item.error:
                raise ImageError(item.error)
            micrograph = read(item.path)
        except ImageError as error:
            typer.echo(f"samcolloid-edge: {error}", err=True)
            failed = 1
            continue
        height, width = micrograph.pixels.shape
        typer.echo(f"{item.path}: {width} × {height} px, {micrograph.pixels.dtype}")
        size = micrograph.pixel_size
        typer.echo("  pixel size: " + ("unknown" if size is None else f"{size:g} nm ({micrograph.pixel_size_source})"))
        for other in micrograph.pixel_sizes[1:]:
            typer.echo(f"  also stated: {other.x:g} nm ({other.source})")
        if micrograph.scale_bar is not None:
            worth = "" if size is None else f", so its label should be {micrograph.scale_bar * size:.3g} nm"
            typer.echo(f"  scale bar: {micrograph.scale_bar:.4g} px long{worth}")
        for warning in micrograph.warnings:
            typer.echo(f"{item.path}: {warning}", err=True)
    return failed
