"""``samcolloid-edge models``: what it prints, and what it exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import Program
from samcolloid_edge.cli import main as program
from samcolloid_edge.models import store
from samcolloid_edge.models.card import ModelCard
from tiny_model import DATA, make, one_prompt_decoder


@pytest.fixture
def models(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Program:
    monkeypatch.setenv(store.HOME, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Program(capsys, monkeypatch, "models")


def test_without_models_the_bundled_one_is_listed(models: Program) -> None:
    answer = models("list")
    assert (answer.code, answer.err) == (0, "")
    header, bundled = answer.out.splitlines()
    assert header.split() == ["name", "family", "precision", "MB", "digest", "folder"]
    assert bundled.split()[:3] == ["colloid-tiny", "colloid-tiny", "fp32"]
    assert bundled.endswith(str(store.locate()))


def test_a_model_is_imported_listed_shown_verified_found_and_removed(models: Program) -> None:
    source = make(Path("day 1"), beside=DATA)
    folder = store.store() / "mine"
    card = ModelCard.read(source / "card.json")
    answer = models("import", source, "--name", "mine")
    assert answer.code == 0
    assert "use it with --model mine" in answer.out
    assert models("list").out.splitlines()[-1].split()[:5] == ["mine", "by-hand", "fp32", "0.0", card.digest]
    shown = models("show", "mine")
    assert shown.code == 0
    assert f"digest: {card.digest}\n" in shown.out
    assert f"  {DATA}: {card.files[DATA]}\n" in shown.out
    assert "embedding_shape: 1, any, any, 3\n" in shown.out
    assert json.loads(models("show", "mine", "--json").out)["name"] == "mine"
    assert models("verify", "mine").out == f"mine: {card.digest}, 3 files as the card says\n"
    assert models("path", "mine").out == f"{folder}\n"
    assert models("path").out == f"{store.store()}\n"
    answer = models("remove", "mine")
    assert (answer.code, answer.out) == (0, "mine: removed\n")
    assert not folder.exists()
    assert models("path", "mine").code == 1


def test_a_folder_is_shown_and_verified_as_well(models: Program) -> None:
    make(Path("m"))
    assert models("show", "./m").code == 0
    assert models("verify", "m").code == 0
    assert store.installed() == []


def test_verify_goes_on_after_a_wrong_model_and_tells(models: Program) -> None:
    for name in ("a", "b", "c"):
        models("import", make(Path(name), name=name))
    encoder = store.locate("b") / "encoder.onnx"
    encoder.write_bytes(encoder.read_bytes() + b"\0")
    (store.locate("c") / "decoder.onnx").unlink()
    answer = models("verify")
    assert answer.code == 1
    assert [line.split(":")[0] for line in answer.out.splitlines()] == ["colloid-tiny", "a"]
    b, c = answer.err.splitlines()
    assert b.startswith("b: wrong. ")
    assert "encoder.onnx: the file was altered" in b
    assert c.startswith("c: wrong. ")
    assert "decoder.onnx: cannot be read" in c
    assert models("verify", "a").code == 0
    answer = models("verify", "nowhere", "a")
    assert answer.code == 1
    assert answer.out.startswith("a: ")
    assert answer.err.startswith("nowhere: wrong. ")


def test_a_model_of_no_use_is_told_beside_the_list(models: Program) -> None:
    models("import", make(Path("a")), "--name", "a")
    (store.locate("a") / "card.json").write_text("{}", "utf-8")
    answer = models("list")
    assert answer.code == 0
    assert len(answer.out.splitlines()) == 2
    assert answer.err.startswith("a: of no use. ")


def test_importing_over_a_model_needs_overwrite(models: Program) -> None:
    make(Path("a"), weight=1.0)
    make(Path("b"), weight=2.0)
    models("import", "a")
    answer = models("import", "b")
    assert answer.code == 1
    assert "add --overwrite" in answer.err
    assert models("import", "b", "--overwrite").code == 0
    assert models("show", "tiny", "--json").out == (store.locate("tiny") / "card.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "nowhere"], "nowhere: there is no model here"),
        (["import", "nowhere"], "nowhere: there is no model here"),
        (["import", "meta"], "this decoder takes one prompt a call"),
        (["import", "meta/sam.onnx"], "export the checkpoint it was made from with `samcolloid-edge export`"),
        (["import", "tiny", "--name", "../x"], "'../x' is no name for a model"),
        (["import", "tiny", "--name", "colloid-tiny"], "is the name of the model that comes with the program"),
        (["remove", "colloid-tiny"], "cannot be removed"),
        (["remove", "nowhere"], "there is no such model"),
        (["remove", "./tiny"], "there is no such model"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(models: Program, arguments: list[str], sentence: str) -> None:
    make(Path("tiny"))
    one_prompt_decoder(Path("meta/sam.onnx"))
    answer = models(*arguments)
    assert answer.code == 1
    assert answer.err.startswith("samcolloid-edge: ")
    assert sentence in answer.err
    assert len(answer.err.splitlines()) == 1
    assert store.installed() == []


def test_model_options_take_a_name_or_a_folder(models: Program) -> None:
    models("import", make(Path("here"), weight=1.0), "--name", "here")
    make(Path("here"), weight=2.0)
    digests = []
    for given, name in (("here", "here"), ("./here", "tiny")):
        digests.append(ModelCard.read(store.locate(given) / "card.json").digest)
        assert f"model: {name} {digests[-1]} " in models("--model", given, command="info").out
    assert digests[0] != digests[1]
    answer = models("--model", "nowhere", command="info")
    assert answer.code == 1
    assert "name an installed model or the folder of one" in answer.err


def test_analyze_takes_the_name_of_a_model(models: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    class Taken(Exception):  # noqa: N818
        pass

    def segmenter(model: str | None, **_: object) -> None:
        given.append(model)
        raise Taken

    monkeypatch.setattr("samcolloid_edge.engine.pipeline.Segmenter", segmenter)
    for arguments in (["--model", "sam_vit_b"], ["--model", "./sam_vit_b"], []):
        with pytest.raises(Taken):
            program.app(["analyze", "a.tif", "--out", "out", *arguments], standalone_mode=False)
    assert given == ["sam_vit_b", "./sam_vit_b", None]
