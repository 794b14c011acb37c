"""Training resumes, and what is written as ONNX is what was trained."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import psutil
import pytest
import torch
from samcolloid_edge import ModelError
from samcolloid_edge.engine.session import open_model
from samcolloid_edge.engine.synthetic import render
from samcolloid_edge.engine.types import Area, Embedding, Frame
from samcolloid_edge.export import bundle, loop, train
from samcolloid_edge.export.colloid import Colloid, normalise
from samcolloid_edge.export.loop import Schedule
from samcolloid_edge.models.card import CARD, ModelCard
from samcolloid_edge.models.store import locate

pytestmark = pytest.mark.filterwarnings("default")  # torch's own deprecations are not ours to mend


ENDLESS = Schedule(peak=1e-3, until=1.0, fall=0.0)


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    train.train(folder, ENDLESS, 0, most_steps=2)
    return folder


def test_an_example_is_true_to_its_scene_and_repeats():
    one, two = train.example(train.FIRST_SEED + 5), train.example(train.FIRST_SEED + 5)
    assert (one.image == two.image).all()
    assert (one.targets == two.targets).all()
    assert one.targets.shape == (len(one.cells), 3, one.cells.shape[1])
    assert train.POINTS // 2 < len(one.cells) <= train.POINTS
    col, row = one.points.astype(int).T
    on_lobe = one.labels[0, row, col] > 0
    assert on_lobe[: len(one.cells)].all() and not on_lobe[len(one.cells) :].any()
    assert len(one.points) - len(one.cells) > train.POINTS
    lobe, particle, cluster = one.targets.sum(2).T
    assert (lobe <= particle + 1e-3).all()
    assert (particle <= cluster + 1e-3).all()
    # The cell under the prompt belongs to the lobe, at least in part.
    row, col = (one.points[: len(one.cells)] // train.STRIDE).astype(int).T[::-1]
    here = row * (train.SIDE // train.STRIDE) + col
    for cells, target, cell in zip(one.cells, one.targets[:, 0], here, strict=True):
        assert target[cells == cell].max() > 0


@pytest.mark.parametrize(("seed", "shrunken"), [(49, 1), (6, 2), (25, 3)])
def test_a_micrograph_that_holds_nothing_is_seen_at_any_zoom_and_answers_nothing(monkeypatch, seed, shrunken):
    shapes = []

    def seen(scene):
        shapes.append(scene.shape)
        return render(scene)

    monkeypatch.setattr(train, "render", seen)
    item = train.example(train.FIRST_SEED + seed)
    side = train.SIDE
    assert shapes == [(side * shrunken, side * shrunken)]
    assert item.image.shape == (side, side) and item.image.dtype == np.uint8
    assert len(item.cells) == 0 and len(item.points) == train.POINTS + train.BESIDE and not item.labels.any()


def test_an_enlarged_micrograph_has_as_much_noise_but_coarser():
    rng = np.random.default_rng(0)
    image = np.clip(rng.normal(120, 12, (train.SIDE, train.SIDE)), 0, 255).astype(np.uint8)
    for seed in range(5):
        enlarged = train._enlarged(image, np.random.default_rng(seed), (1.15, 2.2))
        assert enlarged.shape == image.shape and enlarged.dtype == np.uint8
        grain = enlarged.astype(float) - enlarged.mean()
        beside = (grain[:, 1:] * grain[:, :-1]).mean() / grain.var()
        assert enlarged.mean() == pytest.approx(image.mean(), abs=1)
        assert 5 < grain.std() < 13 and beside > 0.2
    assert (train._enlarged(np.full_like(image, 7), rng, (1.15, 6.0)) == 7).all()


def test_cells_stand_for_the_whole_map():
    points = np.array([[5.0, 5.0], [300.0, 200.0], [511.0, 511.0]])
    cells, weights = train._cells(points, np.random.default_rng(0))
    np.testing.assert_allclose(weights.sum(1), (train.SIDE // train.STRIDE) ** 2, rtol=1e-5)
    assert cells.min() >= 0
    assert cells.max() < (train.SIDE // train.STRIDE) ** 2


def test_training_resumes_where_it_stopped(state):
    before = torch.load(state / "state.pt", weights_only=True)
    assert before["step"] == 2
    train.train(state, ENDLESS, 0, most_steps=3)
    after = torch.load(state / "state.pt", weights_only=True)
    assert after["step"] == 3
    assert after["seconds"] > before["seconds"]


def test_what_is_bundled_is_what_was_trained(state, tmp_path):
    card = bundle.bundle(state / "state.pt", tmp_path)
    session = open_model(tmp_path)
    assert session.card == card
    assert max(card.parity["largest difference, share of range"].values()) <= bundle.TOLERANCE
    prompts = np.zeros((7, 1, 2), np.float32)
    maps = session.encode(np.zeros((40, 50, 3), np.uint8))
    found = session.decode({**maps, "point_coords": prompts, "point_labels": np.ones((7, 1), np.float32),
                            "iou_threshold": np.array(0, np.float32), "window": np.array(8)})  # fmt: skip
    assert found["low_res_masks"].shape == (7, 3, 8, 8)


def test_the_card_tells_what_the_hours_of_training_bought(state, tmp_path):
    rows = tmp_path / "stages.csv"
    rows.write_text("what,hours,F1 at 0.7\n,1.0,0.93\nlonger,2.0,0.94\n", "utf-8")
    card = bundle.bundle(state / "state.pt", tmp_path / "model", bundle.read_stages(rows))
    (stages,) = card.evaluation.values()
    assert [(row["hours"], row["F1 at 0.7"]) for row in stages] == [("1.0", "0.93"), ("2.0", "0.94")]
    assert "trained from nothing" in card.source


def test_a_blend_lies_between_what_was_trained_and_what_it_began_with(state, tmp_path):
    trained = bundle.bundle(state / "state.pt", tmp_path / "trained")
    card = bundle.bundle(state / "state.pt", tmp_path / "blend", start=locate(None), share=0.25)
    first = ModelCard.read(locate(None) / CARD)
    assert f"0.25 of these weights and 0.75 of those of {first.name} {first.digest}" in card.source
    assert "of these weights" not in trained.source
    folders = tmp_path / "trained", locate(None), tmp_path / "blend"
    own, start, found = (bundle.from_onnx(folder).state_dict() for folder in folders)
    for name in found:
        if "auxiliary" not in name:
            torch.testing.assert_close(found[name], 0.25 * own[name] + 0.75 * start[name], rtol=1e-5, atol=1e-6)


def test_the_mean_of_several_states_is_of_all_their_weights(state, tmp_path):
    now = torch.load(state / "state.pt", weights_only=True)
    earlier = []
    for step, shift in ((11, 0.25), (12, 0.5)):
        weights = {name: value + shift for name, value in now["average"].items()}
        earlier.append(tmp_path / f"{step}.pt")
        torch.save({**now, "average": weights, "step": step}, earlier[-1])
    card = bundle.bundle(state / "state.pt", tmp_path / "mean", earlier=earlier)
    assert f"{now['step']} steps" in card.source
    assert "the mean of the weights then and after 11, 12 steps" in card.source
    found = bundle.from_onnx(tmp_path / "mean").state_dict()
    for name, value in now["average"].items():
        if "auxiliary" not in name:
            torch.testing.assert_close(found[name], value + 0.25, rtol=1e-5, atol=1e-6)


def test_graphs_that_differ_from_torch_are_not_bundled(state, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "TOLERANCE", -1.0)
    with pytest.raises(ModelError, match="differ by more than"):
        bundle.bundle(state / "state.pt", tmp_path)
    assert not (tmp_path / "card.json").exists()


def test_a_window_shows_what_the_whole_map_shows(tmp_path):
    net = Colloid()
    bundle.write_onnx(net, tmp_path)
    encoder, decoder = (
        onnxruntime.InferenceSession(str(tmp_path / name), providers=["CPUExecutionProvider"])
        for name in ("encoder.onnx", "decoder.onnx")
    )
    image = np.random.default_rng(0).integers(0, 255, (256, 192, 3), np.uint8)
    maps = dict(zip(bundle.EMBEDDINGS, encoder.run(None, {"image": image}), strict=True))
    prompts = {"point_coords": np.array([[[3.0, 250.0]], [[100.0, 90.0]]], np.float32),
               "point_labels": np.ones((2, 1), np.float32), "iou_threshold": np.array(0, np.float32)}  # fmt: skip
    _, _, small, origin = decoder.run(None, {**maps, **prompts, "window": np.array(16)})
    _, _, whole, zero = decoder.run(None, {**maps, **prompts, "window": np.array(1000)})
    assert not zero.any()
    assert whole.shape == (2, 3, 64, 48)
    for mask, part, (x, y) in zip(whole, small, origin, strict=True):
        np.testing.assert_allclose(part, mask[:, y : y + 16, x : x + 16], rtol=1e-4, atol=1e-4)


def test_training_goes_on_from_an_exported_model(state, tmp_path):
    bundle.bundle(state / "state.pt", tmp_path / "model")
    train.train(tmp_path / "on", Schedule(1e-9, 1.0, 0.0), 1, start=tmp_path / "model", most_steps=1)
    before = torch.load(state / "state.pt", weights_only=True)["average"]
    after = torch.load(tmp_path / "on" / "state.pt", weights_only=True)
    for name, value in after["average"].items():
        if "auxiliary" not in name:
            torch.testing.assert_close(value, before[name], rtol=0, atol=1e-6)
    assert after["start"].startswith("colloid-tiny ")
    train.train(tmp_path / "on", Schedule(1e-9, 1.0, 0.0), 1, start=locate(None), most_steps=2)
    assert torch.load(tmp_path / "on" / "state.pt", weights_only=True)["start"] == after["start"]


def test_the_iou_at_pixels_is_that_of_the_masks_the_engine_makes(monkeypatch):
    """What the predicted IoU learns, against the engine's own upsampled masks of the same network."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parent.parent / "benchmarks")
    import calibration

    net = bundle.from_onnx(locate(None))
    item = train.example(train.FIRST_SEED + 5)
    with torch.no_grad():
        grey = normalise(torch.from_numpy(item.image).float())[None, None]
        y16, y8, y4, features = net.encoder.features(grey)
        points, cells = torch.from_numpy(item.points[: len(item.cells)]), torch.from_numpy(item.cells)
        weights = net.decoder.weights(net.decoder.hidden(y16, y8, y4, points))
        width = features.shape[3]
        offsets = (torch.stack([cells % width, cells // width], 2) + 0.5) * train.STRIDE - points[:, None]
        logits = net.decoder.masks(features[0].flatten(1).T[cells], offsets, weights).transpose(1, 2)
        ours = train.at_pixels(logits, item)[0][:, 0].numpy()
    session = open_model(None)
    frame = Frame(Area(0, 0, train.SIDE, train.SIDE), (train.SIDE, train.SIDE))
    embedding = Embedding(session.encode(np.repeat(item.image[..., None], 3, 2)), frame, session.card)
    asked = item.points[: len(item.cells)] - np.float32(0.5)
    theirs = calibration.answers(session, embedding, asked, item.labels[0])
    reached = {tuple(point): iou for point, iou in zip(theirs.points.tolist(), theirs.reached, strict=True)}
    assert len(ours) > 30
    difference = ours - [reached[tuple(point)] for point in asked.tolist()]
    assert np.median(np.abs(difference)) < 0.005
    assert (np.abs(difference) < 0.05).mean() > 0.95


def test_the_dice_at_pixels_leads_to_outlines_that_exact_cells_do_not_give():
    item = train.example(train.FIRST_SEED + 5)
    logits = ((torch.from_numpy(item.targets) * 2 - 1) * 3).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.1)
    before, fine = train.at_pixels(logits, item)
    assert fine.shape == (len(item.cells), train.FINE)
    for _ in range(15):
        optimiser.zero_grad()
        train.at_pixels(logits, item)[1].sum().backward()
        optimiser.step()
    assert not logits.grad[:, train.FINE :].any()
    after, finer = train.at_pixels(logits, item)
    assert finer.mean() < fine.mean()
    assert after[:, : train.FINE].mean() > before[:, : train.FINE].mean() + 0.03


def test_a_renderer_ends_with_a_training_that_is_killed(tmp_path):
    script = tmp_path / "train_it.py"
    script.write_text(KILLED, "utf-8")
    training = subprocess.Popen([sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert training.stdout.readline().startswith("step")
        children = psutil.Process(training.pid).children(recursive=True)
        assert children
        training.kill()
        training.wait(30)
        assert not psutil.wait_procs(children, timeout=30)[1]
    finally:
        training.kill()
        training.stdout.close()


KILLED = """
import sys
from pathlib import Path

import torch
from samcolloid_edge.export import loop

if __name__ == "__main__":
    net = torch.nn.Linear(1, 1)
    loop.run(Path(sys.argv[1]), net, float, lambda net, x: {"+loss": net(torch.tensor([x])).square().sum()}, 1,
             loop.Schedule(0.1, 1.0, 0.0), keep=0.9)
"""


def test_the_rate_warms_up_stays_and_falls_at_the_end():
    schedule = Schedule(peak=1.0, until=10.0, fall=2.0, warm=100)
    rates = [schedule.rate(step, 3600 * hours) for step, hours in ((0, 0), (49, 0.1), (5000, 4), (5000, 8), (9000, 9))]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 1.0, 0.51])
    assert schedule.rate(9999, 3600 * 10) == schedule.rate(9999, 3600 * 11) == pytest.approx(0.02)


def test_a_stage_is_kept_whenever_so_many_hours_are_full(tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(loop.time, "process_time", lambda: 3600.0 * torch.get_num_threads() * next(ticks))
    net = torch.nn.Linear(1, 1)
    loop.run(tmp_path, net, float, lambda net, x: {"+loss": net(torch.tensor([x])).square().sum()}, 1,
             Schedule(0.1, 6.0, 0.0), keep=0.9, stage=2.0)  # fmt: skip
    assert sorted(f.name for f in tmp_path.glob("stage-*.pt")) == [f"stage-00{n}.00h.pt" for n in (2, 4, 6)]
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 6
