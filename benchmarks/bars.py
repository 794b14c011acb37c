"""What a benchmark prints: figures, each beside the bar it is held against."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure and the range it has to lie in; without a range it is only reported."""

    what: str
    value: float
    least: float | None = None
    most: float | None = None
    detail: str = ""
    """The counts behind the figure."""

    @property
    def verdict(self) -> str:
        """``pass``, ``FAIL`` or, where there is no bar, ``reported``; a figure that is NaN fails."""
        if self.least is None and self.most is None:
            return "reported"
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        return "pass" if low <= self.value <= high else "FAIL"

    @property
    def range(self) -> str:
        """The bar in words."""
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        if self.least is not None:
            return f">= {self.least:g}"
        return "" if self.most is None else f"<= {self.most:g}"


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A plain table, first column to the left, the others to the right."""
    cells = [[f"{c:.4f}" if isinstance(c, float) else str(c) for c in row] for row in [columns, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    print(f"\n{title}")
    for row in cells:
        print(
            "  "
            + "  ".join(
                c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
        )


def print_bars(title: str, bars: Sequence[Bar]) -> None:
    """One line a bar: what, figure, bar, verdict, counts."""
    print_table(
        title,
        ("what", "figure", "bar", "verdict", "counts"),
        [(b.what, b.value, b.range, b.verdict, b.detail) for b in bars],
    )


def software(result: Any) -> dict[str, Any]:
    """What a figure depends on besides the images: model, settings, versions, from one ``Result``."""
    return {
        "model": result.model.name if result.model else "none",
        "found_by": result.found_by,
        "settings": result.settings.to_dict(),
        "providers": list(result.providers),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def print_software(what: Mapping[str, Any]) -> None:
    """The same as one paragraph."""
    for name, value in what.items():
        print(f"{name}: {value}")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Readable JSON; NaN becomes null."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        if isinstance(value, np.generic):
            return plain(value.item())
        return None if isinstance(value, float) and not math.isfinite(value) else value

    path.write_text(json.dumps(plain(values), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def bars_as_rows(bars: Sequence[Bar]) -> list[dict[str, Any]]:
    """The bars for JSON."""
    return [
        {"what": b.what, "figure": b.value, "bar": b.range, "verdict": b.verdict, "counts": b.detail}
        for b in bars
    ]
