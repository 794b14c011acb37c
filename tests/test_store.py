"""The store holds whole models or none, hands out only what its cards say, and answers trouble in one sentence."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from samcolloid_edge import ModelError, Segmenter
from samcolloid_edge.engine.session import open_model
from samcolloid_edge.models import stamps, store
from samcolloid_edge.models.card import ModelCard
from samcolloid_edge.models.store import import_model, install, installed, locate, open_card, remove, verify, workspace
from tiny_model import DATA, make, one_prompt_decoder, write_card

TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home ä"
    monkeypatch.setenv(store.HOME, str(folder))
    return folder


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were hashed in full since."""
    folders: list[Path] = []
    really = stamps.hash_all

    def noted(folder: Path, card: ModelCard) -> None:
        folders.append(folder)
        really(folder, card)

    monkeypatch.setattr(stamps, "hash_all", noted)
    return folders


def put(name: str, **how: object) -> Path:
    """Install a tiny model as an export does it."""
    with workspace(name) as folder:
        return install(make(folder, name=name, **how), name)  # type: ignore[arg-type]


def card_of(folder: Path) -> ModelCard:
    return open_card(folder)[0]


def names() -> list[str]:
    return [name for name, _ in installed()]


def entries() -> list[str]:
    """Everything in the store, hidden or not."""
    return sorted(path.name for path in store.store().iterdir())


# Where it lies, and what a name means


def test_the_store_lies_in_the_users_data_folder_or_where_the_variable_says(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.store() == home / "models"
    monkeypatch.setenv(store.HOME, "~/elsewhere")
    assert store.store() == Path.home() / "elsewhere" / "models"
    monkeypatch.setenv(store.HOME, "")
    users = store.store()
    assert users.is_absolute()
    assert "samcolloid-edge" in users.parts
    monkeypatch.delenv(store.HOME)
    assert store.store() == users


def test_looking_makes_no_folder(home: Path) -> None:
    assert installed() == []
    with pytest.raises(ModelError, match="there is no model here"):
        locate("sam_vit_b")
    assert not home.exists()


def test_a_name_is_bundled_then_installed_then_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("vit", "other", store.BUNDLED):
        make(tmp_path / name)
    inside = put("vit")
    assert locate("vit") == inside
    assert locate("./vit") == locate(Path("vit")) == Path("vit")
    assert locate(str(tmp_path / "vit")) == tmp_path / "vit"
    assert locate("other") == Path("other")
    assert locate(None) == locate(store.BUNDLED) != Path(store.BUNDLED)
    assert locate(f"./{store.BUNDLED}") == Path(store.BUNDLED)


def test_upper_and_lower_case_are_one(tmp_path: Path) -> None:
    put("ViT")
    assert locate("vit").name == "ViT"
    with pytest.raises(ModelError, match="is installed"):
        import_model(make(tmp_path / "m"), "vit")
    with pytest.raises(ModelError, match="comes with the program"):
        import_model(make(tmp_path / "m"), store.BUNDLED.upper())


def test_an_installed_model_is_used_by_name(home: Path) -> None:
    import_model(locate(), "copy")
    card = Segmenter("copy").card
    assert card.name == "copy"
    assert card.digest == Segmenter().card.digest


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "a\\b", "../a", "C:", "C:a", "/etc", "con", "NUL.txt", "COM1", "a.", "a ", "ä",
     "a\nb", "a\0", "-rf", "x" * 101],
)  # fmt: skip
def test_a_name_that_is_not_plain_is_refused(name: str, tmp_path: Path) -> None:
    source = make(tmp_path / "m")
    with pytest.raises(ModelError, match="is no name for a model"):
        import_model(source, name)
    with pytest.raises(ModelError, match="is no name for a model"), workspace(name):
        pass
    with pytest.raises(ModelError, match="there is no such model"):
        remove(name)
    assert not store.store().exists()


# Whole or not at all


