"""The int8 edition of the bundled model: its encoder's convolutions in int8, proven against the model it is made of.

``python -m samcolloid_edge.export.bundle_int8 OUT``
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..engine.files import write_files
from ..engine.session import open_model
from ..engine.synthetic import render
from ..engine.synthetic_kinds import everything
from ..models.card import CARD, ModelCard
from ..models.errors import ModelError
from ..models.store import locate
from . import checkpoint, parity, quantise
from .lower import DECODER, ENCODER

FIRST_SEED: Final = 30_000
"""Of the renderings that ranges of values are taken from: neither trained on nor judged by."""
IMAGES: Final = 24
POINTS_PER_SIDE: Final = 24
"""Of the grid of the proof."""


def bundle_int8(source: Path, folder: Path, points_per_side: int = POINTS_PER_SIDE) -> ModelCard:
    """Write the int8 edition of the model in ``source`` to ``folder``; the decoder, a small part of the time, stays.

    Raises ModelError where its masks are not those of ``source`` within the export's own tolerance for int8.
    The card has no calibration of outlines: they lie a little differently.
    """
    card = ModelCard.read(source / CARD)
    theirs = parity.Reference(open_model(source, "cpu"), points_per_side)
    folder.mkdir(parents=True, exist_ok=True)
    quantise.quantise_convolutions(source / ENCODER, folder / ENCODER, _images())
    shutil.copyfile(source / DECODER, folder / DECODER)
    made = replace(
        card,
        name=f"{card.name}-int8",
        precision="int8",
        source=f"the convolutions of {card.name} {card.digest} in int8",
        files={name: checkpoint.hash_file(folder / name) for name in (ENCODER, DECODER)},
        evaluation={},
        outline={},
    )
    write_files(folder, {CARD: made.to_json().encode()})
    report = theirs.compare(open_model(folder, "cpu"))
    if problems := report.problems(parity.TOLERANCES["int8"]):
        (folder / CARD).unlink()
        raise ModelError(f"The int8 edition is not the same as {card.name}: {'; '.join(problems)}.")
    made = replace(made, parity={f"against {card.name} {card.digest}": report.to_dict()})
    write_files(folder, {CARD: made.to_json().encode()})
    return made


def _images() -> list[NDArray[np.uint8]]:
    """Renderings of every kind, (H, W, 3)."""
    scenes = (everything(FIRST_SEED + i) for i in range(IMAGES))
    return [np.repeat(render(scene).image[..., None], 3, 2) for scene in scenes]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, help="folder of another model of the same network")
    given = parser.parse_args()
    print(bundle_int8(locate(given.model), given.folder).to_json())
