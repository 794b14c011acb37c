"""The lobes as regions of interest for ImageJ: a zip that its ROI Manager opens (More ≫ Open…)."""

from __future__ import annotations

import io
import zipfile
from typing import Final

from .overlay import colours
from .types import Result

STAMP: Final = (1980, 1, 1, 0, 0, 0)
"""Date of the zip's members: the same result gives the same bytes."""


def roi_zip(result: Result) -> bytes:
    """One polygon a lobe, its outline in ImageJ's coordinates (px, the first pixel's corner is 0, 0), sub-pixel.

    Names say set, role and label, ``set 012 b lobe 0034`` (``no set lobe 0034``), and so sort by set; the properties
    ``label``, ``role`` and ``set`` say the same, and ``excluded_by`` which filter leaves the lobe out. The stroke has
    the colour of the overlay.
    """
    from roifile import ROI_TYPE, ImagejRoi

    lobes = result.lobes
    digits = [len(str(int(lobes[name].max(initial=0)))) for name in ("set", "label")]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        columns = (lobes[name].tolist() for name in ("label", "set", "lobe", "excluded_by"))
        for i, (label, number, role, left_out, colour) in enumerate(zip(*columns, colours(result), strict=True)):
            of = f"set {number:0{digits[0]}d} {role}" if number else "no set"
            roi = ImagejRoi.frompoints(result.outlines.polygon(i), name=f"{of} lobe {label:0{digits[1]}d}")
            roi.roitype = ROI_TYPE.POLYGON
            roi.stroke_color = bytes((255, *colour.tolist()))
            roi.props = f"label: {label}\nrole: {role}\nset: {number}\nexcluded_by: {left_out}\n"
            archive.writestr(zipfile.ZipInfo(f"{roi.name}.roi", STAMP), roi.tobytes(), zipfile.ZIP_DEFLATED)
    return file.getvalue()