def test_a_model_is_installed_whole_and_leaves_no_trace_of_its_making() -> None:
    folder = put("a")
    assert entries() == ["a"]
    assert sorted(p.name for p in folder.iterdir()) == ["card.json", "decoder.onnx", "encoder.onnx", "stamp.json"]
    assert card_of(folder).name == "a"


def test_the_card_takes_the_name_of_the_folder() -> None:
    with workspace("b") as folder:
        install(make(folder, name="a"), "b")
    assert ModelCard.read(locate("b") / "card.json").name == "b"


def test_a_name_that_is_taken_needs_overwrite(tmp_path: Path) -> None:
    put("a", weight=1.0)
    other = make(tmp_path / "m", name="a", weight=2.0)
    before = card_of(locate("a"))
    with pytest.raises(ModelError, match="a model of this name is installed; add --overwrite"):
        import_model(other)
    assert card_of(locate("a")) == before
    import_model(other, overwrite=True)
    assert card_of(locate("a")).digest == ModelCard.read(other / "card.json").digest != before.digest
    assert entries() == ["a"]


def test_what_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put("a")
    before = card_of(locate("a"))
    really = Path.rename

    def held(path: Path, target: Path) -> Path:
        if Path(target).name == "a" and path.name.startswith(".workspace-") and not held.failed:  # type: ignore[attr-defined]
            held.failed = True  # type: ignore[attr-defined]
            raise PermissionError(errno.EACCES, "Access is denied", str(path))
        return really(path, target)

    held.failed = False  # type: ignore[attr-defined]
    monkeypatch.setattr(Path, "rename", held)
    with pytest.raises(ModelError, match="Access is denied"):
        import_model(make(tmp_path / "m", name="a", weight=2.0), overwrite=True)
    assert card_of(locate("a")) == before
    assert entries() == ["a"]


def test_an_export_that_fails_keeps_nothing() -> None:
    with pytest.raises(ZeroDivisionError), workspace("a") as folder:
        (folder / "encoder.onnx").write_bytes(b"half")
        raise ZeroDivisionError
    assert entries() == []


@pytest.mark.parametrize("spoil", ["encoder.onnx", "decoder.onnx", "card.json"])
def test_what_is_not_whole_is_not_installed(spoil: str) -> None:
    with workspace("a") as folder:
        make(folder)
        (folder / spoil).write_bytes((folder / spoil).read_bytes()[:-1] + b"\1")
        with pytest.raises(ModelError, match=spoil):
            install(folder, "a")
        assert folder.is_dir()
    assert entries() == []


def test_graphs_that_are_not_those_of_the_contract_are_not_installed() -> None:
    with workspace("a") as folder:
        make(folder)
        shutil.copyfile(folder / "encoder.onnx", folder / "decoder.onnx")
        write_card(folder)
        with pytest.raises(ModelError, match="model contract"):
            install(folder, "a")


@pytest.fixture
def killed() -> Iterator[Path]:
    """What an export leaves that was killed while it wrote."""
    code = (
        "import time\nfrom samcolloid_edge.models.store import workspace\n"
        "with workspace('a') as folder:\n"
        "    (folder / 'encoder.onnx').write_bytes(b'half')\n"
        "    print(folder, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().rstrip("\n"))
        process.kill()
    yield folder


def test_a_killed_export_leaves_no_half_model(killed: Path) -> None:
    assert [path.name for path in killed.iterdir()] == ["encoder.onnx"]
    assert installed() == []
    with pytest.raises(ModelError, match="there is no model here"):
        locate("a")
    put("a")
    assert names() == ["a"]
    assert killed.exists()  # it may be at work still
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(killed, (long_ago, long_ago))
    put("b")
    assert killed.exists()  # one of its files is young
    os.utime(killed / "encoder.onnx", (long_ago, long_ago))
    os.utime(killed, (long_ago, long_ago))
    put("c")
    assert entries() == ["a", "b", "c"]


# Two processes at once

IMPORTER = """
import sys, time
from pathlib import Path
from samcolloid_edge.models.errors import ModelError
from samcolloid_edge.models.store import import_model, locate, verify
from samcolloid_edge.models.card import ModelCard
source, overwrite, rounds = Path(sys.argv[1]), sys.argv[2] == "overwrite", int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(rounds):
    try:
        import_model(source, "same", overwrite)
        print("won")
    except ModelError as error:
        print(error)
"""
READER = """
import sys
from samcolloid_edge.models.errors import ModelError
from samcolloid_edge.models.store import installed, locate, open_card
print("ready", flush=True)
sys.stdin.readline()
for _ in range(200):
    try:
        print(open_card(locate("same"))[0].digest)
    except ModelError as error:
        print(error)
"""


def together(*programs: list[str]) -> list[list[str]]:
    """Start programs, let all of them go at once, and give the lines that each printed after that."""
    running = [
        subprocess.Popen([sys.executable, "-c", *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         encoding="utf-8", env=os.environ | {"PYTHONUTF8": "1"})
        for program in programs
    ]  # fmt: skip
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].splitlines() for process in running]
    assert all(process.returncode == 0 for process in running)
    return answers


