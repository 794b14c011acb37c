"""The report page of a run: one HTML file that needs nothing else, made from result folders."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from .columns import LOBE_COLUMNS, Column
from .files import write_files
from .overlay import PALETTE
from .page_data import EdgeOutlines, PageImage, base64_of, read_results
from .report import versions
from .set_table import SET_COLUMNS

NAME: Final = "report.html"
SCRIPTS: Final = (
    "data.js", "statistics.js", "outlines.js", "gestures.js", "picture.js", "charts.js", "details.js", "table.js",
    "app.js",
)  # fmt: skip
"""Of the page, in the order in which they run, as one module."""
FOLLOWS: Final = frozenset({"statistics", "summary"})
"""Of the record, what the page computes itself, since it follows what the user excludes."""


def write_page(
    folders: Sequence[Path], path: Path, *, images: Sequence[Path] = (), failed: Sequence[str] = (),
    is_wanted: Callable[[], bool] = lambda: True,
) -> tuple[Path | None, list[str]]:  # fmt: skip
    """Write the page of the results in ``folders`` to ``path``: the path written, and why a folder is not in it.

    ``images`` are folders in which micrographs are looked for as well, ``failed`` sentences about images without a
    result. Nothing is written where no folder holds a result, or once the page is wanted no longer. Raises OutputError.
    """
    found: list[PageImage] = []
    troubles: list[str] = []
    for result in read_results(folders, images):
        if not is_wanted():
            return None, troubles
        if isinstance(result, PageImage):
            found.append(result)
        else:
            troubles.append(str(result))
    if not found:
        return None, troubles
    (written,) = write_files(path.parent, {path.name: page(found, [*failed, *troubles])})
    return written, troubles


def page(images: Sequence[PageImage], missing: Sequence[str] = ()) -> bytes:
    """The page of these micrographs, UTF-8; ``missing`` are sentences about those that are not in it."""
    parts = {
        "title": escape(_title(images)),
        "style": _source("uplot/uPlot.min.css") + _source("page.css"),
        "licence": escape(_source("uplot/LICENSE")),
        "run": _json(_run(images, missing)),
        "pictures": "\n".join(
            f'<script type="application/json" id="picture-{i}">{_json(_picture(image))}</script>'
            for i, image in enumerate(images)
        ),
        "chart": _source("uplot/uPlot.iife.min.js"),
        "script": "\n".join(map(_source, SCRIPTS)),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _source("page.html")).encode("utf-8")


def _source(name: str) -> str:
    return resources.files(__package__).joinpath("page", *name.split("/")).read_text("utf-8")


def _title(images: Sequence[PageImage]) -> str:
    return images[0].name if len(images) == 1 else f"{len(images)} micrographs"


def _run(images: Sequence[PageImage], missing: Sequence[str]) -> dict[str, Any]:
    """What the page needs at once, of all micrographs."""
    return {
        "version": versions().get("samcolloid-edge", ""),
        "missing": list(missing),
        "palette": ["#" + bytes(colour).hex() for colour in PALETTE.tolist()],
        "definitions": {"lobes": _definitions(LOBE_COLUMNS), "sets": _definitions(SET_COLUMNS)},
        "images": [
            {"name": image.name, "folder": image.folder, "lobes": image.lobes, "sets": image.sets, "note": image.note,
             "record": {name: value for name, value in image.record.items() if name not in FOLLOWS}}
            for image in images
        ],
    }  # fmt: skip


def _picture(image: PageImage) -> dict[str, Any]:
    """What the page needs to draw one micrograph."""
    data = base64.b64encode(image.picture).decode("ascii")
    return {
        "picture": f"data:image/jpeg;base64,{data}" if data else None,
        "scale": image.scale,
        "boxes": base64_of(image.lobe_boxes),
        "colours": base64_of(image.set_colours.astype(np.uint8)),
        "lobes": _outlines(image.lobe_outlines),
        "sets": _outlines(image.set_outlines),
    }


def _outlines(outlines: EdgeOutlines) -> dict[str, Any]:
    small = not len(outlines.runs) or abs(outlines.runs).max() <= np.iinfo(np.int8).max
    return {
        "owner": base64_of(outlines.owner),
        "start": base64_of(outlines.start),
        "count": base64_of(outlines.count),
        "runs": base64_of(outlines.runs.astype(np.int8 if small else np.int32)),
        "bits": 8 if small else 32,
    }


def _definitions(columns: Sequence[Column]) -> dict[str, str]:
    scaled = [column.scaled() for column in columns if column.suffix]
    return {column.name: f"{column.definition} ({column.source})" for column in (*columns, *scaled)}


def _json(value: Any) -> str:
    """JSON that may stand in a script element, whatever text is in it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
