"""The bytes of an image file → its samples as stored. Files cut short are found out, not filled up."""

from __future__ import annotations

import io
import logging
import math
import re
import zlib
from dataclasses import replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from ..models.errors import ImageError
from .dm import decode_dm, is_dm
from .emd import decode_emd, is_hdf5
from .mrc import decode_mrc, is_mrc
from .raster import AGAIN, CUT_SHORT, Raster
from .scale import pixel_sizes

_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_BMP: Final = b"BM"

# What tifffile has to say about odd tags belongs to whoever configures logging, not on a user's terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def decode(data: bytes) -> Raster:
    """The first image in the bytes of a file of one of the kinds read here, told apart by content, not by name.

    ImageError, without the file's name, where it is none of these, cut short or stored in a way not read.
    """
    if not data:
        raise ImageError(f"the file is empty (0 bytes); {AGAIN}.")
    if data.startswith(_TIFF):
        return _tiff(data)
    if data.startswith(_PNG):
        return _coded(data, "PNG", _png_is_whole(data))
    if data.startswith(_JPEG):
        return _coded(data, "JPEG", _jpeg_is_whole(data))
    if data.startswith(_BMP):
        return _coded(data, "BMP", _bmp_is_whole(data))
    if is_dm(data):
        return decode_dm(data)
    if is_hdf5(data):
        return decode_emd(data)
    if is_mrc(data):
        return decode_mrc(data)
    raise ImageError(
        f"not a TIFF, PNG, JPEG, BMP, DM3, DM4, EMD or MRC image (it begins with {data[:8]!r}); export it as TIFF."
    )


def _tiff(data: bytes) -> Raster:
    try:
        with TiffFile(io.BytesIO(data)) as tiff:
            if not len(tiff.pages):
                raise ImageError(f"{CUT_SHORT}: it holds no image; {AGAIN}.")
            page = tiff.pages.first
            _check_page(page, len(data))
            raster = _page(page)
            n_pages = max(len(tiff.pages), int((tiff.imagej_metadata or {}).get("images", 1)))
            warnings = list(raster.warnings)
            if n_pages > 1:
                rest = "page 2 was" if n_pages == 2 else f"pages 2 to {n_pages} were"
                warnings.append(f"The file has {n_pages} pages; the first was read, {rest} ignored.")
            sizes, notes = pixel_sizes(tiff)
            return replace(raster, pixel_sizes=sizes, warnings=(*warnings, *notes))
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        # Damaged bytes surface in tifffile and its codecs as exceptions of any kind.
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise ImageError(f"{CUT_SHORT}, TIFF decoding fails ({reason}); {AGAIN}.") from error


def _check_page(page: TiffPage, n_bytes: int) -> None:
    """ImageError where a TIFF page is none we read, or where the file ends before its pixels do."""
    if page.dtype is None or page.ndim not in (2, 3) or 0 in page.shape:
        raise ImageError(
            f"its pixels are of a kind not read here (shape {page.shape}, {page.bitspersample} bit,"
            f" sample format {page.sampleformat}); export it as an 8 or 16 bit greyscale TIFF."
        )
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if page.is_contiguous and segments:
        # Uncompressed: the size follows from the shape, and some programs state byte counts that are wrong.
        segments = [(segments[0][0], page.nbytes)]
    elif len(segments) < math.prod(page.chunked):
        raise ImageError(
            f"{CUT_SHORT}: it has {len(segments)} of {math.prod(page.chunked)} pieces; {AGAIN}."
        )
    end = max((offset + count for offset, count in segments), default=n_bytes + 1)
    if end > n_bytes:
        raise ImageError(f"{CUT_SHORT}: its pixels end at byte {end}, the file at byte {n_bytes}; {AGAIN}.")
    if any(offset == 0 or count == 0 for offset, count in segments):
        raise ImageError(f"{CUT_SHORT}: a piece of its pixels was never written; {AGAIN}.")


