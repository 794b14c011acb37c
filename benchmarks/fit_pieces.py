"""Fits what tells pieces of one lobe from lobes: ``python benchmarks/fit_pieces.py FILE``.

On scenes of all kinds, of rods above all, of seeds that the model was not trained on; ``FILE`` is to be
``engine/pieces.json``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import sets
from fit_evidence import RIDGE, asked, logistic, weighed
from numpy.typing import NDArray
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine import evidence, pieces
from samcolloid_edge.engine.evidence import Contacts
from samcolloid_edge.engine.matching import mask_overlaps
from samcolloid_edge.engine.synthetic import Rendered, Scene, render
from samcolloid_edge.engine.synthetic_kinds import everything
from samcolloid_edge.engine.types import Result

F64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

FIT_FROM: Final = 350_000
"""First seed; the model is trained on seeds from 1,000,000 on."""
RODS: Final = 0.4
SMALL: Final[dict[str, Any]] = {"hidden": (16,), "epochs": 120, "decay": 0.1}
"""Pieces are fewer than pairs in sets, and a larger network knows those of the fit by heart."""
PARTS: Final = 4
"""The weight of what is common in a tile is fitted to networks that have not seen that part of the scenes."""
MOST: Final = 150
"""Pairs of a scene that count, drawn at random: else those of a few dense ones would be nearly all there are."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One analysed scene: M pairs of neighbours."""

    terms: dict[str, F64]
    """Name → (M,), see ``pieces.terms``."""
    could_be: Bool
    """(M,) see ``pieces.touching``."""
    counts: Bool
    """(M,) whether most of either lobe lies in one true lobe, and the pair is one of those that count."""
    one: Bool
    """(M,) whether that lobe is the same for both."""


def scene(seed: int) -> Scene:
    """What the seed stands for: everything, every third one what sets are fitted on."""
    return sets.scene(seed) if seed % 3 == 0 else everything(seed, (512, 512), rods=RODS)


def analysed(seed: int, segmenter: Segmenter) -> Tile | None:
    """One scene with its pieces apart; None where there are no neighbours."""
    truth = render(scene(seed))
    result, contacts = sets.heard(truth, segmenter, Settings(join_pieces=False))
    return tile_of(truth, result, contacts) if len(contacts.pairs) and contacts.voted else None


def tile_of(truth: Rendered, result: Result, contacts: Contacts) -> Tile:
    """Our lobes beside the truth."""
    labels = result.masks.labels()
    shared = mask_overlaps(truth.lobes, labels)
    n = int(labels.max())
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    most = shared.intersection > area[shared.second] / 2
    holder = np.full(n, -1)
    holder[shared.second[most]] = shared.first[most]
    i, j = contacts.pairs.T
    could_be = pieces.touching(contacts)
    known = np.flatnonzero((holder[i] >= 0) & (holder[j] >= 0) & could_be)
    counts = np.zeros(len(i), bool)
    counts[np.random.default_rng(truth.scene.seed).permutation(known)[:MOST]] = True
    return Tile(pieces.terms(contacts, result.masks.iou), could_be, counts, holder[i] == holder[j])


def fit(tiles: Sequence[Tile], source: str) -> dict[str, Any]:
    """All that ``engine/pieces.json`` has."""
    pair, common, one = [], [], []
    for part in range(PARTS):
        others = _network([tile for k, tile in enumerate(tiles) if k % PARTS != part])
        for tile in tiles[part::PARTS]:
            by_itself = evidence.network(others, tile.terms)
            pair.append(by_itself[tile.counts])
            common.append(np.full(len(pair[-1]), evidence.common(by_itself[tile.could_be])))
            one.append(tile.one[tile.counts])
    intercept, weights = logistic({"pair": np.concatenate(pair), "tile": np.concatenate(common)},
                                  np.concatenate(one), RIDGE)  # fmt: skip
    return {"source": source, **_network(tiles), "context": {"intercept": intercept, **weights}}


def _network(tiles: Sequence[Tile]) -> dict[str, Any]:
    terms = {name: np.concatenate([tile.terms[name][tile.counts] for tile in tiles]) for name in tiles[0].terms}
    return weighed(terms, np.concatenate([tile.one[tile.counts] for tile in tiles]), **SMALL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    file, segmenter, seeds, source = asked(__doc__, FIT_FROM, 240, arguments)
    tiles = [tile for seed in seeds if (tile := analysed(seed, segmenter)) is not None]
    file.write_text(json.dumps(fit(tiles, source)) + "\n", "utf-8")


if __name__ == "__main__":
    main()
