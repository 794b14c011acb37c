"""EMD files as Velox lays them out: /Data/Image/ID/Data (H, W, frames) and /Metadata, JSON in a column a frame."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from image_files import GREY, refusal, written
from numpy.typing import NDArray
from samcolloid_edge.engine.read import read

Images = dict[str, tuple[NDArray[Any], Any]]


def metadata(x: str = "4.466e-09", y: str = "4.466e-09", unit: str = "m") -> dict[str, Any]:
    return {
        "Core": {"MetadataDefinitionVersion": "7.9"},
        "BinaryResult": {
            "PixelSize": {"width": x, "height": y}, "PixelUnitX": unit, "PixelUnitY": unit, "Detector": "HAADF",
        },
    }  # fmt: skip


def velox(images: Images, group: str = "Data/Image") -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5.create_dataset("Version", data=np.array([json.dumps({"format": "Velox", "version": "5"})], object),
                          dtype=h5py.string_dtype())  # fmt: skip
        for name, (frames, described) in images.items():
            place = h5.create_group(f"{group}/{name}")
            place.create_dataset("Data", data=frames)
            text = described if isinstance(described, bytes) else json.dumps(described).encode("utf-8")
            column = np.frombuffer(text.ljust(6000, b"\0"), np.uint8)
            n_frames = frames.shape[-1] if frames.ndim == 3 else 1
            place.create_dataset("Metadata", data=np.repeat(column[:, None], n_frames, 1))
    return file.getvalue()


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "i4", "f4"])
def test_the_image_keeps_values_and_dtype_and_has_its_scale(tmp_path: Path, kind: str) -> None:
    pixels = (GREY.astype(np.int64) - (0 if kind[0] == "u" else 128)).astype(kind)
    micrograph = read(written(tmp_path, velox({"a1": (pixels[..., None], metadata())}), "image.emd"))
    np.testing.assert_array_equal(micrograph.pixels, pixels)
    assert micrograph.pixels.dtype == pixels.dtype
    assert micrograph.pixels.flags.c_contiguous
    assert (micrograph.pixel_size, micrograph.pixel_size_source) == (4.466, "Velox BinaryResult PixelSize")
    assert micrograph.warnings == ()


def test_of_frames_and_images_the_first_is_read_with_a_warning(tmp_path: Path) -> None:
    movie = np.dstack([GREY, 255 - GREY, GREY]).astype(np.uint16)
    other = np.zeros((8, 8, 1), np.uint16)
    micrograph = read(written(tmp_path, velox({"a1": (movie, metadata()), "b2": (other, metadata("1e-9"))})))
    np.testing.assert_array_equal(micrograph.pixels, GREY)
    assert micrograph.pixel_size == 4.466
    assert micrograph.warnings == (
        "The file has 3 frames; the first was read, frames 2 to 3 were ignored.",
        "The file has 2 images; the first was read, the others ignored.",
    )


def test_a_transform_is_passed_over(tmp_path: Path) -> None:
    pair = np.zeros((8, 8, 1), [("realFloatHalfEven", "<f4"), ("imagFloatHalfEven", "<f4")])
    images: Images = {"a1": (pair, metadata(unit="1/m")), "b2": (GREY[..., None], metadata())}
    np.testing.assert_array_equal(read(written(tmp_path, velox(images))).pixels, GREY)
    assert "no image of plain numbers" in refusal(written(tmp_path, velox({"a1": images["a1"]})))


@pytest.mark.parametrize(
    ("described", "says"),
    [
        (metadata(unit="1/m"), "are of reciprocal space (1/m), so that lengths have no scale."),
        (metadata(unit=""), "state no pixel size that makes sense;"),
        (metadata(x="0"), "state no pixel size that makes sense;"),
        ({"Core": {}}, "state no pixel size that makes sense;"),
        (b'{"BinaryResult": {"Pix', "state no pixel size that makes sense;"),
        (b"\xff\xfe", "state no pixel size that makes sense;"),
    ],
)
def test_metadata_without_a_length_give_a_sentence_and_no_scale(tmp_path: Path, described: Any, says: str) -> None:
    micrograph = read(written(tmp_path, velox({"a1": (GREY[..., None], described)})))
    assert micrograph.pixel_size is None
    (warning,) = micrograph.warnings
    assert warning.startswith(f"The Velox metadata {says}")


def test_what_is_no_micrograph_is_refused(tmp_path: Path) -> None:
    bad = GREY.astype(np.float32)[..., None]
    bad[3, 4] = np.nan
    assert "1 of 4980 values are NaN or infinite" in refusal(written(tmp_path, velox({"a1": (bad, metadata())})))
    oblong = velox({"a1": (GREY[..., None], metadata(y="5e-9"))})
    assert "not square (4.466 × 5 nm, Velox BinaryResult PixelSize)" in refusal(written(tmp_path, oblong))
    other = velox({"a1": (GREY[..., None], metadata())}, group="data")
    assert "an HDF5 file without an image of Velox's" in refusal(written(tmp_path, other))


def test_a_file_cut_short_says_so(tmp_path: Path) -> None:
    data = velox({"a1": (GREY[..., None], metadata())})
    for n in (8, 100, 1000, len(data) // 2, len(data) - 1000):
        assert "cut short or damaged" in refusal(written(tmp_path, data[:n]))


def test_other_images_are_read_without_it() -> None:
    code = (
        "import sys, numpy\n"
        "from samcolloid_edge.engine.read import read\n"
        "read(numpy.zeros((40, 50), numpy.uint8))\n"
        "print({'h5py', 'mrcfile'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, encoding="utf-8")
    assert done.stdout.strip() == "set()"


def test_without_h5py_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, velox({"a1": (GREY[..., None], metadata())}))
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert refusal(path).endswith('run pip install "samcolloid-edge[formats]".')