def sources(tmp_path: Path, count: int) -> list[Path]:
    return [make(tmp_path / f"source {i}", weight=float(i)) for i in range(count)]


def test_of_processes_that_install_one_name_one_wins_whole(tmp_path: Path) -> None:
    answers = together(*([IMPORTER, str(source), "", "1"] for source in sources(tmp_path, 3)))
    said = sorted(line for lines in answers for line in lines)
    assert said.count("won") == 1
    assert all("a model of this name is installed" in line for line in said if line != "won")
    verify(locate("same"), ModelCard.read(locate("same") / "card.json"))
    assert entries() == ["same"]


def test_of_processes_that_overwrite_one_name_the_last_wins_whole_and_readers_see_no_mix(tmp_path: Path) -> None:
    models = sources(tmp_path, 2)
    import_model(models[0], "same")
    *importers, reader = together(*([IMPORTER, str(m), "overwrite", "20"] for m in models), [READER])
    assert [line for lines in importers for line in lines] == ["won"] * 40
    digests = {ModelCard.read(model / "card.json").digest for model in models}
    trouble = set(reader) - digests
    assert set(reader) & digests
    # Where the model is exchanged between two looks at it, that is said; what is never seen is a mix.
    assert all("cannot be read" in t or "no readable model card" in t or "no model here" in t or "altered" in t
               for t in trouble), trouble  # fmt: skip
    card = ModelCard.read(locate("same") / "card.json")
    verify(locate("same"), card)
    assert card.digest in digests
    assert entries() == ["same"]


def test_a_model_that_is_replaced_while_it_is_loaded_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    put("a")
    really = onnxruntime.InferenceSession

    def loading(path: str, *rest: object, **options: object) -> object:
        session = really(path, *rest, **options)
        if path.endswith("encoder.onnx"):
            beside = Path(path).with_name("new")
            shutil.copyfile(path, beside)
            beside.replace(path)
        return session

    monkeypatch.setattr(onnxruntime, "InferenceSession", loading)
    with pytest.raises(ModelError, match="was replaced while it was being loaded"):
        open_model("a")


# Hashes and stamps


def test_files_in_the_store_are_hashed_once(hashed: list[Path]) -> None:
    folder = put("a")
    hashed.clear()
    open_card(folder)
    open_card(locate("a"))
    assert hashed == []


def test_verify_hashes_always(hashed: list[Path]) -> None:
    folder = put("a")
    hashed.clear()
    verify(folder, ModelCard.read(folder / "card.json"))
    assert hashed == [folder]


def test_a_file_that_was_touched_is_hashed_once_more(hashed: list[Path]) -> None:
    folder = put("a")
    hashed.clear()
    os.utime(folder / "decoder.onnx", (1e9, 1e9))
    open_card(folder)
    open_card(folder)
    assert hashed == [folder]


