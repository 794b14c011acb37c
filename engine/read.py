"""A file or an array → Micrograph: one channel in the file's dtype and values, its scale and its area."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..models.errors import ImageError
from .databar import find_data_bar
from .formats import decode
from .raster import Raster
from .scale import side_digests, side_pixel_sizes
from .scale_bar import measure_scale_bar
from .scale_choice import choose, percent
from .types import Micrograph

_DTYPES: Final = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_REC601: Final = (299, 587, 114)
"""Luminance of red, green and blue in thousandths, ITU-R BT.601."""


def read(
    source: str | os.PathLike[str] | NDArray[Any],
    pixel_size: float | None = None,
    pixel_size_uncertainty: float | None = None,
    scale_bar: float | None = None,
) -> Micrograph:
    """The micrograph in a TIFF, PNG, JPEG, BMP, DM3, DM4, EMD (Velox) or MRC file, or in an array.

    source: a path, or an array (H, W) or (H, W, 3 or 4), RGB or RGBA, of whole numbers of up to 32 bit
        or of float32 or float64.
    pixel_size: nm per px, overriding what the file says.
    pixel_size_uncertainty: nm per px, standard uncertainty of the size given, or of the file's own.
    scale_bar: nm, what is written at the burnt-in scale bar: a check of the size, or the size where there is none.

    The pixels keep the file's dtype and values. Palettes are applied; white-is-zero is turned round;
    fewer than 8 bits are spread over 8; colour becomes luminance (Rec. 601), with a warning where the
    channels differ; opacity is dropped, with a warning where it was used; of several pages the first is
    read, with a warning. Nothing is resized or cropped: the data bar is only left out of ``area``.
    ImageError, one sentence, where there is no such micrograph, or where its pixels are not square.
    """
    name = "array" if isinstance(source, np.ndarray) else _path(source)
    try:
        if pixel_size is not None and not _is_length(pixel_size):
            raise ImageError(f"the pixel size must be a number above 0 (nm per px), not {pixel_size!r}.")
        raster, sha256 = _from_array(source) if isinstance(source, np.ndarray) else _from_file(Path(name))
        pixels, warnings = _grey(raster)
        area = find_data_bar(pixels)
        bar = measure_scale_bar(pixels, area, in_picture=scale_bar is not None)
        scale = choose(raster.pixel_sizes, pixels.shape[1], pixel_size, pixel_size_uncertainty, bar, scale_bar)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error.__cause__
    except MemoryError:
        raise ImageError(f"{name}: the image does not fit into memory; crop it or split it.") from None
    return Micrograph(
        pixels=pixels,
        source=name,
        sha256=sha256,
        pixel_size=scale.size,
        pixel_size_source=scale.source,
        pixel_size_uncertainty=scale.uncertainty,
        pixel_sizes=scale.found,
        scale_bar=bar,
        side_files={} if isinstance(source, np.ndarray) else side_digests(Path(name)),
        area=area,
        file_pixel_size=raster.pixel_sizes[0].x if raster.pixel_sizes else None,
        warnings=(*raster.warnings, *warnings, *scale.warnings),
    )


def _path(source: object) -> str:
    if not isinstance(source, (str, os.PathLike)):
        raise ImageError(
            f"A micrograph is a path or a NumPy array, not {type(source).__name__}: give one of these."
        )
    return str(os.fspath(source))


def _from_file(path: Path) -> tuple[Raster, str]:
    """The decoded file and the sha256 of its bytes."""
    try:
        if path.is_dir():
            raise ImageError("this is a folder, not a file; name the micrographs in it.")
        if path.exists() and not path.is_file():
            raise ImageError("this is not a regular file; give the path of an image.")
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError("there is no such file; check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"cannot be read ({reason}); check the path and your permission.") from None
    raster = decode(data)
    beside, notes = side_pixel_sizes(path)
    raster = replace(raster, pixel_sizes=(*raster.pixel_sizes, *beside), warnings=(*raster.warnings, *notes))
    return raster, hashlib.sha256(data).hexdigest()


def _from_array(array: NDArray[Any]) -> tuple[Raster, str]:
    """A copy of the array, whose owner may go on writing, and the sha256 of dtype, shape and bytes."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ImageError(f"its shape is {array.shape}; give (H, W), or (H, W, 3 or 4) for colour.")
    if array.size == 0:
        raise ImageError(f"it has no pixels (shape {array.shape}); give at least 1×1.")
    _check_dtype(array)
    copy = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    digest = hashlib.sha256(f"{copy.dtype.str}{copy.shape}".encode() + copy.tobytes())
    if copy.ndim == 2:
        return Raster(copy), digest.hexdigest()
    return Raster(copy[..., :3], copy[..., 3] if copy.shape[2] == 4 else None), digest.hexdigest()


