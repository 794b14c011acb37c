"""Sets of rendered micrographs, and whether their confidence means what it says: ``python benchmarks/sets.py``.

Scenes are drawn from their seeds: dumbbells, trimers, chains, mixtures and spheres of 8–40 px radius, fused by 0.5–1,
in packings up to 0.8, of contrast-to-noise 2–20. A set is right where ``rendered.py`` says so.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np
from bars import Bar, bars_as_rows, print_bars, print_software, print_table, software, write_json
from numpy.typing import NDArray
from rendered import SET_IOU, VISIBLE, numbers_of_sets
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine import evidence, group
from samcolloid_edge.engine.evidence import Contacts
from samcolloid_edge.engine.matching import Score, mask_overlaps, match, same_sets
from samcolloid_edge.engine.settings import Particle
from samcolloid_edge.engine.synthetic import Rendered, Scene, render
from samcolloid_edge.engine.types import F32, Result

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

TEST_FROM: Final = 400_000
"""First seed; coefficients are fitted on seeds from 300,000 on, the model is trained on seeds from 1,000,000 on."""
F1_BAR: Final = 0.95
CALIBRATION_BAR: Final = 0.03
BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Case:
    """One analysed scene: N lobes of ours."""

    particle: str
    contacts: Contacts
    iou: F32
    lobe: I64
    """(N,) the true lobe each is matched to, from 0; −1 for none."""
    particles: NDArray[np.int32]
    """(L,) particle of each true lobe, from 1."""
    hidden: NDArray[np.bool_]
    """(L,)."""

    def right(self, sets: NDArray[Any]) -> NDArray[np.bool_]:
        """(S,) whether each set of ours, (N,) from 0, has all members of one particle; hidden ones may lack."""
        pairs = np.stack([self.lobe[self.lobe >= 0], np.flatnonzero(self.lobe >= 0)], 1)
        found = np.zeros(int(sets.max(initial=-1)) + 1, bool)
        found[same_sets(pairs, self.particles, sets + 1, self.hidden)[:, 1] - 1] = True
        return found

    def score(self, sets: NDArray[Any]) -> Score:
        """Counts of right sets of two lobes and more, as in ``rendered.py``."""
        pairs = np.stack([self.lobe[self.lobe >= 0], np.flatnonzero(self.lobe >= 0)], 1)
        same = same_sets(pairs, self.particles, sets + 1, self.hidden)
        ours, theirs = numbers_of_sets(sets + 1, None), numbers_of_sets(self.particles, None)
        same = same[np.isin(same[:, 1], ours)]
        whole = np.setdiff1d(theirs, self.particles[self.hidden])
        counted = int(np.isin(same[:, 0], whole).sum())
        return Score(counted, len(whole), len(ours) - (len(same) - counted))

    def found_lobes(self) -> Score:
        """What sets could be right at best: those of which every visible lobe is matched."""
        matched = np.zeros(len(self.particles), bool)
        matched[self.lobe[self.lobe >= 0]] = True
        whole = np.setdiff1d(numbers_of_sets(self.particles, None), self.particles[self.hidden])
        lost = np.isin(whole, self.particles[~matched])
        return Score(int((~lost).sum()), len(whole), len(whole))


def scene(seed: int) -> Scene:
    """What the seed stands for."""
    rng = np.random.default_rng([seed, 9])
    radius = float(np.exp(rng.uniform(np.log(8), np.log(40))))
    low = float(rng.uniform(0.5, 0.8))
    particle = str(rng.choice(["dumbbell", "trimer", "mixture", "chain", "sphere"], p=[0.32, 0.38, 0.15, 0.08, 0.07]))
    return Scene(
        seed=seed,
        shape=(288, 368) if radius < 12 else (384, 480) if radius < 20 else (512, 640),
        particle=particle,
        radius_px=radius,
        spread=float(rng.choice([0.03, 0.06, 0.08])),
        lobe_ratio=(float(rng.uniform(0.65, 0.85)), 1.0),
        fusion=(low, min(1.0, low + float(rng.uniform(0.1, 0.25)))),
        bend=(0.0, float(rng.choice([30.0, 90.0]))),
        packing=float(rng.choice([0.1, 0.3, 0.5, 0.65, 0.8])),
        domain=float(rng.choice([1.0, 1.0, 0.6])),
        contrast_to_noise=float(np.exp(rng.uniform(np.log(2.0), np.log(20)))),
        style="tem" if rng.random() < 0.12 else "sem",
        on_top_share=float(rng.choice([0, 0, 0.05])),
        tilted_share=0.1,
        blur=float(rng.uniform(0.5, 1.4)),
    )


def analysed(seed: int, segmenter: Segmenter, settings: Settings | None = None) -> tuple[Case, Result]:
    """One scene as a user would analyse it, with the evidence that its grouping saw."""
    truth = render(scene(seed))
    result, contacts = heard(truth, segmenter, settings)
    return case_of(truth, result.masks.labels(), contacts, result.masks.iou), result


def heard(truth: Rendered, segmenter: Segmenter, settings: Settings | None) -> tuple[Result, Contacts]:
    """The analysis of a rendering, and the evidence that its grouping saw."""
    seen: list[Contacts] = []

    def listen(*arguments: Any) -> Contacts:
        seen.append(contacts(*arguments))
        return seen[-1]

    contacts = evidence.contacts
    with mock.patch.object(evidence, "contacts", listen):
        result = segmenter.analyze(truth.image, truth.scene.pixel_size, settings=settings)
    return result, seen[-1]


def case_of(truth: Rendered, labels: NDArray[Any], contacts: Contacts, iou: F32) -> Case:
    """Our (H, W) labels beside the truth."""
    pairs = match(mask_overlaps(truth.lobes, labels), SET_IOU)
    lobe = np.full(len(iou), -1)
    lobe[pairs[:, 1]] = pairs[:, 0]
    return Case(truth.scene.particle, contacts, iou, lobe, truth.particle_of_lobe, truth.visible_fraction < VISIBLE)


def parted(case: Case, voted: bool, particle: Particle = "auto") -> tuple[Case, group.Grouping]:
    """The case with or without votes, and its sets."""
    seen = replace(case, contacts=replace(case.contacts, voted=voted))
    return seen, group.group_by_evidence(seen.contacts, case.iou, particle)


def calibration(confidence: F64, right: NDArray[np.bool_]) -> tuple[float, list[list[object]]]:
    """Expected calibration error in ``BINS`` bins of equal width, and of each bin: count, mean confidence, share right.

    Naeini et al., AAAI 29, 2901 (2015).
    """
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows: list[list[object]] = []
    error = 0.0
    for k in range(BINS):
        inside = place == k
        if inside.any():
            told, true = float(confidence[inside].mean()), float(right[inside].mean())
            error += inside.mean() * abs(told - true)
            rows.append([f"{k / BINS:.1f}-{(k + 1) / BINS:.1f}", int(inside.sum()), told, true])
    return float(error), rows


def evaluate(cases: Sequence[Case]) -> Iterator[tuple[str, Bar, list[list[object]]]]:
    """Title, bar and table of every figure."""
    kinds: dict[str, tuple[Particle, ...]] = {"dumbbell": ("auto", "dumbbell"), "trimer": ("auto", "trimer"),
                                              "chain": ("auto", "chain"), "mixture": ("auto",)}  # fmt: skip
    for voted in (True, False):
        how = "with particle masks" if voted else "without particle masks"
        rows: list[list[object]] = []
        told, right = [], []
        main = Score()
        for kind, asked in kinds.items():
            some = [case for case in cases if case.particle == kind]
            for particle in asked:
                total, best = Score(), Score()
                for case in some:
                    total += case.score(parted(case, voted, particle)[1].sets)
                    best += case.found_lobes()
                rows.append([kind, particle, len(some), best.truth, total.f1, total.recall, total.precision,
                             best.recall])
                if particle == kind and kind in ("dumbbell", "trimer"):
                    main += total
        for case in cases:
            _, found = parted(case, voted)
            told.append(found.confidence)
            right.append(case.right(found.sets))
        error, bins = calibration(np.concatenate(told), np.concatenate(right))
        yield (f"sets {how}", Bar(f"F1 of sets, dumbbells and trimers named, {how}", main.f1, F1_BAR if voted else None,
                                  detail=f"{main.found} of {main.truth}, ours {main.predicted}"), rows)  # fmt: skip
        yield (f"confidence {how}", Bar(f"expected calibration error, {how}", error, most=CALIBRATION_BAR), bins)


SET_COLUMNS: Final = ("scenes of", "--particle", "scenes", "truth", "F1", "recall", "precision", "lobes all found")
BIN_COLUMNS: Final = ("confidence", "sets", "mean told", "share right")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled one)")
    parser.add_argument("--count", type=int, default=60, help="scenes")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args(arguments)
    segmenter = Segmenter(options.model, device="cpu", threads=options.threads)
    cases, what = [], {}
    for seed in range(TEST_FROM, TEST_FROM + options.count):
        case, result = analysed(seed, segmenter)
        cases.append(case)
        what = what or software(result)
    print_software(what)
    figures = list(evaluate(cases))
    for title, _, table in figures:
        print_table(title, SET_COLUMNS if title.startswith("sets") else BIN_COLUMNS, table)
    bars = [bar for _, bar, _ in figures]
    print_bars("bars", bars)
    if options.json:
        tables = {title: table for title, _, table in figures}
        write_json(options.json, {"software": what, "bars": bars_as_rows(bars), "tables": tables})


if __name__ == "__main__":
    main()
