"""Images as TIFF with their scale, as ImageJ, napari and Python read it."""

from __future__ import annotations

import io

import numpy as np
import tifffile
from numpy.typing import NDArray

from .types import I32, Result


def lobes_tiff(result: Result) -> bytes:
    """The lobes: a pixel of row ``label`` *n* of the lobe table is *n*, the rest 0."""
    return label_tiff(result.masks.labels(), result.micrograph.pixel_size)


def sets_tiff(result: Result) -> bytes:
    """The sets: a pixel of a lobe of set *n* is *n*; a lobe that is in no set is 0, as the background."""
    numbers = np.concatenate([np.zeros(1, np.int32), result.lobes["set"].astype(np.int32)])
    return label_tiff(numbers[result.masks.labels()], result.micrograph.pixel_size)


def label_tiff(labels: I32, pixel_size: float | None) -> bytes:
    """An (H, W) label image with the pixel size (nm/px) where it is known: uint16, above 65,535 labels uint32.

    The display range is 0 to the last label. ImageJ has no integers of 32 bit and opens those as floats, which are
    exact up to 16,777,216; tifffile writes them under no ImageJ header, so the header stands here.
    """
    last = int(labels.max(initial=0))
    if last <= np.iinfo(np.uint16).max:
        return gray_tiff(labels.astype(np.uint16), pixel_size, (0, max(last, 1)))
    unit = "" if pixel_size is None else "unit=nm\n"
    file = io.BytesIO()
    tifffile.imwrite(
        file, labels.astype(np.uint32), description=f"ImageJ=1.53t\n{unit}min=0.0\nmax={last:.1f}\n", metadata=None,
        resolution=_per_nm(pixel_size), resolutionunit="NONE",
    )  # fmt: skip
    return file.getvalue()


def gray_tiff(
    image: NDArray[np.uint8] | NDArray[np.uint16], pixel_size: float | None, shown: tuple[float, float] | None = None
) -> bytes:
    """An (H, W) image as ImageJ's TIFF, with the pixel size (nm/px) where it is known.

    ``shown`` is the range of values that ImageJ spreads over black to white; None: all that the dtype has.
    """
    unit = {} if pixel_size is None else {"unit": "nm"}
    display = {} if shown is None else {"min": float(shown[0]), "max": float(shown[1])}
    file = io.BytesIO()
    tifffile.imwrite(file, image, imagej=True, metadata=unit | display,
                     resolution=_per_nm(pixel_size), resolutionunit="NONE")  # fmt: skip
    return file.getvalue()


def _per_nm(pixel_size: float | None) -> tuple[float, float] | None:
    """Pixels per nm across and down; TIFF has no such unit, so ImageJ's ``unit`` says it."""
    return None if pixel_size is None else (1 / pixel_size, 1 / pixel_size)
