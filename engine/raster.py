"""An image as its file stores it: what every reader of a format gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from .pixel_size import PixelSize

CUT_SHORT: Final = "the file is cut short or damaged"
AGAIN: Final = "copy or export it again"


@dataclass(frozen=True, slots=True)
class Raster:
    """An image as its file stores it."""

    samples: NDArray[Any]
    """(H, W) grey, or (H, W, 3) red, green, blue."""
    alpha: NDArray[Any] | None = None
    """(H, W) opacity in the dtype of ``samples``; None where the file has none."""
    pixel_sizes: tuple[PixelSize, ...] = ()
    """The scales that the file states, the most trusted first."""
    warnings: tuple[str, ...] = ()


def first_of(n_frames: int) -> tuple[str, ...]:
    """What is said of a file of several frames."""
    if n_frames == 1:
        return ()
    rest = "frame 2 was" if n_frames == 2 else f"frames 2 to {n_frames} were"
    return (f"The file has {n_frames} frames; the first was read, {rest} ignored.",)
