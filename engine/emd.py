"""EMD files of Velox (Thermo Fisher): HDF5 with the images and, as JSON, their metadata."""

from __future__ import annotations

import io
import json
from typing import Any, Final

import numpy as np

from ..models.errors import ImageError
from .pixel_size import PixelSize, in_nm, tried
from .raster import AGAIN, CUT_SHORT, Raster, first_of

_HDF5: Final = b"\x89HDF\r\n\x1a\n"


def is_hdf5(data: bytes) -> bool:
    """Whether ``data`` begins as an HDF5 file does."""
    return data.startswith(_HDF5)


def decode_emd(data: bytes) -> Raster:
    """The first frame of the first image of a Velox file, ``/Data/Image/*/Data`` (H, W, frames).

    ImageError, without a name, where there is none, or where h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise ImageError(
            'EMD files are read by h5py, which is not installed; run pip install "samcolloid-edge[formats]".'
        ) from None
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            images = file.get("Data/Image")
            if not isinstance(images, h5py.Group) or not len(images):
                raise ImageError("it is an HDF5 file without an image of Velox's (/Data/Image); export it as TIFF.")
            return _raster(list(images.values()))
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise ImageError(f"{CUT_SHORT}, its HDF5 data cannot be read ({error}); {AGAIN}.") from None


def _raster(images: list[Any]) -> Raster:
    """The first image of plain numbers: Velox keeps transforms and phase maps as pairs of them."""
    plain = [image for image in images if image["Data"].dtype.names is None and image["Data"].ndim == 3]
    if not plain:
        raise ImageError("it holds no image of plain numbers; export it as TIFF.")
    frames = plain[0]["Data"]
    if 0 in frames.shape:
        raise ImageError(f"its image has no pixels (shape {frames.shape}); {AGAIN}.")
    notes = list(first_of(frames.shape[2]))
    if len(images) > 1:
        notes.append(f"The file has {len(images)} images; the first was read, the others ignored.")
    sizes, scale_notes = tried("The Velox metadata", lambda: _scale(plain[0]))
    return Raster(np.asarray(frames[:, :, 0]), pixel_sizes=sizes, warnings=(*notes, *scale_notes))


def _scale(image: Any) -> list[PixelSize]:
    """BinaryResult of the first frame's metadata: PixelSize in PixelUnitX and PixelUnitY per px."""
    # (n, frames) uint8: a column is one frame's JSON in UTF-8, filled up with zeros
    text = bytes(np.asarray(image["Metadata"][:, 0], np.uint8)).partition(b"\0")[0].decode("utf-8")
    found = json.loads(text)["BinaryResult"]
    across = in_nm(found["PixelSize"]["width"], 1, found["PixelUnitX"], "").x
    down = in_nm(found["PixelSize"]["height"], 1, found["PixelUnitY"], "").x
    return [PixelSize(across, down, "Velox BinaryResult PixelSize")]