def _page(page: TiffPage) -> Raster:
    """Samples of a TIFF page, with palette, polarity and less than 8 bits as every viewer shows them."""
    samples = page.asarray()
    if page.axes == "SYX":
        samples = np.moveaxis(samples, 0, -1)
    elif page.axes not in ("YX", "YXS"):
        raise ImageError(
            f"its pixels have the axes {page.axes}, not rows and columns; export a single image."
        )
    photometric = page.photometric
    if photometric == PHOTOMETRIC.PALETTE and page.colormap is not None and samples.ndim == 2:
        return Raster(_palette(page.colormap)[samples])
    is_jpeg = page.compression == COMPRESSION.JPEG
    if photometric == PHOTOMETRIC.RGB or (photometric == PHOTOMETRIC.YCBCR and is_jpeg):
        return _split(samples, 3, samples.shape[-1] == 4)
    if photometric not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE):
        name = getattr(photometric, "name", photometric)
        raise ImageError(f"its colours are stored as {name}, not read here; export it as greyscale TIFF.")
    white = 2**page.bitspersample - 1
    if white < 255:
        samples, white = samples.astype(np.uint8) * np.uint8(255 // white), 255
    raster = _split(samples, 1, page.extrasamples in ((1,), (2,)))
    if photometric == PHOTOMETRIC.MINISBLACK:
        return raster
    if samples.dtype.kind != "u":
        raise ImageError(f"white is stored as 0 in {samples.dtype} pixels; export it with black as 0.")
    return replace(raster, samples=samples.dtype.type(white) - raster.samples)


def _split(samples: NDArray[Any], n_colours: int, has_alpha: bool) -> Raster:
    """(H, W) or (H, W, S) samples: ``n_colours`` colours, then opacity or channels of unknown meaning."""
    if samples.ndim == 2:
        return Raster(samples)
    n_samples = samples.shape[2]
    if n_samples < n_colours:
        raise ImageError(f"it has {n_samples} channels, colour needs {n_colours}; export it as greyscale.")
    colours = samples[..., :n_colours] if n_colours == 3 else samples[..., 0]
    if has_alpha:
        return Raster(colours, samples[..., n_colours])
    if n_samples == n_colours:
        return Raster(colours)
    was_read = "the first was" if n_colours == 1 else "red, green and blue were"
    return Raster(
        colours, warnings=(f"The file has {n_samples} channels; {was_read} read, the rest ignored.",)
    )


def _palette(colormap: NDArray[Any]) -> NDArray[Any]:
    """(n, 3) colours of a TIFF palette: 8 bit for up to 256 entries, as the file's pixels are."""
    colours = np.ascontiguousarray(colormap.T)
    if len(colours) > 256:
        return colours
    # The entries are 16 bit by the standard; some programs write 8 bit all the same, as libtiff knows too.
    return (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)


def _coded(data: bytes, kind: str, is_whole: bool) -> Raster:
    """PNG, JPEG or BMP through OpenCV, whose decoders print about damage, so that it is looked for before."""
    if not is_whole:
        raise ImageError(f"{CUT_SHORT}: its {kind} data are not complete; {AGAIN}.")
    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"the {kind} image cannot be decoded ({error.err}); {AGAIN}.") from None
    if samples is None:
        raise ImageError(f"{CUT_SHORT}: the {kind} image cannot be decoded; {AGAIN}.")
    if samples.ndim == 2:
        return Raster(samples)
    return Raster(samples[..., 2::-1], samples[..., 3] if samples.shape[2] == 4 else None)


def _png_is_whole(data: bytes) -> bool:
    """Whether every chunk up to IEND is there and matches its checksum (PNG specification, section 5.3)."""
    start = len(_PNG)
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        body = data[start + 4 : end - 4]
        if end > len(data) or zlib.crc32(body) != int.from_bytes(data[end - 4 : end], "big"):
            return False
        if body.startswith(b"IEND"):
            return True
        start = end
    return False


def _jpeg_is_whole(data: bytes) -> bool:
    """Whether the segments run to the end-of-image marker (ITU-T T.81, annex B)."""
    marker = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
    start = 2
    while (found := marker.search(data, start)) is not None:
        if found[1] == b"\xd9":
            return True
        # The length counts itself; after a start of scan, coded data run up to the next marker.
        start = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return False


def _bmp_is_whole(data: bytes) -> bool:
    """Whether the rows of a BMP fit into the file, or its stated size where it is compressed."""
    if len(data) < 54:
        return False
    word = [int.from_bytes(data[i : i + 4], "little", signed=True) for i in range(0, 54 - 2, 2)]
    offset, width, height, compression = word[5], word[9], abs(word[11]), word[15]
    bits = int.from_bytes(data[28:30], "little")
    if word[7] < 40 or compression not in (0, 3, 6):
        return word[1] <= len(data)
    return offset + (width * bits + 31) // 32 * 4 * height <= len(data)
