"""The command line, run in the test's own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from samcolloid_edge.cli import main as program


class Answer:
    """Exit code, stdout and stderr of one run."""

    def __init__(self, code: Any, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


class Program:
    """``samcolloid-edge`` with the arguments of each call, behind those that all calls share."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *first: str) -> None:
        self._capsys, self._monkeypatch, self._first = capsys, monkeypatch, first

    def __call__(self, *arguments: str | Path, command: str | None = None) -> Answer:
        first = self._first if command is None else (command,)
        self._monkeypatch.setattr(sys, "argv", ["samcolloid-edge", *first, *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            program.main()
        return Answer(stop.value.code or 0, *self._capsys.readouterr())
