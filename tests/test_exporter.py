"""An export is proven, or leaves nothing: the reduced SAM through every precision, and everything that can go wrong."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from program import Program
from samcolloid_edge import ModelError, Segmenter, Settings
from samcolloid_edge.engine.synthetic import render
from samcolloid_edge.export import checkpoint, exporter, loop, parity, sam
from samcolloid_edge.export.exporter import export
from samcolloid_edge.export.families import family_of
from samcolloid_edge.models import store
from samcolloid_edge.models.card import CARD, ModelCard

pytestmark = pytest.mark.filterwarnings("default")  # torch's own deprecations are not ours to mend
REDUCED = Path(__file__).parent / "data" / "reduced_sam.pth"
POINTS = 8
PRECISIONS = ("fp32", "fp16", "int8")
REFERENCE = parity.Reference


def once(made_by):
    """What made_by gives for the same arguments, but the first, is made once."""
    made = {}

    def given(*arguments, **more):
        key = (arguments[1:], *sorted(more))
        if key not in made:
            made[key] = made_by(*arguments, **more)
        return made[key]

    return given


def written_once(write, kept):
    """A graph of the one checkpoint that is exported here is written once, and copied from then on."""

    def copied(reference, path):
        if not kept.exists():
            write(reference, path)
            shutil.copyfile(path, kept)
        shutil.copyfile(kept, path)

    return copied


@pytest.fixture(scope="module", autouse=True)
def torch_once(tmp_path_factory):
    """Torch's side of an export is the same for every precision: it writes and answers once, in memory it keeps."""
    loop.keep_memory()
    kept, family = tmp_path_factory.mktemp("graphs"), exporter.family_of(checkpoint.read(REDUCED))
    quicker = replace(family, write_encoder=written_once(family.write_encoder, kept / "encoder.onnx"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporter, "family_of", lambda state: quicker if family.recognises(state) else family_of(state))
        patch.setattr(exporter, "write_decoder", written_once(exporter.write_decoder, kept / "decoder.onnx"))
        patch.setattr(parity, "Reference", once(parity.Reference))
        yield


@pytest.fixture(scope="module", params=PRECISIONS)
def exported(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / request.param
    return export(REDUCED, precision=request.param, out=out, points_per_side=POINTS)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(store.HOME, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def quick(monkeypatch, one_micrograph):
    """One micrograph and one prompt are enough where it is not the proof that is tested."""
    monkeypatch.setattr(parity, "Reference", one_micrograph)
    return {"points_per_side": 1}


@pytest.fixture(scope="module")
def one_micrograph(torch_once):
    def few(session, points_per_side, progress):
        return REFERENCE(session, min(points_per_side, POINTS), parity.SCENES[:1], progress)

    return once(few)


def test_the_weights_are_small_and_those_of_a_sam():
    assert REDUCED.stat().st_size <= 8e6
    state = checkpoint.read(REDUCED)
    assert {t.dtype for t in state.values()} == {torch.float16}
    assert sam.recognises(state)
    assert sam.model_type(state) == "vit"
    assert sam.sizes(state)["depth"] == 2
    assert sam.sizes(state)["global_attn_indexes"] == (1,)


def test_every_precision_is_proven_on_masks(exported):
    card = ModelCard.read(exported.folder / CARD)
    assert card == exported.card
    found = card.parity
    assert found["rendered micrographs"] >= 8
    masks, allowed = found["masks of the automatic run"], parity.TOLERANCES[card.precision]
    assert masks["torch"] >= parity.FEWEST
    assert masks["mean IoU"] >= allowed.mask_iou
    assert masks["F1"] >= allowed.f1
    if card.precision == "fp32":
        assert max(found["largest difference, share of range"].values()) <= 1e-3
    else:
        assert max(found["largest difference, share of range"].values()) > 0
    store.verify(exported.folder, card)
    assert sorted(p.name for p in exported.folder.iterdir()) == ["card.json", "decoder.onnx", "encoder.onnx"]
    assert card.checkpoint_sha256 == checkpoint.hash_file(REDUCED)
    assert card.export["precision"] == card.precision
    assert set(card.export["versions"]) >= {"torch", "onnx", "onnxruntime", "samcolloid-edge"}
    assert card.export["seconds"] > 0
    assert card.export["peak memory, bytes"] > 1e8


def test_lower_precision_is_smaller_on_disk(exported):
    weights = sum(t.numel() for t in checkpoint.read(REDUCED).values())
    size = sum(p.stat().st_size for p in exported.folder.glob("*.onnx"))
    assert size < {"fp32": 5.2, "fp16": 2.6, "int8": 4.6}[exported.card.precision] * weights


def test_the_engine_analyses_with_it(exported):
    image = render(parity.SCENES[0]).image
    gate = exported.card.parity["lowest predicted IoU"]
    settings = Settings(points_per_side=8, pred_iou_thresh=gate, stability_score_thresh=0.5)
    result = Segmenter(exported.folder, device="cpu").analyze(image, 2.0, settings=settings)
    assert result.lobes.n_rows >= 2
    assert result.model.digest == exported.card.digest


@pytest.mark.usefixtures("quick")
def test_outside_its_tolerance_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setitem(parity.TOLERANCES, "fp32", parity.Tolerance(1e-12, 0.0, 0.0))
    with pytest.raises(ModelError, match=r"image_embeddings differs by .* of its range, more than 1e-12.*Nothing was"):
        export(REDUCED, out=tmp_path / "model", points_per_side=1)
    assert list(tmp_path.iterdir()) == []


def test_figures_of_masks_are_named():
    report = parity.Report(mask_iou=[0.5] * 60, found=10, theirs=60, ours=60)
    one, two = report.problems(parity.TOLERANCES["int8"])
    assert one == "the mean mask IoU is 0.5000, below 0.95"
    assert two == "the F1 of masks is 0.1667, below 0.95"
    few = parity.Report(mask_iou=[0.5] * 49, found=10, theirs=49, ours=60)
    assert not few.counts
    assert few.problems(parity.TOLERANCES["int8"]) == []
    assert few.to_dict()["masks of the automatic run"] == {"too few to count": 49, "needed": 50}
    broken = parity.Report(differences={"low_res_masks": float("nan")})
    assert broken.problems(parity.TOLERANCES["fp16"]) == ["low_res_masks is not a number"]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_sensitive_layers_go_back_to_fp32_until_it_holds(tmp_path, monkeypatch, quick, precision):
    answers = iter([["not yet"], []])
    monkeypatch.setattr(parity.Report, "problems", lambda *_: next(answers))
    done = export(REDUCED, precision=precision, out=tmp_path / "model", **quick)
    assert len(done.card.export["kept in fp32"]) >= exporter.FIRST_BACK


@pytest.mark.usefixtures("quick")
def test_where_no_layer_helps_it_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(parity.Report, "problems", lambda *_: ["it is wrong"])
    monkeypatch.setattr(exporter, "ROUNDS", 2)
    with pytest.raises(ModelError, match="it is wrong"):
        export(REDUCED, precision="int8", out=tmp_path / "model", points_per_side=1)
    assert list(tmp_path.iterdir()) == []


def test_the_checkpoint_must_be_what_the_user_says(tmp_path):
    with pytest.raises(ModelError, match="its tensors are those of vit, not of vit_h"):
        export(REDUCED, "vit_h", out=tmp_path / "model")


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_a_wrong_tensor_is_named(tmp_path, change):
    state = checkpoint.read(REDUCED)
    if change == "missing":
        del state["mask_decoder.iou_token.weight"], state["image_encoder.neck.0.weight"]
        state["mask_decoder.iou_token.weight"] = torch.zeros(1, 256)
    elif change == "unknown":
        state["image_encoder.more"] = torch.zeros(1)
    else:
        state["image_encoder.neck.0.weight"] = torch.zeros(256, 90, 1, 1)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(ModelError, match=r"image_encoder\.(neck\.0\.weight|more)"):
        export(tmp_path / "x.pth", out=tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth"]


def test_what_is_there_already_is_not_lost(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(ModelError, match="there is something here already"):
        export(REDUCED, out=tmp_path / "model")
    assert (tmp_path / "model" / "mine.txt").exists()


def test_into_the_store_under_a_name(home, quick):
    done = export(REDUCED, name="mine", **quick)
    assert done.folder == home / "models" / "mine"
    assert [name for name, _ in store.installed()] == ["mine"]
    assert store.locate("mine") == done.folder
    with pytest.raises(ModelError, match="mine"):
        export(REDUCED, name="mine", **quick)
    assert export(REDUCED, name="mine", overwrite=True, **quick).card.files == done.card.files


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
def test_a_broken_off_export_leaves_nothing(home, tmp_path, monkeypatch, failure):
    def fail(*_):
        raise failure

    monkeypatch.setattr(exporter, "write_decoder", fail)
    for where in ({"name": "mine"}, {"out": tmp_path / "model"}):
        with pytest.raises((KeyboardInterrupt, ModelError), match=r"disk is full|No space left|^$"):
            export(REDUCED, **where)
    assert store.installed() == []
    assert list((home / "models").iterdir()) == []
    assert not list(tmp_path.glob("*model*"))


def test_torch_as_a_session_is_sam_itself():
    reference = sam.reference(checkpoint.read(REDUCED))
    card = exporter._card("x", "sam_vit", reference, "fp32", REDUCED, "0" * 64)
    session = parity.Torch(reference, card)
    image = np.random.default_rng(0).integers(0, 255, (200, 1024, 3), np.uint8)
    embedding = session.encode(image)
    assert embedding["image_embeddings"].shape == (1, 256, 64, 64)
    points = torch.tensor([[[30.0, 40.0]], [[500.0, 100.0]]])
    coords = np.concatenate([points.numpy(), np.zeros((2, 1, 2), np.float32)], 1)
    found = session.decode({**embedding, "point_coords": coords, "point_labels": np.array([[1, -1]] * 2, np.float32),
                            "iou_threshold": np.array(-9, np.float32)})  # fmt: skip
    with torch.no_grad():
        sparse, dense = reference.prompt_encoder((points, torch.ones(2, 1)), None, None)
        masks, iou = reference.mask_decoder.predict_masks(
            torch.from_numpy(embedding["image_embeddings"]), reference.prompt_encoder.get_dense_pe(), sparse, dense
        )
    np.testing.assert_array_equal(found["prompt_index"], [0, 1])
    np.testing.assert_allclose(found["iou_predictions"], iou.numpy(), atol=1e-6)
    np.testing.assert_allclose(found["low_res_masks"], masks.numpy(), atol=1e-4)


@pytest.fixture
def run(capsys, monkeypatch, home):
    return Program(capsys, monkeypatch, "export")


@pytest.mark.usefixtures("quick")
def test_the_command_exports_and_others_find_the_model(run, tmp_path):
    answer = run(REDUCED, "--name", "reduced")
    assert answer.code == 0
    first, *lines = answer.out.splitlines()
    assert first.startswith("reduced: sam_vit, fp32, ")
    assert any("F1" in line or "too few" in line for line in lines)
    assert " s, peak memory " in lines[-1]
    stages = answer.err.splitlines()
    assert stages[0] == "read the checkpoint ..."
    assert "compare with torch ..." in stages
    listed = run("list", command="models").out
    assert "reduced" in listed
    assert run("reduced", command="info").code != 0  # info takes no argument
    shown = run("--model", "reduced", command="info")
    assert shown.code == 0
    assert "sam_vit" in shown.out


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", {"conv.weight": torch.ones(2)}],
                         ids=["empty", "noise", "another architecture"])  # fmt: skip
def test_a_bad_checkpoint_is_one_sentence(run, home, tmp_path, content):
    path = tmp_path / "bad.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    answer = run(path)
    assert answer.code == 1
    assert answer.out == ""
    (sentence,) = [line for line in answer.err.splitlines() if not line.endswith(" ...")]
    assert sentence.startswith("samcolloid-edge: ")
    assert not (home / "models").exists()


def test_a_wrong_model_name_and_a_download_without_one(run, tmp_path):
    assert run(REDUCED, "--model", "vit_g").code == 2
    answer = run(tmp_path / "none.pth", "--download")
    assert answer.code == 1
    assert "--download needs --model, one of vit_b, vit_l, vit_h." in answer.err


def test_without_torch_the_command_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "samcolloid_edge.export.exporter", None)
    answer = run(REDUCED)
    assert answer.code == 1
    assert 'pip install "samcolloid-edge[export]"' in answer.err


def test_the_engine_gives_what_sams_generator_gives(tmp_path, monkeypatch, quick):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    import generator

    model = export(REDUCED, out=tmp_path / "model", **quick).folder
    settings = replace(generator.SETTINGS, points_per_side=8)
    rows, bar = generator.compare(REDUCED, model, generator.SCENES[3:4], settings)
    assert sum(row[1] for row in rows) >= 8
    assert bar.value >= 0.99
