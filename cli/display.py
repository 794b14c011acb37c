"""Says how far a batch is: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Display:
    """Context manager: ``line`` and ``trouble`` print for good, the other methods move the bar."""

    def __init__(self, count: int, console: Console | None = None) -> None:
        """``count`` images; ``console`` for the bar, stderr where none is given."""
        console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            # Lines for a terminal go above the bar; lines for a file or a pipe must reach it.
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=sys.stderr.isatty(),
        )
        self._images = 0
        self._shares: dict[int, float] = {}
        """Of each image in work how much is done, by the thread that works at it."""
        self._task = self._bar.add_task("", total=count)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, number: str, path: Path) -> None:
        """An image is worked at; ``number`` such as [2/15]."""
        self._bar.update(self._task, description=escape(f"{number} {path.name}"))

    def step(self, _name: str, share: float) -> None:
        """``share`` (0–1) of the image that this thread works at is done."""
        self._shares[threading.get_ident()] = share
        self._move()

    def leave(self) -> None:
        """This thread works at no image any longer."""
        self._shares.pop(threading.get_ident(), None)

    def done(self, images: int) -> None:
        """So many images are done."""
        self._images = images
        self._move()

    def _move(self) -> None:
        self._bar.update(self._task, completed=self._images + sum(list(self._shares.values())))

    @staticmethod
    def line(text: str) -> None:
        """A line about a result, on stdout."""
        typer.echo(text)

    @staticmethod
    def trouble(text: str) -> None:
        """A line about something that went wrong or needs a look, on stderr."""
        typer.echo(text, err=True)
