"""MRC files (MRC2014, Cheng et al., J. Struct. Biol. 192, 146 (2015)), by mrcfile."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from ..models.errors import ImageError
from .pixel_size import NoScaleError, PixelSize, in_nm, tried
from .raster import AGAIN, CUT_SHORT, Raster, first_of


def is_mrc(data: bytes) -> bool:
    """Whether ``data`` begins as an MRC file does."""
    return len(data) >= 212 and data[208:211] == b"MAP"


def decode_mrc(data: bytes) -> Raster:
    """The first section of an MRC file, rows in the order of the file. ImageError, without a name, where there is
    none, or where mrcfile is not installed."""
    try:
        from mrcfile import utils
        from mrcfile.mrcinterpreter import MrcInterpreter
    except ImportError:
        raise ImageError(
            'MRC files are read by mrcfile, which is not installed; run pip install "samcolloid-edge[formats]".'
        ) from None
    with warnings.catch_warnings(record=True) as odd:
        warnings.simplefilter("always")
        try:
            header = MrcInterpreter(io.BytesIO(data), permissive=True, header_only=True).header
            form = utils.data_dtype_from_header(header)
        except (ValueError, TypeError) as error:
            raise ImageError(f"{CUT_SHORT}, its MRC header cannot be read ({error}); {AGAIN}.") from None
    width, height, n_frames = int(header.nx), int(header.ny), int(header.nz)
    start = header.dtype.itemsize + int(header.nsymbt)
    if min(width, height, n_frames) < 1 or start < header.dtype.itemsize:
        raise ImageError(f"{CUT_SHORT}: its MRC header states {width} × {height} × {n_frames} px; {AGAIN}.")
    end = start + width * height * n_frames * form.itemsize
    if end > len(data):
        raise ImageError(f"{CUT_SHORT}: its pixels end at byte {end}, the file at byte {len(data)}; {AGAIN}.")
    samples = np.frombuffer(data, form, width * height, start).reshape(height, width)
    sizes, notes = tried("The MRC metadata", lambda: _scale(header))
    said = tuple(f"The MRC header is odd: {warning.message}." for warning in odd)
    return Raster(samples, pixel_sizes=sizes, warnings=(*first_of(n_frames), *said, *notes))


def _scale(header: Any) -> list[PixelSize] | None:
    """The cell, Å, over its sampling (MRC2014, words 8–13); none where the cell is empty, as in files of no scale."""
    x, y = (float(header.cella[axis]) / max(int(header[f"m{axis}"]), 1) for axis in "xy")
    if x == y == 0:
        return None
    if x == y == 1:
        raise NoScaleError("state 1 Å per px, as programs write where they know no scale, so that it was not used")
    return [in_nm(f"{x:.7g}", f"{y:.7g}", "Å", "MRC header cell")]  # stored in single precision
