"""Checkpoints: read without running code, known by their hash, fetched in parts."""

from __future__ import annotations

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from samcolloid_edge import ModelError
from samcolloid_edge.export import checkpoint
from samcolloid_edge.export.checkpoint import META, Published, download, hash_file, published_as, read
from samcolloid_edge.export.families import families, family_of

pytestmark = pytest.mark.filterwarnings("default")  # torch's own deprecations are not ours to mend
BYTES = bytes(range(256)) * 40


class Evil:
    def __reduce__(self):
        return print, ("this must never run",)


def test_tensors_come_back_and_wrappers_are_opened(tmp_path):
    tensors = {"a": torch.arange(6.0).reshape(2, 3)}
    for i, content in enumerate((tensors, {"model": tensors}, {"state_dict": tensors})):
        torch.save(content, tmp_path / f"{i}.pth")
        torch.testing.assert_close(read(tmp_path / f"{i}.pth")["a"], tensors["a"])


def test_the_old_format_is_read_too(tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert read(tmp_path / "old.pth")["a"].sum() == 3


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_code_is_refused_and_not_run(tmp_path, capsys, zipped):
    torch.save({"a": torch.ones(3), "b": Evil()}, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"evil\.pth: holds more than tensors"):
        read(tmp_path / "evil.pth")
    assert "never" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\x01not a checkpoint", b"PK\x03\x04 half a zip", [1, 2], {"a": 1}, {}],
    ids=["empty", "noise", "zip", "list", "no tensors", "nothing"],
)
def test_what_is_no_checkpoint_gives_a_sentence(tmp_path, content):
    path = tmp_path / "x.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ModelError, match=r"x\.pth: "):
        read(path)


def test_a_truncated_checkpoint_gives_a_sentence(tmp_path):
    path = tmp_path / "x.pth"
    torch.save({"a": torch.ones(5000)}, path)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ModelError, match=r"x\.pth: is no checkpoint, or incomplete"):
        read(path)


def test_a_missing_checkpoint_is_named(tmp_path):
    for call in (read, hash_file):
        with pytest.raises(ModelError, match=r"none\.pth: cannot be read"):
            call(tmp_path / "none.pth")


def test_another_architecture_is_refused():
    with pytest.raises(ModelError, match=r"no architecture known here \(the first is 'conv.weight'\)"):
        family_of({"conv.weight": torch.ones(1)})
    assert len(families()) == 2


def test_metas_files_are_known_by_their_whole_hash():
    assert {name: known.sha256[:8] for name, known in META.items()} == {
        "vit_b": "ec2df627", "vit_l": "3adcc431", "vit_h": "a7bf3b02",
    }  # fmt: skip
    assert all(re.fullmatch("[0-9a-f]{64}", known.sha256) for known in META.values())
    assert published_as(META["vit_l"].sha256) == "vit_l"
    assert published_as(META["vit_l"].sha256[:8] + "0" * 56) is None


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        start = 0
        if server.ranges and self.headers.get("Range"):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else server.status)
        self.end_headers()
        if server.status == 200:
            self.wfile.write(server.content[start : server.cut or None])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setitem(META, "vit_b", Published("b.pth", hashlib.sha256(BYTES).hexdigest(), len(BYTES)))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.content, server.ranges, server.cut, server.status = [], BYTES, True, 0, 200
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.address = f"http://127.0.0.1:{server.server_port}/"
        yield server
        server.shutdown()


def test_a_download_is_whole_and_reports(server, tmp_path):
    shares = []
    download("vit_b", tmp_path / "new" / "b.pth", server.address, shares.append)
    assert (tmp_path / "new" / "b.pth").read_bytes() == BYTES
    assert shares[-1] == 1.0
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["b.pth"]


def test_a_broken_download_goes_on(server, tmp_path):
    server.cut = 3000
    with pytest.raises(ModelError, match=r"the connection ended after 3000 of 10240 bytes.*What came is kept"):
        download("vit_b", tmp_path / "b.pth", server.address)
    assert not (tmp_path / "b.pth").exists()
    server.cut = 0
    download("vit_b", tmp_path / "b.pth", server.address)
    assert server.asked == [None, "bytes=3000-"]
    assert (tmp_path / "b.pth").read_bytes() == BYTES


def test_a_server_that_cannot_go_on_sends_all_again(server, tmp_path):
    server.ranges = False
    (tmp_path / "b.pth.part").write_bytes(BYTES[:100])
    download("vit_b", tmp_path / "b.pth", server.address)
    assert (tmp_path / "b.pth").read_bytes() == BYTES


def test_a_wrong_first_part_is_fetched_again(server, tmp_path):
    (tmp_path / "b.pth.part").write_bytes(b"x" * 100)
    download("vit_b", tmp_path / "b.pth", server.address)
    assert (tmp_path / "b.pth").read_bytes() == BYTES


def test_another_file_is_refused_and_nothing_kept(server, tmp_path):
    server.content = BYTES[::-1]
    with pytest.raises(ModelError, match="what came is not Meta's file"):
        download("vit_b", tmp_path / "b.pth", server.address)
    assert list(tmp_path.iterdir()) == []


def test_no_server_gives_a_sentence(server, tmp_path):
    server.status = 404
    with pytest.raises(ModelError, match=r"cannot be fetched .*put the file at"):
        download("vit_b", tmp_path / "b.pth", server.address)
    assert checkpoint.ADDRESS.startswith("https://")
