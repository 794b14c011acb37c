"""Cards say what a model is; altered, foreign or incomplete models are refused in one sentence."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import pytest
from handmade import CARD
from samcolloid_edge import ModelError
from samcolloid_edge.engine.session import open_model
from samcolloid_edge.models.card import ModelCard
from samcolloid_edge.models.store import BUNDLED, locate, verify
from tiny_model import U8, make, write_card, write_graph


@pytest.fixture
def copy(tmp_path):
    """A copy of the bundled model that a test may spoil."""
    return shutil.copytree(locate(), tmp_path / "model")


def change(folder, **values):
    card = json.loads((folder / "card.json").read_text("utf-8")) | values
    (folder / "card.json").write_text(json.dumps(card), "utf-8")


def test_the_bundled_model_is_what_its_card_says_and_small():
    folder = locate()
    card = ModelCard.read(folder / "card.json")
    verify(folder, card)
    assert card.name == BUNDLED
    assert card.masks == ("lobe", "particle", "cluster")
    assert sum(path.stat().st_size for path in folder.glob("*.onnx")) <= 20e6


def test_a_card_survives_writing_and_reading(tmp_path):
    (tmp_path / "card.json").write_text(CARD.to_json(), "utf-8")
    assert ModelCard.read(tmp_path / "card.json") == CARD


def test_the_digest_names_the_weights_and_nothing_else():
    assert replace(CARD, name="other").digest == CARD.digest
    assert replace(CARD, files={**CARD.files, "encoder.onnx": "9" * 64}).digest != CARD.digest


def test_a_copy_works_like_the_bundled_model(copy):
    assert open_model(copy).card == open_model().card


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx"])
def test_an_altered_file_is_refused_by_name(copy, name):
    with (copy / name).open("r+b") as file:
        file.seek(2000)
        file.write(b"\0\1\2\3")
    with pytest.raises(ModelError, match=rf"{name}: the file was altered"):
        open_model(copy)


def test_a_missing_file_is_named(copy):
    (copy / "decoder.onnx").unlink()
    with pytest.raises(ModelError, match=r"decoder\.onnx: cannot be read"):
        open_model(copy)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="there is no model here"):
        open_model(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 99}', '{"schema_version": 1}'])
def test_a_card_that_is_none_is_refused(copy, text):
    (copy / "card.json").write_text(text, "utf-8")
    with pytest.raises(ModelError, match=r"card\.json"):
        open_model(copy)


@pytest.mark.parametrize(
    "name",
    ["../encoder.onnx", "/etc/passwd", "sub/encoder.onnx", "..", "", ".", "C:encoder.onnx", "C:\\x", "..\\x", "sub\\x",
     "\\\\host\\x", "nul", "CON.onnx", "lpt1.data", "x.", "x ", "x\0", "x\n", "x:stream", "Card.json", "stamp.json"],
)  # fmt: skip
def test_a_card_cannot_reach_outside_its_folder(copy, name):
    change(copy, files={**asdict(ModelCard.read(copy / "card.json"))["files"], name: "0" * 64})
    with pytest.raises(ModelError, match="not a plain file name"):
        open_model(copy)


def test_two_files_that_one_platform_takes_for_one_are_refused():
    with pytest.raises(ModelError, match="upper and lower case"):
        replace(CARD, files={**CARD.files, "Encoder.onnx": "0" * 64})


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("side", "abc"), ("side", 0), ("side", 1e3), ("side", True), ("side", 10**9), ("side", None),
        ("mask_stride", "4"), ("window", 0), ("window", "32"), ("smallest_radius", -1), ("smallest_radius", "8"),
        ("smallest_radius", float("nan")), ("largest_radius", 1.0), ("largest_radius", []), ("resize", "stretch"),
        ("resize", ["fit"]), ("precision", "fp64"), ("precision", None), ("masks", []), ("masks", "lobe"),
        ("masks", ["blob"]), ("masks", [{}]), ("masks", None), ("embedding_shape", [1, 2]), ("embedding_shape", "1234"),
        ("embedding_shape", [1, 2, 3, "4"]), ("embedding_shape", 4), ("files", []), ("files", {"encoder.onnx": ""}),
        ("files", {"encoder.onnx": 1, "decoder.onnx": "0" * 64}), ("files", None), ("name", ""), ("name", "../x"),
        ("name", 7), ("name", "a\u001b[2J"), ("family", None), ("licence", "a\nb"), ("source", ["x"]),
        ("source", "\ud800"), ("parity", []), ("evaluation", "good"), ("export", None), ("checkpoint_sha256", "abc"),
        ("schema_version", 2), ("schema_version", True), ("schema_version", "1"), ("colour", "red"),
    ],
    ids=str,
)  # fmt: skip
def test_an_entry_that_cannot_be_is_refused_in_one_sentence(tmp_path, entry, value):
    make(tmp_path)
    write_card(tmp_path, **{entry: value})
    with pytest.raises(ModelError, match=r"card\.json: ") as refused:
        ModelCard.read(tmp_path / "card.json")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("entry", ["name", "files", "side", "masks", "embedding_shape", "window", "precision"])
def test_a_card_that_lacks_an_entry_says_which(tmp_path, entry):
    (tmp_path / "card.json").write_text(CARD.to_json(), "utf-8")
    card = json.loads(CARD.to_json())
    del card[entry]
    (tmp_path / "card.json").write_text(json.dumps(card), "utf-8")
    with pytest.raises(ModelError, match=f"incomplete.*{entry}"):
        ModelCard.read(tmp_path / "card.json")


def test_a_card_without_the_entries_of_an_export_is_still_read(tmp_path):
    card = json.loads(CARD.to_json())
    del card["export"], card["checkpoint_sha256"]
    (tmp_path / "card.json").write_text(json.dumps(card), "utf-8")
    assert ModelCard.read(tmp_path / "card.json") == CARD
    full = replace(CARD, checkpoint_sha256="a" * 64, export={"layers in fp32": ["neck.0"], "seconds": 3.5})
    (tmp_path / "card.json").write_text(full.to_json(), "utf-8")
    assert ModelCard.read(tmp_path / "card.json") == full


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[" * 100_000, b'{"a": ' * 100_000, b" " * 5_000_000], ids=list("abcd"))
def test_files_that_are_no_card_are_refused(tmp_path, data):
    (tmp_path / "card.json").write_bytes(data)
    with pytest.raises(ModelError, match="not a model card"):
        ModelCard.read(tmp_path / "card.json")


def test_graphs_that_are_not_those_of_the_contract_are_refused(copy):
    files = asdict(ModelCard.read(copy / "card.json"))["files"]
    (copy / "encoder.onnx").write_bytes((copy / "decoder.onnx").read_bytes())
    change(copy, files={**files, "encoder.onnx": files["decoder.onnx"]})
    with pytest.raises(ModelError, match="model contract"):
        open_model(copy)


def test_a_file_that_is_no_graph_is_refused(copy):
    import hashlib

    files = asdict(ModelCard.read(copy / "card.json"))["files"]
    (copy / "encoder.onnx").write_bytes(b"no graph")
    change(copy, files={**files, "encoder.onnx": hashlib.sha256(b"no graph").hexdigest()})
    with pytest.raises(ModelError, match=r"encoder\.onnx: this is no ONNX graph"):
        open_model(copy)


def test_a_graph_that_onnxruntime_does_not_take_is_refused(tmp_path):
    from onnx import helper

    value = ("image", U8, ["h", "w", 3])
    write_graph(make(tmp_path) / "encoder.onnx", [helper.make_node("NoSuchOperator", ["image"], ["image_embeddings"])],
                [value], [("image_embeddings", *value[1:])])  # fmt: skip
    write_card(tmp_path)
    with pytest.raises(ModelError, match=r"encoder\.onnx: onnxruntime cannot load it \(.*NoSuchOperator"):
        open_model(tmp_path)


@pytest.mark.parametrize("role", ["blob", "lobes"])
def test_a_mask_role_nobody_knows_is_refused(role):
    with pytest.raises(ModelError, match="mask role"):
        replace(CARD, masks=(role,))


def test_cuda_that_is_not_there_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr("samcolloid_edge.engine.devices.has_driver", lambda: False)
    session = open_model(device="cuda")
    assert session.providers == ("CPUExecutionProvider",)
    assert len(session.notes) == 1
    assert "CUDA was asked for but" in session.notes[0]
    assert open_model(device="auto").notes == ()