@pytest.mark.parametrize("kind", ["missing", "text", "list", "foreign"])
def test_a_stamp_that_is_none_counts_for_nothing(kind: str, hashed: list[Path]) -> None:
    folder = put("a")
    other = {"encoder.onnx": {"sha256": "0" * 64}}
    if kind == "missing":
        (folder / "stamp.json").unlink()
    else:
        (folder / "stamp.json").write_text({"text": "{", "list": "[]", "foreign": json.dumps(other)}[kind], "utf-8")
    hashed.clear()
    open_card(folder)
    open_card(folder)
    assert hashed == [folder]


def test_a_stamp_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, hashed: list[Path]) -> None:
    folder = put("a")
    (folder / "stamp.json").unlink()

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refused)
    hashed.clear()
    open_card(folder)
    open_card(folder)
    assert hashed == [folder, folder]


@pytest.mark.parametrize("outside", ["bundled", "folder"])
def test_files_outside_the_store_are_hashed_always(outside: str, tmp_path: Path, hashed: list[Path]) -> None:
    folder = locate() if outside == "bundled" else make(tmp_path / "m")
    open_card(folder)
    open_card(folder)
    assert hashed == [folder, folder]
    assert not (folder / "stamp.json").exists()


# On Windows nothing tells that a time was put back.
@pytest.mark.parametrize("put_back", [False, True] if os.name == "posix" else [False])
@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx", DATA])
def test_an_altered_file_is_refused_by_name(name: str, put_back: bool) -> None:
    folder = put("a", beside=DATA)
    path = folder / name
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    if put_back:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ModelError, match=rf"{name}: the file was altered"):
        open_model("a")


def test_a_card_that_was_altered_does_not_pass_by_the_stamp() -> None:
    folder = put("a")
    card = json.loads((folder / "card.json").read_text("utf-8"))
    card["files"]["encoder.onnx"] = "0" * 64
    (folder / "card.json").write_text(json.dumps(card), "utf-8")
    with pytest.raises(ModelError, match=r"encoder\.onnx: the file was altered"):
        open_model("a")


# Nothing outside the folder is read


def test_weights_beside_the_graph_are_used() -> None:
    put("a", beside=DATA, weight=3.0)
    embedding = open_model("a").encode(np.full((2, 5, 3), 7, np.uint8))["image_embeddings"]
    assert embedding.shape == (1, 2, 5, 3)
    assert (embedding == 21).all()


def test_weights_that_are_missing_are_named() -> None:
    (put("a", beside=DATA) / DATA).unlink()
    with pytest.raises(ModelError, match=rf"{DATA}: cannot be read"):
        open_model("a")


