"""Many images at once: order, room, and what Ctrl-C leaves. A segmenter made by hand stands in for the model."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from handmade import HandmadeSegmenter
from program import Program
from samcolloid_edge.cli.overlap import Overlap, Turn
from samcolloid_edge.engine import report
from samcolloid_edge.engine.report import FILES

NO_SIGINT = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process")
INTERRUPTED = """
import sys, threading, time
from handmade import HandmadeSegmenter
from samcolloid_edge.engine import files, pipeline

class Stuck(HandmadeSegmenter):
    def analyze(self, source, *, settings, progress):
        progress("segment", 0.1)
        if source.stem == "stuck":
            print("stuck", flush=True)
            threading.Event().wait()  # as a long run of a model: it hears nothing
        return super().analyze(source, settings=settings, progress=progress)

def slowly(temporary, target, rename=files._rename):
    if target.parent.name == "slow":
        print("writing", target.name, flush=True)
        time.sleep(0.1)
    return rename(temporary, target)

pipeline.Segmenter, files._rename = Stuck, slowly
from samcolloid_edge.cli.main import main
main()
"""


def summary() -> list[list[str]]:
    rows = csv.DictReader(Path("out/summary.csv").read_text("utf-8").splitlines())
    return [[row["file"], row["status"]] for row in rows]


def images(*names: str) -> list[str]:
    for name in names:
        Path(name).write_bytes(b"bug" if name == "bug.tif" else b"image")
    return list(names)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items_whichever_is_done_first(workers: int) -> None:
    others = [threading.Event() for _ in range(6)]

    def work(item: int, turn: Turn) -> int:
        turn.take("compute")
        if workers > 1 and item == 0:
            assert others[1].wait(60)  # the next one overtakes it
        turn.take("finish")
        turn.take("write")
        others[item].set()
        return item

    assert list(Overlap(6, work, workers).results()) == list(range(6))


def test_the_next_is_read_and_the_last_written_while_one_is_computed() -> None:
    met = threading.Barrier(3)

    def work(item: int, turn: Turn) -> str:
        if item == 2:
            met.wait(60)
        turn.take("compute")
        if item == 1:
            met.wait(60)
        turn.take("finish")
        turn.take("write")
        if item == 0:
            met.wait(60)
        return "done"

    assert list(Overlap(3, work).results()) == ["done"] * 3


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_no_more_items_are_held_than_there_are_places_for(workers: int) -> None:
    counting = threading.Lock()
    held = {"read": 0, "compute": 0, "write": 0}
    most = dict(held)

    def move(old: str | None, new: str | None) -> None:
        with counting:
            if old:
                held[old] -= 1
            if new:
                held[new] += 1
                most[new] = max(most[new], held[new])

    def work(item: int, turn: Turn) -> None:
        move(None, "read")
        turn.take("compute")
        move("read", "compute")
        threading.Event().wait(0.002 * (item % 3))
        turn.take("finish")
        turn.take("write")
        move("compute", "write")
        move("write", None)

    list(Overlap(40, work, workers).results())
    # An item counts until it has its next place: one more may be on the way.
    assert most["read"] <= 2
    assert most["compute"] <= workers + 2
    assert most["write"] == 1


def test_an_item_that_is_computed_when_the_stop_comes_is_still_written() -> None:
    written = []

    def work(item: int, turn: Turn) -> int:
        turn.take("compute")
        if item == 1:
            overlap.stop.set()
        turn.take("finish")
        turn.take("write")
        written.append(item)
        return item

    overlap = Overlap(5, work)
    assert list(overlap.results()) == written == [0, 1]
    assert not overlap.is_stuck


def test_workers_change_nothing_but_the_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samcolloid_edge.engine.pipeline.Segmenter", HandmadeSegmenter)
    run = Program(capsys, monkeypatch)
    names = images("c.tif", "a.tif", "bug.tif", *(f"{i}.tif" for i in range(9)))
    one = run("analyze", *names, "missing.tif", "--out", "out")
    rows = summary()
    four = run("analyze", *names, "missing.tif", "--out", "out", "--workers", "4", "--overwrite")
    assert one.code == four.code == 1
    assert [row[0] for row in rows] == [*names, "missing.tif"]
    assert summary() == rows
    order = [[line.split()[0] for line in answer.out.splitlines()] for answer in (one, four)]
    assert order[0] == order[1]
    assert run("analyze", *names, "--out", "out", "--workers", "2").out.count("skipped, the same") == 11


def interrupted(names: list[str], at: str, times: int) -> tuple[int, str]:
    """Exit code and stderr of an analysis that got Ctrl-C when it said ``at``."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, "analyze", *names, "--out", "out"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.strip() == at:
                break
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            threading.Event().wait(0.03)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, err


@NO_SIGINT
def test_ctrl_c_does_not_wait_for_a_model_that_runs() -> None:
    code, err = interrupted(images("a.tif", "stuck.tif", "b.tif"), "stuck", 1)
    assert (code, err) == (130, "Interrupted; 1 of 3 images are done and stay.\n")
    assert summary() == [["a.tif", "ok"]]
    assert sorted(p.name for p in Path("out").iterdir()) == ["a", "statistics.csv", "summary.csv"]


@NO_SIGINT
def test_what_is_being_written_at_ctrl_c_is_whole_however_often_it_is_pressed() -> None:
    code, err = interrupted(images("slow.tif", "stuck.tif"), "writing lobes.csv", 5)
    assert (code, err) == (130, "Interrupted; 1 of 2 images are done and stay.\n")
    assert summary() == [["slow.tif", "ok"]]
    assert sorted(p.name for p in Path("out/slow").iterdir()) == sorted(FILES)
    record = report.read_record(Path("out/slow"))
    assert {name: report.sha256_of(Path("out/slow") / name) for name in record["files"]} == record["files"]