def _grey(raster: Raster) -> tuple[NDArray[Any], list[str]]:
    """(H, W) pixels of one channel, contiguous, and what was lost on the way."""
    samples = raster.samples
    _check_dtype(samples)
    _check_values(samples)
    warnings = []
    if raster.alpha is not None:
        opaque = np.iinfo(samples.dtype).max if samples.dtype.kind in "ui" else 1
        seen_through = float(np.mean(raster.alpha != opaque))
        if seen_through:
            warnings.append(
                f"The opacity channel was dropped; {percent(seen_through)} of the pixels are not opaque."
            )
    if samples.ndim == 2:
        return np.ascontiguousarray(samples, samples.dtype.newbyteorder("=")), warnings
    red, green, blue = np.moveaxis(samples, -1, 0)
    coloured = float(np.mean((red != green) | (green != blue)))
    if not coloured:
        return np.ascontiguousarray(red, samples.dtype.newbyteorder("=")), warnings
    spread = np.subtract(samples.max(axis=2), samples.min(axis=2), dtype=np.float64)
    warnings.append(
        "Colour became luminance (Rec. 601: 0.299 R + 0.587 G + 0.114 B); the channels differ in"
        f" {percent(coloured)} of the pixels, by up to {spread.max():g}."
    )
    return _luminance(red, green, blue), warnings


def _luminance(red: NDArray[Any], green: NDArray[Any], blue: NDArray[Any]) -> NDArray[Any]:
    """(H, W) in the dtype of the channels; whole numbers are rounded exactly, so on every machine alike."""
    is_whole = red.dtype.kind in "ui"
    whole = np.uint32 if red.dtype in (np.uint8, np.uint16) else np.int64
    thousandfold = np.zeros(red.shape, whole if is_whole else np.float64)
    for weight, channel in zip(_REC601, (red, green, blue), strict=True):
        thousandfold += weight * channel.astype(thousandfold.dtype)
    grey = (thousandfold + 500) // 1000 if is_whole else thousandfold / 1000
    return np.asarray(grey, red.dtype.newbyteorder("="))


def _check_dtype(samples: NDArray[Any]) -> None:
    if samples.dtype.newbyteorder("=").name in _DTYPES:
        return
    advice = {
        "b": "convert it with .astype(np.uint8) * 255",
        "i": "convert it to int32",
        "u": "convert it to uint32",
        "f": "convert it to float32",
        "c": "take its magnitude with np.abs",
    }.get(samples.dtype.kind, "convert it")
    raise ImageError(
        f"its pixels are {samples.dtype}, not {', '.join(_DTYPES[:-1])} or {_DTYPES[-1]}; {advice}."
    )


def _check_values(samples: NDArray[Any]) -> None:
    n_bad = int(np.count_nonzero(~np.isfinite(samples))) if samples.dtype.kind == "f" else 0
    if n_bad:
        raise ImageError(
            f"{n_bad} of {samples.size} values are NaN or infinite; replace them by numbers first."
        )


def _is_length(size: object) -> bool:
    return isinstance(size, (int, float, np.number)) and bool(math.isfinite(size) and size > 0)

