"""Gatan DigitalMicrograph files, versions 3 and 4: a tree of tags, of which an image and its scale are read.

The layout is not published by Gatan; it is known from its readers (https://www.er-c.org/cbb/info/dmformat,
B. Schaffer; RosettaSciIO). Numbers that frame the tree are big-endian, those in it as the header says.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np

from ..models.errors import ImageError
from .pixel_size import PixelSize, in_nm, tried
from .raster import AGAIN, CUT_SHORT, Raster, first_of

_GROUP: Final = 20
_DATA: Final = 21
_STRUCT: Final = 15
_TEXT: Final = 18
_ARRAY: Final = 20
_NUMBERS: Final = {2: "i2", 3: "i4", 4: "u2", 5: "u4", 6: "f4", 7: "f8", 8: "u1", 9: "i1", 10: "i1", 11: "i8", 12: "u8"}
"""NumPy's type of each encoded type of the tag tree."""
_IMAGES: Final = {
    1: "i2", 2: "f4", 3: "c8", 6: "u1", 7: "i4", 9: "i1", 10: "u2", 11: "u4", 12: "f8", 13: "c16", 14: "u1", 23: "u1",
}  # fmt: skip
"""NumPy's type of each image's DataType."""
_RGB: Final = 23
_DEEPEST: Final = 64
"""Levels of groups; files have about ten."""
_SHORT: Final = 256
"""Elements up to which an array is read into the tree; longer ones, images, are left where they lie."""

Tags = dict[str, Any]


def is_dm(data: bytes) -> bool:
    """Whether ``data`` begins as a DM3 or DM4 file does."""
    version = data[:4]
    order = data[8:12] if version == b"\0\0\0\3" else data[12:16] if version == b"\0\0\0\4" else b""
    return order in (b"\0\0\0\0", b"\0\0\0\1")


def decode_dm(data: bytes) -> Raster:
    """The image of a DM3 or DM4 file; the first frame of a stack. ImageError, without a name, where there is none."""
    try:
        tree = _Tree(data)
        image = _image(tree.tags)
        return _raster(data, tree.order, image)
    except (struct.error, KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise ImageError(f"{CUT_SHORT}, its DigitalMicrograph tags cannot be read ({error}); {AGAIN}.") from None


class _Tree:
    """The tags of a file as dicts; unnamed ones are numbered ("0", "1", …). Long arrays are (type, n, offset)."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        is_4 = data[3] == 4
        self._word, self._word_size = (">q", 8) if is_4 else (">i", 4)
        self._has_sizes = is_4
        self._at = 4 + self._word_size
        self.order = "<" if self._take(">i") else ">"
        self.tags = self._group(0)

    def _take(self, form: str) -> int:
        value: int = struct.unpack_from(form, self._data, self._at)[0]
        self._at += struct.calcsize(form)
        return value

    def _words(self, n: int) -> list[int]:
        return [self._take(self._word) for _ in range(n)]

    def _group(self, depth: int) -> Tags:
        if depth > _DEEPEST:
            raise ValueError("groups in groups without end")
        self._at += 2  # whether it is sorted, whether it is open
        tags: Tags = {}
        for _ in range(self._take(self._word)):
            kind = self._take(">B")
            n = self._take(">H")
            name = self._data[self._at : self._at + n].decode("latin-1") or str(len(tags))
            self._at += n
            if self._has_sizes:
                self._at += 8
            if kind == _GROUP:
                tags[name] = self._group(depth + 1)
            elif kind == _DATA:
                tags[name] = self._value()
            else:
                raise ValueError(f"tag of kind {kind} at byte {self._at}")
        return tags

    def _value(self) -> Any:
        if self._data[self._at : self._at + 4] != b"%%%%":
            raise ValueError(f"no tag at byte {self._at}")
        self._at += 4
        head = self._words(self._take(self._word))
        if head[0] == _ARRAY and head[1] == _STRUCT:
            return self._skip(self._size_of_struct(head[2:-1]) * head[-1])
        if head[0] == _ARRAY and head[1] in _NUMBERS:
            return self._array(_NUMBERS[head[1]], head[2])
        if head[0] == _STRUCT:
            return self._skip(self._size_of_struct(head[1:]))
        if head[0] == _TEXT:
            return self._skip(head[1])
        form = np.dtype(self.order + _NUMBERS[head[0]])
        value = np.frombuffer(self._data, form, 1, self._at)[0].item()
        self._at += form.itemsize
        return value

    def _array(self, form: str, n: int) -> Any:
        start, kind = self._at, np.dtype(self.order + form)
        self._skip(n * kind.itemsize)
        if n > _SHORT:
            return form, n, start
        if form == "u2":  # text, as a rule
            return self._data[start : self._at].decode("utf-16-le" if self.order == "<" else "utf-16-be", "replace")
        return form, n, start

    def _skip(self, n: int) -> None:
        if n < 0 or self._at + n > len(self._data):
            raise ValueError(f"a tag ends at byte {self._at + n}, the file at byte {len(self._data)}")
        self._at += n

    @staticmethod
    def _size_of_struct(head: list[int]) -> int:
        # length of the name, number of fields, then length of the name and type of each
        return sum(np.dtype(_NUMBERS[kind]).itemsize for kind in head[3::2])


def _image(tags: Tags) -> Tags:
    """The first image that is no thumbnail."""
    images = tags["ImageList"]
    thumbnails = {group.get("ImageIndex") for group in tags.get("Thumbnails", {}).values()}
    for i, image in enumerate(images.values()):
        if i not in thumbnails:
            return dict(image)
    raise ImageError("it holds no image but its thumbnail; export the image again.")


def _raster(data: bytes, order: str, image: Tags) -> Raster:
    content = image["ImageData"]
    shape = list(content["Dimensions"].values())
    if len(shape) < 2:
        raise ImageError("it holds a line of values, not an image; export the image.")
    kind = content["DataType"]
    if kind not in _IMAGES:
        raise ImageError(f"its pixels are of DigitalMicrograph's data type {kind}, not read here; export it as TIFF.")
    width, height = shape[:2]
    n_frames = int(np.prod(shape[2:]))
    n_channels = 4 if kind == _RGB else 1
    form = np.dtype(order + _IMAGES[kind])
    stored, n, start = content["Data"]
    needed, there = width * height * n_frames * n_channels * form.itemsize, n * np.dtype(stored).itemsize
    if min(width, height, n_frames) < 1 or needed > there:
        raise ImageError(f"{CUT_SHORT}: its image takes {needed} bytes, {there} are there; {AGAIN}.")
    samples = np.frombuffer(data, form, width * height * n_channels, start)
    # Colour is blue, green, red and a byte that is not used.
    samples = samples.reshape(height, width, 4)[..., 2::-1] if kind == _RGB else samples.reshape(height, width)
    sizes, notes = tried("The Gatan metadata", lambda: _scale(content))
    return Raster(samples, pixel_sizes=sizes, warnings=(*first_of(n_frames), *notes))


def _scale(content: Tags) -> list[PixelSize] | None:
    """Calibrations.Dimension: per axis the units and units per px; none where the image has no unit."""
    x, y = list(content["Calibrations"]["Dimension"].values())[:2]
    unit_x, unit_y = (axis["Units"] if isinstance(axis["Units"], str) else "" for axis in (x, y))
    if not unit_x.strip():
        return None
    across, down = in_nm(x["Scale"], 1, unit_x, "").x, in_nm(y["Scale"], 1, unit_y, "").x
    return [PixelSize(across, down, "Gatan DigitalMicrograph calibration")]
