"""``samcolloid-edge export``: a SAM checkpoint becomes a model, proven against torch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..models.errors import ModelError


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint file (.pth, .pt); with --download, where to put it.")],
    model: Annotated[
        Literal["auto", "vit_b", "vit_l", "vit_h", "mobile_sam"],
        typer.Option(help="What the checkpoint must be; auto: what its tensors say."),
    ] = "auto",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option(help="fp16 for GPUs, half the disk; int8 for CPUs: faster, less exact."),
    ] = "fp32",
    name: Annotated[
        str | None, typer.Option(help="Name of the model.", show_default="family, and the precision if not fp32")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write the model to.", show_default="the store of models")
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch Meta's checkpoint of --model first, where it is not there yet.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model of that name.")] = False,
) -> None:
    """Turn a SAM checkpoint into a model for analyze --model; keep it only if it gives the same masks as torch."""
    from ..engine import memory

    try:
        from ..export import checkpoint as checkpoints
        from ..export.exporter import export as run
    except ImportError as error:
        raise ModelError(
            f"Exporting needs packages that are not installed (there is no {error.name}): "
            'pip install "samcolloid-edge[export]".'
        ) from None
    begun = time.monotonic()
    with _Stages() as stages:
        if download and not checkpoint.exists():
            if model not in checkpoints.META:
                raise ModelError(f"--download needs --model, one of {', '.join(checkpoints.META)}.")
            checkpoints.download(model, checkpoint, progress=lambda share: stages.step("fetch the checkpoint", share))
        done = run(checkpoint, model, precision, name, out, overwrite=overwrite, progress=stages.step)
    card = done.card
    typer.echo(f"{card.name}: {card.family}, {card.precision}, {card.digest}, in {done.folder}")
    for line in _proof(card.parity):
        typer.echo(f"  {line}")
    if kept := card.export["kept in fp32"]:
        typer.echo(f"  kept in fp32: {len(kept)} layers (the card lists them)")
    if not done.report.counts:
        typer.echo(
            f"{card.name}: only {done.report.theirs} masks survived in torch's own runs, too few to prove masks on; "
            "the tensors alone are proven.",
            err=True,
        )
    typer.echo(f"  {time.monotonic() - begun:.0f} s, peak memory {memory.peak() / 1e9:.1f} GB")


def _proof(parity: Mapping[str, Any]) -> list[str]:
    """The report of a card, a line a figure."""
    lines = []
    for what in ("largest difference, share of range", "mean difference, share of range", "masks of the automatic run"):
        values = parity[what]
        lines.append(f"{what}: " + ", ".join(f"{k} {_figure(v)}" for k, v in values.items()))
    return lines


def _figure(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_figure, value))
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 0.1 else (
        f"{value:.4f}" if isinstance(value, float) else str(value)
    )


class _Stages:
    """A line for each stage: a bar on a terminal, its name elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=self._console,
                             disable=not self._console.is_terminal)  # fmt: skip
        self._task: TaskID | None = None
        self._stage = ""

    def __enter__(self) -> _Stages:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def step(self, stage: str, share: float) -> None:
        """``share`` (0–1) of a stage is done."""
        if stage != self._stage:
            if self._task is not None:
                self._bar.update(self._task, completed=1.0)
            self._stage, self._task = stage, self._bar.add_task(stage, total=1.0)
            if not self._console.is_terminal:
                typer.echo(f"{stage} ...", err=True)
        assert self._task is not None
        self._bar.update(self._task, completed=share)
