"""Thumbnails of rendered scenes, so that a change of the renderer does not change what was trained and measured on.

``python tests/rendered_golden.py`` writes ``data/rendered.json`` anew. Thumbnails, not hashes: a grey level may differ
between processors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from samcolloid_edge.engine.synthetic import Scene, render

SCENES = {
    "random": Scene.random(17, (160, 200)),
    "small": Scene.random(901, (120, 160), (6, 20)),
    "tem": Scene(seed=113, particle="chain", style="tem", radius_px=12, shape=(160, 200), data_bar=True),
    "crystal": Scene(seed=120, crystalline=True, radius_px=15, shape=(160, 200), odd_share=0.5),
    "trimers": Scene(seed=300, particle="trimer", domain=0.5, shape=(160, 200), on_top_share=0.1),
    "empty": Scene(seed=5, max_particles=0, shape=(64, 96)),
}


def thumbnail(image: NDArray[np.uint8]) -> NDArray[Any]:
    """(8, 10) mean grey levels."""
    return np.asarray(cv2.resize(image.astype(np.float32), (10, 8), interpolation=cv2.INTER_AREA))


def main() -> None:
    """Write the file."""
    entries = []
    for name, scene in SCENES.items():
        truth = render(scene)
        grey = np.round(thumbnail(truth.image).astype(float), 1).tolist()
        entries.append({"scene": name, "lobes": len(truth.radii), "thumbnail": grey})
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (Path(__file__).parent / "data" / "rendered.json").write_text(f"[\n{lines}\n]\n", "utf-8")


if __name__ == "__main__":
    main()
