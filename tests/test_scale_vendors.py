"""Vendors' metadata, written here byte for byte after their layouts, give their pixel size; damaged ones a sentence."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import GREY, tiff_bytes, written
from samcolloid_edge.engine.read import read
from samcolloid_edge.engine.scale_sem import FEI_HELIOS, FEI_SFEG, TESCAN
from samcolloid_edge.engine.scale_tem import SIS, TVIPS
from samcolloid_edge.engine.types import Micrograph

NOTHING = "state no pixel size that makes sense; give it with --pixel-size (nm per px)."
WIDTH, HEIGHT = GREY.shape[1], GREY.shape[0]


def tagged(folder: Path, *tags: tuple[Any, ...]) -> Micrograph:
    return read(written(folder, tiff_bytes(GREY, extratags=list(tags))))


def fei_text(pixel: str = "4.466e-009", columns: int = WIDTH, field: float = 4.466e-9) -> bytes:
    """The text of a Thermo Fisher/FEI SEM, cut down to the sections that matter here."""
    return (
        "[User]\r\nDate=11/25/2026\r\n\r\n[Beam]\r\nHV=5000\r\nSpot=3\r\nBeam=EBeam\r\nScan=EScan\r\n\r\n"
        f"[EBeam]\r\nSource=FEG\r\nHV=5000\r\nHFW={field * columns:.9e}\r\nVFW={field * HEIGHT:.9e}\r\n\r\n"
        f"[Scan]\r\nInternalScan=true\r\nPixelWidth={pixel}\r\nPixelHeight={pixel}\r\n\r\n"
        f"[Image]\r\nDigitalContrast=1\r\nResolutionX={columns}\r\nResolutionY={HEIGHT}\r\n"
    ).encode("ascii")


def tescan_tag(text: str, kind: int = 2) -> bytes:
    """Blocks of (size and kind, then data): a thumbnail, the main text, the end (Gwyddion, tescan.c)."""
    blocks = [(1, b"\xff\xd8\xff\xd9"), (kind, text.encode("ascii")), (0, b"")]
    return b"".join(struct.pack("<IH", len(data) + 2, number) + data for number, data in blocks)


def sis_file(x: float, y: float, power: int, magic: bytes = b"SIS0") -> bytes:
    """A TIFF with the Olympus SIS structure, whose general block lies at its end (tifffile, read_sis)."""
    head = struct.pack("<4s6xhhhhh6x32sH", magic, 30, 12, 25, 10, 126, b"image", 1)
    data = tiff_bytes(GREY, extratags=[(SIS, 1, None, head + struct.pack("<hhI", 1, 1, 0x7FFFFFFF), True)])
    data = data.replace(struct.pack("<I", 0x7FFFFFFF), struct.pack("<I", len(data)))
    return data + struct.pack("<10xhdd8xd2x34s32s", power, x, y, 25000.0, b"Veleta", b"")


def tvips_tag(size: float, version: int = 2, magic: int = 0xAAAAAAAA) -> bytes:
    """TemData, version 2, all zero but for what is named here (tifffile, TVIPS_HEADER_V1 and _V2)."""
    first = np.zeros(1, [("version", "<i4"), ("rest", "V240")])
    first["version"] = version
    fields = [("before", "V320"), ("size_x", "<i4"), ("size_y", "<i4"), ("size_z", "<i4"), ("size_e", "<i4"),
              ("type", "<i4"), ("date", "<i4"), ("time", "<i4"), ("comment", "V2048"), ("scaling", "<16f4"),
              ("statistics", "V256"), ("kinds", "V8"), ("pixel_x", "<f4"), ("pixel_y", "<f4")]  # fmt: skip
    second = np.zeros(1, fields)
    second["size_x"], second["size_y"], second["pixel_x"], second["pixel_y"] = WIDTH, HEIGHT, size, size
    after = 4 * (2 + 32) + 160 + 4 * (1 + 32 + 32 + 1 + 3 + 1) + 4 * (5 + 2 + 2 + 2 + 7 + 3 + 1 + 32) + 160 + 4 * 6
    after += 4 * 3 + 160 + 4 * 2 + 4 * 32 + 1024 + 1024
    return first.tobytes() + second.tobytes() + bytes(after) + struct.pack("<I", magic)


@pytest.mark.parametrize("tag", [FEI_SFEG, FEI_HELIOS])
def test_fei_states_metres_per_px_and_the_field(tmp_path: Path, tag: int) -> None:
    micrograph = tagged(tmp_path, (tag, 2, None, fei_text(), True))
    assert (micrograph.pixel_size, micrograph.warnings) == (4.466, ())
    assert [(size.x, size.source) for size in micrograph.pixel_sizes] == [
        (4.466, "Thermo Fisher/FEI [Scan] PixelWidth"),
        (pytest.approx(4.466, rel=1e-8), "Thermo Fisher/FEI [EBeam] HFW / [Image] ResolutionX"),
    ]


def test_an_fei_field_that_does_not_fit_and_a_resized_image_are_said(tmp_path: Path) -> None:
    off = tagged(tmp_path, (FEI_HELIOS, 2, None, fei_text(field=4.6e-9), True))
    (warning,) = off.warnings
    assert warning.startswith("Two pixel sizes are stated, 3 % apart: 4.466 nm (Thermo Fisher/FEI [Scan] PixelWidth), ")
    assert "which is used, and 4.6 nm" in warning
    resized = tagged(tmp_path, (FEI_HELIOS, 2, None, fei_text(columns=2 * WIDTH), True))
    assert f"an image {2 * WIDTH} px wide, and this one is {WIDTH} px wide: if it was resized" in resized.warnings[0]


def test_tescan_states_metres_per_px_in_its_main_block(tmp_path: Path) -> None:
    text = "AccFrames=1\r\nDevice=MIRA3\r\nPixelSizeX=4.466e-09\r\nPixelSizeY=4.466e-09\r\nUserName=x\r\n"
    micrograph = tagged(tmp_path, (TESCAN, 1, None, tescan_tag(text), True))
    assert (micrograph.pixel_size, micrograph.pixel_size_source) == (4.466, "TESCAN PixelSizeX")
    assert micrograph.warnings == ()


@pytest.mark.parametrize(("x", "power", "nm"), [(4.466, -9, 4.466), (0.4466, -8, 4.466), (1.5, -6, 1500)])
def test_sis_states_a_number_and_a_power_of_ten(tmp_path: Path, x: float, power: int, nm: float) -> None:
    micrograph = read(written(tmp_path, sis_file(x, x, power)))
    assert (micrograph.pixel_size, micrograph.pixel_size_source) == (nm, "Olympus SIS calibration")
    assert micrograph.warnings == ()


def test_tvips_states_nanometres_in_single_precision(tmp_path: Path) -> None:
    micrograph = tagged(tmp_path, (TVIPS, 1, None, tvips_tag(0.4466), True))
    assert (micrograph.pixel_size, micrograph.pixel_size_source) == (0.4466, "TVIPS TemData PixelSizeX")
    assert micrograph.warnings == ()


@pytest.mark.parametrize(("unit", "scale", "nm"), [("nm", 4.466, 4.466), ("\u00b5m", 0.004466, 4.466), ("m", 1e-9, 1)])
def test_gatans_tiff_tags_state_scale_and_unit(tmp_path: Path, unit: str, scale: float, nm: float) -> None:
    tags = [(65003, 2, None, unit.encode("utf-8"), True), (65004, 2, None, unit.encode("utf-8"), True),
            (65009, 12, 1, scale, True), (65010, 12, 1, scale, True)]  # fmt: skip
    micrograph = tagged(tmp_path, *tags)
    assert (micrograph.pixel_size, micrograph.pixel_size_source) == (nm, "Gatan DigitalMicrograph tags")
    assert micrograph.warnings == ()


def test_a_diffraction_pattern_has_no_scale_and_says_so(tmp_path: Path) -> None:
    tags = [(65003, 2, None, b"1/nm", True), (65009, 12, 1, 0.01, True), (65010, 12, 1, 0.01, True)]
    micrograph = tagged(tmp_path, *tags)
    assert micrograph.pixel_size is None
    assert micrograph.warnings == ("The Gatan metadata are of reciprocal space (1/nm), so that lengths have no scale.",)


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("Thermo Fisher/FEI", (FEI_HELIOS, 2, None, fei_text()[:60], True)),
        ("Thermo Fisher/FEI", (FEI_HELIOS, 2, None, fei_text(pixel="-1", field=0), True)),
        ("Thermo Fisher/FEI", (FEI_SFEG, 2, None, b"\xff\xfe\x00nonsense[", True)),
        ("TESCAN", (TESCAN, 1, None, tescan_tag("PixelSizeX=4.466e-09\r\nPixelSi"), True)),
        ("TESCAN", (TESCAN, 1, None, tescan_tag("PixelSizeX=\r\nPixelSizeY=\r\n"), True)),
        ("TESCAN", (TESCAN, 1, None, b"\0", True)),
        ("Olympus SIS", (SIS, 1, None, b"SIS0" + bytes(56), True)),
        ("Olympus SIS", (SIS, 1, None, bytes(200), True)),
        ("TVIPS", (TVIPS, 1, None, tvips_tag(0.4466)[:1000], True)),
        ("TVIPS", (TVIPS, 1, None, tvips_tag(0.4466, version=1), True)),
        ("TVIPS", (TVIPS, 1, None, tvips_tag(0.4466, magic=1), True)),
        ("TVIPS", (TVIPS, 1, None, tvips_tag(float("nan")), True)),
        ("Gatan", (65009, 12, 1, 4.466, True)),
    ],
)
def test_damaged_metadata_give_a_sentence_and_no_scale(tmp_path: Path, name: str, tag: tuple[Any, ...]) -> None:
    tags = [tag, (65003, 2, None, b"nm", True)] if name == "Gatan" else [tag]
    micrograph = tagged(tmp_path, *tags)
    assert micrograph.pixel_size is None
    assert micrograph.warnings == (f"The {name} metadata {NOTHING}",)


def test_no_cut_through_a_vendors_tag_ends_in_anything_but_a_sentence(tmp_path: Path) -> None:
    whole = [(FEI_HELIOS, fei_text()), (TESCAN, tescan_tag("PixelSizeX=4.466e-09\nPixelSizeY=4.466e-09\n")),
             (TVIPS, tvips_tag(0.4466))]  # fmt: skip
    for code, data in whole:
        for n in range(5, len(data), len(data) // 40 + 1):
            micrograph = tagged(tmp_path, (code, 1, None, data[:n], True))
            # A number that was cut in the middle is a number still; it cannot be told from a whole one.
            assert micrograph.pixel_size is not None or len(micrograph.warnings) == 1


JEOL = "$CM_FORMAT JEOL-SEM\r\n$CM_VERSION 1.0\r\n$CM_FULL_SIZE 83 60\r\n$CM_MAG 25000\r\n$$SM_MICRON_BAR 112\r\n"


@pytest.mark.parametrize(("marker", "nm"), [("500nm", 500), ("1um", 1e3), ("1\u00b5m", 1e3), ("0.1mm", 1e5)])
@pytest.mark.parametrize("name", ["image.txt", "image.TXT"])
def test_jeols_side_file_states_the_bar_and_its_label(tmp_path: Path, marker: str, nm: float, name: str) -> None:
    (tmp_path / name).write_text(f"{JEOL}$$SM_MICRON_MARKER {marker}\r\n", "cp1252", newline="")
    micrograph = read(written(tmp_path, tiff_bytes(GREY)))
    assert micrograph.pixel_size == pytest.approx(nm / 112, rel=1e-11)
    assert micrograph.pixel_size_source == "JEOL side file, $$SM_MICRON_MARKER / $$SM_MICRON_BAR"
    assert micrograph.side_files == {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}
    assert micrograph.warnings == ()


@pytest.mark.parametrize("encoding", ["ascii", "utf-16", "utf-8-sig"])
def test_hitachis_side_file_states_nanometres(tmp_path: Path, encoding: str) -> None:
    text = "[SemImageFile]\r\nInstructName=S-4800\r\nDataSize=83x60\r\nPixelSize=4.466\r\nSignalName=SE(U)\r\n"
    (tmp_path / "image.txt").write_text(text, encoding, newline="")
    micrograph = read(written(tmp_path, tiff_bytes(GREY)))
    assert (micrograph.pixel_size, micrograph.pixel_size_source) == (4.466, "Hitachi side file PixelSize")
    assert micrograph.warnings == ()
    (tmp_path / "image.txt").write_text(text.replace("83x60", "1280x960"), encoding, newline="")
    assert "for an image 1280 px wide" in read(tmp_path / "image.tif").warnings[0]


@pytest.mark.parametrize("name", ["image.hdr", "image-tif.hdr", "image-tif.HDR"])
def test_tescans_side_file_states_metres(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[MAIN]\nDevice=LYRA3\nPixelSizeX=4.466e-09\nPixelSizeY=4.466e-09\n", "ascii")
    micrograph = read(written(tmp_path, tiff_bytes(GREY)))
    assert (micrograph.pixel_size, micrograph.pixel_size_source) == (4.466, "TESCAN side file PixelSizeX")


def test_a_text_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "image.txt").write_text("Notes: the scale bar is 300 nm, PixelSize=3\n", "utf-8")
    (tmp_path / "image.hdr").write_bytes(b"\x89\xff\x00 no text")
    micrograph = read(written(tmp_path, tiff_bytes(GREY)))
    assert (micrograph.pixel_size, micrograph.warnings, micrograph.side_files) == (None, (), {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("JEOL", JEOL),
        ("JEOL", f"{JEOL}$$SM_MICRON_MARKER wide\n"),
        ("JEOL", "$$SM_MICRON_BAR 0\n$$SM_MICRON_MARKER 1um\n"),
        ("Hitachi", "[SemImageFile]\n"),
        ("Hitachi", "[SemImageFile]\nPixelSize=\nDataSize=\n"),
    ],
)
def test_a_damaged_side_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "image.txt").write_text(text, "utf-8")
    micrograph = read(written(tmp_path, tiff_bytes(GREY)))
    assert micrograph.pixel_size is None
    assert micrograph.warnings == (f"The {name} metadata in image.txt {NOTHING}",)
