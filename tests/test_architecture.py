"""Who may import whom, and what never gets loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

NAME = "samcolloid_edge"
MAY_IMPORT = {
    "api": {"engine", "models"},
    "engine": {"engine", "models"},
    "models": {"models"},
    "export": {"engine", "export", "models"},
    "cli": {"api", "cli", "engine", "export", "models"},
}
NEVER = {"torch", "torchvision", "segment_anything", "onnx", "matplotlib", "typer", "scipy", "skimage"}
"""Imported nowhere in engine and models; pandas only where a table becomes a data frame."""


def files(package: str) -> list[Path]:
    module = import_module(NAME if package == "api" else f"{NAME}.{package}")
    assert module.__file__ is not None
    return sorted(Path(module.__file__).parent.glob("*.py"))


def imports(file: Path, package: str) -> Iterator[str]:
    """Every module that a file imports, ours as ``samcolloid_edge.PACKAGE…``."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = {0: "", 1: f"{NAME}.{package}.", 2: f"{NAME}."}[node.level]
            if node.module:
                yield base + node.module
            else:
                yield from (base + alias.name for alias in node.names)


def package_of(module: str) -> str:
    """engine, models, export or cli; api for what lies at the top."""
    second = module.split(".")[1] if "." in module else ""
    return second if second in MAY_IMPORT else "api"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_whom_they_may(package: str) -> None:
    assert files(package)
    for file in files(package):
        for module in imports(file, package):
            root = module.split(".")[0]
            assert root not in MAY_IMPORT, f"{file.name} imports {module}: folders are imported relatively"
            if root == NAME:
                assert package_of(module) in MAY_IMPORT[package], f"{file.name} of {package} imports {module}"


@pytest.mark.parametrize("package", ["engine", "models"])
def test_the_runtime_names_no_heavy_package(package: str) -> None:
    for file in files(package):
        found = {module.split(".")[0] for module in imports(file, package)}
        assert not found & NEVER, file.name
        assert "pandas" not in found or file.name == "table.py", file.name


def test_an_analysis_loads_no_heavy_package() -> None:
    code = (
        "import sys, samcolloid_edge\n"
        "from samcolloid_edge.engine.synthetic import Scene, render\n"
        "result = samcolloid_edge.analyze(render(Scene(shape=(200, 240), radius_px=14)).image, 2.0)\n"
        "assert result.lobes.n_rows\n"
        "print({'torch', 'onnx', 'pandas', 'matplotlib', 'typer'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, encoding="utf-8")
    assert done.stdout.strip() == "set()"
