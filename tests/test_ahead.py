"""What the other process compiles is what a first analysis needs in its later steps; it runs only where that helps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from samcolloid_edge.engine import ahead, caches

EXAMPLE = Path(__file__).parent.parent / "examples" / "trimers.tif"
USED = """
import gc, json, sys
from numba.core.dispatcher import Dispatcher
from samcolloid_edge.engine import ahead
from samcolloid_edge.engine.pipeline import Segmenter

def used():
    ours = (each for each in gc.get_objects() if isinstance(each, Dispatcher) and "samcolloid" in each.__module__)
    return {f"{each.__module__}.{each.__qualname__} {signature}" for each in ours for signature in each.signatures}

"""
AHEAD = "ahead.compile_later_steps()\nprint(json.dumps(sorted(used())))"
ANALYSIS = """
before = {}
Segmenter(device="cpu").analyze(sys.argv[1], progress=lambda step, _: before.setdefault(step, used()))
print(json.dumps(sorted(before["done"] - before["masks"])))
"""


def answer(code: str, *arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", USED + code, *arguments], capture_output=True, check=True, text=True)
    return set(json.loads(done.stdout))


def test_it_compiles_all_that_comes_after_the_lobes_are_found() -> None:
    needed = answer(ANALYSIS, str(EXAMPLE))
    assert len(needed) >= 10
    assert needed <= answer(AHEAD)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[list[str]]]:
    """What is started; nothing is kept yet, and there are two cores."""
    commands: list[list[str]] = []
    ahead.start.cache_clear()
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: commands.append(command))
    monkeypatch.setattr(caches, "folder", lambda: tmp_path / "kernels")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    yield commands
    ahead.start.cache_clear()


def test_it_runs_where_nothing_is_kept_yet(started: list[list[str]]) -> None:
    ahead.start()
    ahead.start()
    assert started == [[sys.executable, "-P", "-m", "samcolloid_edge.engine.ahead"]]


@pytest.mark.parametrize("why", ["kept", "one core", "no folder", "embedded"])
def test_and_only_there(started: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, why: str) -> None:
    if why == "kept":
        (tmp_path / "kernels").mkdir()
        (tmp_path / "kernels" / "x.kernel").touch()
    elif why == "one core":
        monkeypatch.setattr(os, "cpu_count", lambda: 1)
    elif why == "no folder":
        (tmp_path / "kernels").touch()
    else:
        monkeypatch.setattr(sys, "executable", "")
    assert ahead.start() is None
    assert started == []


def test_an_analysis_does_not_depend_on_it(started: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", fails)
    assert ahead.start() is None
