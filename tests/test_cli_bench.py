"""``bench`` counts what it says it counts, and after ``warmup`` nothing is left to compile."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import psutil
import pytest
from handmade import CARD, small_result
from onnx import TensorProto, helper
from program import Program
from samcolloid_edge.cli import bench as command
from samcolloid_edge.engine import bench, machine, memory
from samcolloid_edge.engine.files import sha256_of
from samcolloid_edge.engine.settings import Settings
from samcolloid_edge.engine.synthetic import Scene, render
from samcolloid_edge.models.errors import ModelError

REDUCED = Path(__file__).parent / "data" / "reduced_sam.pth"
EVERY_PATH = """
import numpy as np
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine import caches, report
from samcolloid_edge.engine.report_formats import chosen
from samcolloid_edge.engine.synthetic import Scene, render

before = caches.kept()
image = render(Scene(shape=(200, 240), particle="dumbbell", radius_px=14)).image
segmenter = Segmenter(device="cpu")
coarse = dict(points_per_side=12, zoom=1.0)
for source, settings in (
    (image, Settings()),
    (image, Settings(schedule="exact", crop_n_layers=1, min_mask_region_area=30, points_per_side=8)),
    (image, Settings(grouping="published", particle="dumbbell", **coarse)),
    (np.asfortranarray(image), Settings(zoom=1.5)),
    (image.astype(np.uint16) * 100, Settings(zoom=0.5)),
    (image.astype(np.float32), Settings(**coarse)),
    (np.repeat(image[..., None], 3, 2), Settings(**coarse)),
    (np.full((90, 90), 7, np.uint8), Settings()),
):
    result = segmenter.analyze(source, 2.0, settings=settings)
    report.contents(result, report.record(result), chosen(["all"]))
print(before, caches.kept())
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Program:
    monkeypatch.chdir(tmp_path)
    return Program(capsys, monkeypatch)


