"""Compiled kernels are found again by a process that comes later, and a wrong one never is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numba
import platformdirs
import pytest
from numba.core.dispatcher import Dispatcher
from samcolloid_edge.engine import caches

DOUBLE = """
from samcolloid_edge.engine.caches import njit
@njit(cache=True, nogil=True)
def double(x):
    return 2 * x
"""
CALL_DOUBLE = """
import json, sys
from kernels_own import double
values = [float(double(complex(x).real if x.count(".") else int(x))) for x in sys.argv[1:]]
hits, misses = sum(double.stats.cache_hits.values()), sum(double.stats.cache_misses.values())
print(json.dumps([values, hits, misses]))
"""
CALL_NMS = """
import json
import numpy as np
from samcolloid_edge.engine import kernels
boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 8], [20, 20, 30, 30]], np.float32)
kept = kernels.nms(boxes, 0.7).tolist()
stats = kernels.nms.stats
print(json.dumps([kept, kernels.__file__, sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]))
"""


def start(code: str, kept: Path, first: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A fresh interpreter that looks for modules in ``first`` and for compiled kernels in ``kept``."""
    variables = os.environ | {"PYTHONPATH": str(first), "NUMBA_CACHE_DIR": str(kept)} | environment
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip


def answer(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a kernel of ours."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "kernels_own.py").write_text(DOUBLE, "utf-8")
    return folder


def double(kept: Path, own: Path, *values: str, **environment: str) -> Any:
    return answer(start(CALL_DOUBLE, kept, own, *values, **environment))


def test_a_reinstalled_package_finds_the_kernels_that_the_first_one_compiled(tmp_path: Path) -> None:
    seen = []
    for i, name in enumerate(("first", "elsewhere")):
        for package in ("samcolloid_edge", "samcolloid_edge.engine"):
            source = Path(str(import_module(package).__file__)).parent
            target = tmp_path / name / Path(*package.split("."))
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.onnx"), dirs_exist_ok=True)
        for path in (tmp_path / name).rglob("*.py"):
            os.utime(path, (1e9 + i, 1e9 + i))
        seen.append(answer(start(CALL_NMS, tmp_path / "kept", tmp_path / name)))
    assert [kept for kept, *_ in seen] == [[True, False, True]] * 2
    assert [Path(file).relative_to(tmp_path).parts[0] for _, file, *_ in seen] == ["first", "elsewhere"]
    assert [(hits, misses) for *_, hits, misses in seen] == [(0, 1), (1, 0)]


def test_every_kernel_of_the_engine_is_kept() -> None:
    folder = Path(str(import_module("samcolloid_edge.engine").__file__)).parent
    for path in folder.glob("kernels*.py"):
        module = import_module(f"samcolloid_edge.engine.{path.stem}")
        own = [value for value in vars(module).values() if isinstance(value, Dispatcher)]
        assert own
        for kernel in own:
            assert isinstance(kernel._cache, caches.Compiled), f"{kernel} of {path.name}"


def test_a_kernel_of_another_source_is_compiled_anew(own: Path, tmp_path: Path) -> None:
    assert double(tmp_path / "kept", own, "4") == [[8.0], 0, 1]
    assert double(tmp_path / "kept", own, "4") == [[8.0], 1, 0]
    # Even where only another kernel changed, for the first may have called it.
    (own / "kernels_other.py").write_text("x = 1\n", "utf-8")
    assert double(tmp_path / "kept", own, "4") == [[8.0], 0, 1]
    (own / "kernels_own.py").write_text(DOUBLE.replace("2 * x", "2 * x + 1"), "utf-8")
    assert double(tmp_path / "kept", own, "4") == [[9.0], 0, 1]
    assert len(list((tmp_path / "kept").rglob("*.kernel"))) == 1


@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_a_damaged_file_is_compiled_anew(own: Path, tmp_path: Path, damage: bytes | None) -> None:
    double(tmp_path / "kept", own, "4")
    (file,) = (tmp_path / "kept").rglob("*.kernel")
    file.write_bytes(file.read_bytes()[:-1] if damage is None else damage)
    assert double(tmp_path / "kept", own, "4") == [[8.0], 0, 1]
    assert double(tmp_path / "kept", own, "4") == [[8.0], 1, 0]


def test_processes_that_compile_at_once_keep_all_that_they_compiled(own: Path, tmp_path: Path) -> None:
    values = [("4", "0.5"), ("0.5", "4"), ("4",), ("0.5",)]
    running = [start(CALL_DOUBLE, tmp_path / "kept", own, *some) for some in values]
    assert [answer(process)[0] for process in running] == [[2 * float(value) for value in some] for some in values]
    assert double(tmp_path / "kept", own, "0.5", "4") == [[1.0, 8.0], 2, 0]
    assert not list((tmp_path / "kept").rglob("*.tmp"))


def test_a_folder_that_cannot_be_written_to_keeps_nothing_and_everything_runs(own: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    for _ in range(2):
        assert double(tmp_path / "taken", own, "4") == [[8.0], 0, 1]


def test_numba_can_be_switched_off(own: Path, tmp_path: Path) -> None:
    code = "from kernels_own import double; print(double('no number, '))"
    process = start(code, tmp_path / "kept", own, NUMBA_DISABLE_JIT="1")
    assert process.communicate()[0].strip() == "no number, no number,"


def test_the_users_cache_folder_is_used_unless_numba_was_told_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    assert caches.folder().is_relative_to(platformdirs.user_cache_path("samcolloid-edge", appauthor=False))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert caches.folder().is_relative_to(tmp_path)
    assert numba.__version__ in caches.folder().name