@pytest.mark.parametrize("how", ["unlisted", "../outside.bin", "absolute", "sub/inside.bin", f"./{DATA}", "..", ""])
def test_weights_elsewhere_are_refused(how: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside.bin"
    outside.write_bytes(bytes(1024))
    beside = {"unlisted": "unlisted.bin", "absolute": str(outside)}.get(how, how)
    folder = make(tmp_path / "m", beside=beside)
    for name in ("unlisted.bin", "sub/inside.bin"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(bytes(1024))
    with pytest.raises(ModelError, match="which is not a file of its card"):
        open_model(folder)
    with pytest.raises(ModelError, match="which is not a file of its card"):
        import_model(folder)
    assert entries() == []


@pytest.mark.parametrize("name", ["encoder.onnx", DATA, "card.json"])
def test_a_link_in_a_model_is_refused(name: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "m", beside=DATA)
    shutil.move(folder / name, tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    for use in (open_model, import_model):
        with pytest.raises(ModelError, match=rf"{name}.* link"):
            use(folder)  # type: ignore[operator]
    assert not store.store().exists()


def test_a_folder_instead_of_a_file_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "m")
    (folder / "decoder.onnx").unlink()
    (folder / "decoder.onnx").mkdir()
    with pytest.raises(ModelError, match=r"decoder\.onnx: the files of a model are no links or folders"):
        open_model(folder)


def test_a_link_in_the_store_is_removed_and_not_what_it_leads_to(tmp_path: Path, hashed: list[Path]) -> None:
    elsewhere = make(tmp_path / "m")
    put("a")
    (store.store() / "linked").symlink_to(elsewhere, target_is_directory=True)
    hashed.clear()
    open_card(locate("linked"))
    open_card(locate("linked"))
    assert len(hashed) == 2
    remove("linked")
    assert names() == ["a"]
    assert open_card(elsewhere)


# Import and removal


def test_what_is_imported_is_a_copy_of_the_cards_files_alone(tmp_path: Path) -> None:
    source = make(tmp_path / "m", beside=DATA)
    (source / "stamp.json").write_text("{}", "utf-8")
    (source / "notes.txt").write_text("mine", "utf-8")
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    folder = import_model(source)
    assert folder == store.store() / "tiny"
    assert {p.name for p in folder.iterdir()} == {"card.json", "decoder.onnx", "encoder.onnx", DATA, "stamp.json"}
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
    shutil.rmtree(source)
    assert open_model("tiny").card.name == "tiny"


def test_decoders_of_other_exporters_are_refused_with_what_to_do(tmp_path: Path) -> None:
    file = one_prompt_decoder(tmp_path / "meta" / "sam_vit_b.decoder.onnx")
    for given in (file, file.parent, str(file), str(file.parent)):
        with pytest.raises(ModelError, match=r"one prompt a call.*samcolloid-edge export"):
            locate(given)
    for given in (file, file.parent):
        with pytest.raises(ModelError, match=r"one prompt a call.*samcolloid-edge export"):
            import_model(given)
    with pytest.raises(ModelError, match="one prompt a call"):
        Segmenter(file.parent).card  # noqa: B018
    make(tmp_path / "plain")
    (tmp_path / "plain" / "card.json").unlink()
    (tmp_path / "plain" / "broken.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"have no card\.json.*samcolloid-edge export"):
        import_model(tmp_path / "plain")


def test_only_installed_models_can_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put("a")
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "b")
    with pytest.raises(ModelError, match="comes with the program"):
        remove(store.BUNDLED)
    for name in ("b", "./b", str(tmp_path / "b"), "../models/a"):
        with pytest.raises(ModelError, match="there is no such model"):
            remove(name)
    remove("a")
    assert entries() == []
    assert (tmp_path / "b" / "card.json").exists()


def test_a_broken_model_is_listed_and_can_be_removed() -> None:
    put("a")
    (put("b") / "card.json").write_text('{"schema_version": 9}', "utf-8")
    (store.store() / "c").mkdir()
    (store.store() / "notes.txt").write_text("mine", "utf-8")
    cards = dict(installed())
    assert list(cards) == ["a", "b", "c"]
    assert isinstance(cards["a"], ModelCard)
    assert "schema 9 is not known" in str(cards["b"])
    assert "no readable model card" in str(cards["c"])
    remove("b")
    remove("c")
    assert entries() == ["a", "notes.txt"]


# Disks and rights


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(tmp_path / "m")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "encoder.onnx")

    with monkeypatch.context() as patch, pytest.raises(ModelError, match="the disk is full"):
        patch.setattr(shutil, "copyfile", full)
        import_model(source)
    with pytest.raises(ModelError, match="the disk is full"), workspace("a"):
        full()
    with pytest.raises(FileNotFoundError), workspace("a"):
        (tmp_path / "missing").read_bytes()
    assert entries() == []


def test_a_store_that_cannot_be_made_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    monkeypatch.setenv(store.HOME, str(tmp_path / "file"))
    source = make(tmp_path / "m")
    with pytest.raises(ModelError, match=f"the store of models cannot be used.*set {store.HOME}"):
        import_model(source)


def test_a_store_without_permission_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(tmp_path / "m")
    put("a")

    def refused(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    for method, use in (
        ("mkdir", lambda: import_model(source)),
        ("rename", lambda: import_model(source)),
        ("rename", lambda: remove("a")),
        ("iterdir", lambda: installed()),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, refused)
            with pytest.raises(ModelError, match=f"Permission denied.*set {store.HOME}"):
                use()
    assert entries() == ["a"]