def profile_of(nodes: list[Any], shapes: dict[str, tuple[int, ...]], folder: Path) -> list[dict[str, Any]]:
    """The profiler's events of a graph of float32 inputs, whose last node gives "out"."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "products", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = machine.options(1)
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    session.run(None, {name: np.ones(shape, np.float32) for name, shape in shapes.items()})
    return list(json.loads(Path(session.end_profiling()).read_text("utf-8")))


@pytest.mark.parametrize(
    ("kind", "shapes", "attributes", "products"),
    [
        ("MatMul", {"a": (5, 7, 11), "b": (11, 13)}, {}, 5 * 7 * 11 * 13),
        ("MatMul", {"a": (2, 7, 11), "b": (2, 11, 13)}, {}, 2 * 7 * 11 * 13),
        ("MatMul", {"a": (7, 11), "b": (11,)}, {}, 7 * 11),
        ("Gemm", {"a": (7, 11), "b": (11, 13)}, {}, 7 * 11 * 13),
        ("Gemm", {"a": (11, 7), "b": (13, 11)}, {"transA": 1, "transB": 1}, 7 * 11 * 13),
        ("Conv", {"a": (1, 6, 20, 30), "b": (8, 3, 3, 3)}, {"group": 2}, 8 * 18 * 28 * 3 * 9),
        ("ConvTranspose", {"a": (1, 6, 20, 30), "b": (6, 4, 2, 2)}, {"strides": [2, 2]}, 6 * 20 * 30 * 4 * 4),
        ("Add", {"a": (7, 11), "b": (7, 11)}, {}, 0),
    ],
)
def test_two_operations_are_counted_for_each_multiplication_of_a_product(
    kind: str, shapes: dict[str, tuple[int, ...]], attributes: dict[str, Any], products: int, tmp_path: Path
) -> None:
    node = helper.make_node(kind, ["a", "b"], ["out"], **attributes)
    assert bench.operations(profile_of([node], shapes, tmp_path)) == 2 * products


def test_products_in_whole_numbers_count_as_those_in_floats(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["a"], ["qa", "sa", "za"]),
        helper.make_node("DynamicQuantizeLinear", ["b"], ["qb", "sb", "zb"]),
        helper.make_node("MatMulInteger", ["qa", "qb", "za", "zb"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["out"], to=TensorProto.FLOAT),
    ]
    assert bench.operations(profile_of(nodes, {"a": (7, 11), "b": (11, 13)}, tmp_path)) == 2 * 7 * 11 * 13


def test_the_ceiling_is_of_a_true_product(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 300, 300), np.float32)
    session = onnxruntime.InferenceSession(machine._product(300), providers=["CPUExecutionProvider"])
    (product,) = session.run(None, {"a": a, "b": b})
    np.testing.assert_allclose(product, a @ b, atol=1e-3)
    monkeypatch.setattr(machine, "SIDE", 64)
    assert machine.ceiling(["CPUExecutionProvider"], 1) > 0


def test_peak_memory_is_that_of_the_process() -> None:
    now = psutil.Process().memory_info().rss
    assert 0.5 * now < memory.peak() < 100 * now


def test_workers_and_threads_share_the_cores() -> None:
    assert bench.ways(1) == [(1, 1)]
    assert bench.ways(2) == [(1, 2), (2, 1)]
    assert bench.ways(12) == [(1, 12), (2, 6), (4, 3), (12, 1)]


def test_bench_prints_stages_that_add_up(run: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SIDE", 64)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    cv2.imwrite("small.png", render(Scene(shape=(160, 200), radius_px=16)).image)
    answer = run("bench", "small.png", "--repeats", "2", "--threads", "1", "--batch")
    assert answer.code == 0
    found = re.findall(r"^([a-z, ]+?) {2,}(-?\d+\.\d{4})", answer.out, re.MULTILINE)
    seconds = {name: float(value) for name, value in found}
    whole = seconds.pop("whole analysis, median")
    assert list(seconds) == ["encoder", "decoder", "prompts and their masks", "masks", "measure", "group", "the rest"]
    assert abs(sum(seconds.values()) - whole) < 0.001
    for part in ("200 x 160 px", "prompts: ", "GFLOP/s", "peak memory: ", "--workers 2 --threads 1: "):
        assert part in answer.out
    assert answer.err.splitlines()[-1] == "2 workers ..."


def test_bench_against_segment_anything_needs_its_own_weights(run: Program) -> None:
    answer = run("bench", "--against", "segment-anything")
    assert answer.code == 2
    assert "needs --checkpoint" in answer.err
    assert len(answer.err.splitlines()) == 1


def test_the_same_micrograph_and_settings_go_to_segment_anything() -> None:
    result = replace(
        small_result(settings=Settings(points_per_side=2, pred_iou_thresh=0.0, stability_score_thresh=0.0)),
        model=replace(CARD, checkpoint_sha256=sha256_of(REDUCED)),
    )
    seconds, masks = command._generator(REDUCED, result, result.model, None)
    assert seconds > 0
    assert 0 < masks <= 2 * 2 * 3
    with pytest.raises(ModelError, match="is not the checkpoint that by-hand was exported from"):
        command._generator(Path(__file__), result, result.model, None)


def test_after_warmup_nothing_is_left_to_compile(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    warm = subprocess.run(
        [sys.executable, "-m", "samcolloid_edge.cli", "warmup"], capture_output=True, env=environment, check=True,
        encoding="utf-8",
    )  # fmt: skip
    kernels, model = warm.stdout.splitlines()
    assert re.match(rf"kernels: \d+ kept in {re.escape(str(tmp_path))}", kernels)
    assert "CPUExecutionProvider" in model
    later = subprocess.run(
        [sys.executable, "-c", EVERY_PATH], capture_output=True, env=environment, check=True, encoding="utf-8"
    )
    before, after = later.stdout.split()
    assert before == after == kernels.split()[1]


def test_warmup_says_where_nothing_can_be_kept(run: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("taken").write_text("a file")
    monkeypatch.setattr("numba.config.CACHE_DIR", str(Path("taken").absolute()))
    answer = run("warmup")
    assert answer.code == 0
    assert "cannot be kept in" in answer.out
