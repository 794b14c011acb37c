"""Image files made byte for byte, and the sentence that refuses one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from samcolloid_edge.engine.read import read
from samcolloid_edge.engine.scale_sem import CZ_SEM
from samcolloid_edge.engine.types import Micrograph
from samcolloid_edge.models.errors import ImageError

GREY = np.random.default_rng(0).integers(0, 256, (60, 83), np.uint8)
DEEP = np.random.default_rng(1).integers(0, 65536, (60, 83), np.uint16)
COLOUR = np.random.default_rng(2).integers(0, 256, (60, 83, 3), np.uint8)
ZEISS = (CZ_SEM, 2, None, b"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 4.466 nm\r\n", True)


def tiff_bytes(pixels: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def coded_bytes(extension: str, pixels: NDArray[Any]) -> bytes:
    """``pixels`` as OpenCV codes them; colours in its order, blue first."""
    return bytes(cv2.imencode(extension, pixels)[1])


def written(folder: Path, data: bytes, name: str = "image.tif") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read_tiff(folder: Path, pixels: NDArray[Any], **options: Any) -> Micrograph:
    return read(written(folder, tiff_bytes(pixels, **options)))


def refusal(source: Any, pixel_size: Any = None) -> str:
    """The message of the ImageError; one sentence that names its source."""
    with pytest.raises(ImageError) as caught:
        read(source, pixel_size)
    message = str(caught.value)
    assert message.startswith("array: " if isinstance(source, np.ndarray) else f"{source}: ")
    assert message.endswith(".")
    assert "\n" not in message
    return message.partition(": ")[2] if isinstance(source, np.ndarray) else message[len(str(source)) + 2 :]


def luminance(rgb: NDArray[Any]) -> NDArray[Any]:
    """Rec. 601 in whole numbers, halves rounded up."""
    red, green, blue = np.moveaxis(rgb.astype(int), -1, 0)
    return np.asarray((299 * red + 587 * green + 114 * blue + 500) // 1000)
