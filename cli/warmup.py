"""``samcolloid-edge warmup``: does ahead of time what a first analysis would wait for."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import typer

from ..engine.settings import Settings


def warmup(
    model: Annotated[
        str | None, typer.Option(help="Name or folder of another model.", show_default="the bundled one")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "tensorrt"], typer.Option(help="Where the model runs.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads.", show_default="all cores")] = None,
) -> None:
    """Compile everything and keep it, and run the model once: the first analysis is as quick as later ones."""
    from ..engine import ahead, caches
    from ..engine.pipeline import Segmenter
    from ..engine.synthetic import Scene, render

    start = time.perf_counter()
    other = ahead.start()
    bundled = Segmenter(device="cpu", threads=threads)
    bundled.analyze(render(Scene(shape=(192, 256), particle="trimer", radius_px=16)).image)
    # Arrays of a single lobe are laid out otherwise, and grey values are of the file's own type: other kernels.
    alone = Settings(schedule="exact", points_per_side=8, min_mask_region_area=50)
    image = render(Scene(shape=(128, 128), isolated=True)).image
    for values in ("uint8", "uint16", "float32"):
        bundled.analyze(image.astype(values), settings=alone)
    if other is not None:
        other.wait()
    kept, folder = caches.kept(), caches.folder()
    where = f"{kept} kept in {folder}" if kept else f"cannot be kept in {folder}, so every run compiles them"
    typer.echo(f"kernels: {where}, {time.perf_counter() - start:.1f} s")

    start = time.perf_counter()
    segmenter = Segmenter(model, device=device, threads=threads)
    segmenter.analyze(render(Scene(particle="trimer")).image)
    for note in segmenter.notes:
        typer.echo(note, err=True)
    card = segmenter.card
    typer.echo(f"model: {card.name} {card.digest} on {segmenter.providers[0]}, {time.perf_counter() - start:.1f} s")
