"""``samcolloid-edge bench``: what an analysis costs on this machine."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..engine.settings import PRESETS, Settings
from ..models.errors import ModelError, SettingsError

if TYPE_CHECKING:
    from ..engine.types import Result
    from ..models.card import ModelCard


def bench(
    image: Annotated[
        Path | None,
        typer.Argument(metavar="[IMAGE]", help="Micrograph.", show_default="a rendered one of 1024 x 768 px"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Name or folder of another model.", show_default="the bundled one")
    ] = None,
    preset: Annotated[str, typer.Option(help="Settings.", metavar="|".join(PRESETS))] = "default",
    device: Annotated[
        Literal["auto", "cpu", "cuda", "tensorrt"], typer.Option(help="Where the model runs.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads.", show_default="all cores")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Analyses after the first.")] = 5,
    batch: Annotated[
        bool, typer.Option("--batch", help="Also images a second, by --workers and --threads of analyze.")
    ] = False,
    against: Annotated[
        Literal["segment-anything"] | None,
        typer.Option(help="Also its automatic mask generator, in torch, on all of a grid.", show_default=False),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Checkpoint that --model was exported from.", show_default=False)
    ] = None,
) -> None:
    """Time the stages of an analysis, count operations and memory, and print a table."""
    settings = Settings.preset(preset)
    if against:
        if model is None or checkpoint is None:
            raise SettingsError(
                f"--against {against} needs --checkpoint, a file of SAM's, and --model, its export; the bundled model "
                "is no architecture of segment-anything's."
            )
        settings = replace(settings, schedule="exact", points_per_side=settings.points_per_side or 32)
    from ..engine import bench as benchmark
    from ..engine import machine
    from ..engine.read import read
    from ..engine.synthetic import Scene, render

    micrograph = read(image or render(Scene(particle="trimer")).image)
    figures = benchmark.measure(micrograph, settings, model, device, threads, repeats, _say)
    result = figures.result
    assert result.model is not None  # no preset asks for a method without one
    rows, columns = micrograph.pixels.shape
    typer.echo(f"model: {result.model.name} {result.model.digest} ({result.model.precision}) on {result.providers[0]}")
    typer.echo(f"image: {image or 'rendered'}, {columns} x {rows} px, settings: {preset}, {settings.schedule}")
    for line in benchmark.lines(figures):
        typer.echo(line)
    if batch:
        for workers, each in benchmark.ways(machine.cores()):
            _say(f"{workers} workers")
            rate = benchmark.images_a_second(micrograph, settings, workers, each, repeats * workers, model, device)
            typer.echo(f"--workers {workers} --threads {each}: {rate:.2f} images/s")
    if against and checkpoint:
        _say(against)
        seconds, masks = _generator(checkpoint, result, result.model, threads)
        typer.echo(benchmark.compared(figures, f"{against} in torch", seconds, masks))


def _say(step: str) -> None:
    typer.echo(f"{step} ...", err=True)


def _generator(checkpoint: Path, result: Result, card: ModelCard, threads: int | None) -> tuple[float, int]:
    """Seconds that segment-anything's generator takes for the same micrograph, and its masks."""
    try:
        import torch

        from ..export import checkpoint as checkpoints
        from ..export.families import family_of
        from ..export.sam import generator
    except ImportError as error:
        raise ModelError(
            f"--against segment-anything needs packages that are not installed (there is no {error.name}): "
            'pip install "samcolloid-edge[export]".'
        ) from None
    if checkpoints.hash_file(checkpoint) != card.checkpoint_sha256:
        raise ModelError(f"{checkpoint}: is not the checkpoint that {card.name} was exported from; name that.")
    import numpy as np

    from ..engine.preprocess import Grey

    if threads is not None:
        torch.set_num_threads(threads)
    state = checkpoints.read(checkpoint)
    settings, micrograph = result.settings, result.micrograph
    made = generator(family_of(state).reference(state), settings)
    grey = Grey.of_micrograph(micrograph).of(micrograph.area)
    start = time.perf_counter()
    masks = made.generate(np.repeat(grey[:, :, None], 3, axis=2))
    return time.perf_counter() - start, len(masks)
