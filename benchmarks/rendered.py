"""Rendered micrographs with exact truth, the scenes of ``rendered.toml``: ``python benchmarks/rendered.py``.

A lobe is found where a lobe of ours reaches the mask IoU; both lists count (F1). Lobes of which less than
half is visible are ignored: not missed where unmatched, and what matches them is not false. A set is right
where all its members are matched at mask IoU ≥ 0.5 to lobes of one particle and no half-visible lobe of that
particle is missing.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from bars import Bar, bars_as_rows, print_bars, print_software, print_table, software, write_json
from numpy.typing import NDArray
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine.matching import Score, mask_overlaps, match, same_sets, score, sets_of_size
from samcolloid_edge.engine.synthetic import Rendered, Scene, render
from samcolloid_edge.engine.types import Result

SCENES: Final = Path(__file__).resolve().parent / "rendered.toml"
THRESHOLDS: Final = (0.5, 0.7, 0.9)
VISIBLE: Final = 0.5
SET_IOU: Final = 0.5
F1_BAR: Final = 0.93
SET_PRECISION_BAR: Final = 0.9
LOOK_ALIKES: Final = {"dumbbells": 2, "trimers": 3}
"""Group → lobes in one particle."""
RADIUS_CLASSES: Final = ((0, 8), (8, 15), (15, 30), (30, 60))
"""Of a scene's mean radius, px, half-open."""


@dataclass(frozen=True, slots=True)
class Case:
    """One scene of the file with the names it stands under."""

    group: str
    packing: str
    scene: Scene

    @property
    def radius_class(self) -> str:
        """The class of the scene's mean radius, in words."""
        low, high = next((c for c in RADIUS_CLASSES if c[0] <= self.scene.radius_px < c[1]), (60, math.inf))
        return f"{low}-{high} px"


@dataclass(frozen=True, slots=True)
class Scored:
    """What was found in one scene."""

    case: Case
    lobes: dict[float, Score]
    """By mask IoU threshold."""
    sets: Score
    """Sets of two lobes and more."""
    kind: Score
    """Sets of as many lobes as the look-alike's particles have; empty in other groups."""


def read_cases(path: Path = SCENES) -> list[Case]:
    """The scenes in the order of the file; what is no field of ``Scene`` names the groups."""
    names = {field.name for field in dataclasses.fields(Scene)}
    cases = []
    for entry in tomllib.loads(path.read_text("utf-8"))["scene"]:
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items() if k in names}
        cases.append(Case(entry["group"], entry["packing_name"], Scene(**values)))
    return cases


def score_lobes(truth: Rendered, labels: NDArray[Any]) -> dict[float, Score]:
    """Counts by mask IoU threshold of our (H, W) labels."""
    overlaps, hidden = mask_overlaps(truth.lobes, labels), truth.visible_fraction < VISIBLE
    return {t: score(match(overlaps, t), overlaps.lengths, hidden) for t in THRESHOLDS}


def score_sets(truth: Rendered, labels: NDArray[Any], sets: NDArray[Any], size: int | None) -> Score:
    """Counts of right sets among our (M,) set numbers, 0 for none.

    ``size``: only sets of exactly that many lobes; None: of two and more. A particle with a hidden lobe is
    ignored, as hidden lobes are: not missed, and a right set of it is not counted.
    """
    overlaps, hidden = mask_overlaps(truth.lobes, labels), truth.visible_fraction < VISIBLE
    particles = truth.particle_of_lobe
    same = same_sets(match(overlaps, SET_IOU), particles, sets, hidden)
    ours, theirs = numbers_of_sets(sets, size), numbers_of_sets(particles, size)
    same = same[np.isin(same[:, 1], ours)]
    whole = np.setdiff1d(theirs, particles[hidden])
    counted = np.isin(same[:, 0], whole)
    return Score(int(counted.sum()), len(whole), len(ours) - int((~counted).sum()))


def numbers_of_sets(sets: NDArray[Any], size: int | None) -> NDArray[np.int64]:
    """Numbers of the sets with exactly ``size`` lobes, or with two and more; (M,) set numbers, 0 for none."""
    if size is not None:
        return sets_of_size(sets, size)
    return np.setdiff1d(sets[sets > 0], sets_of_size(sets, 1)).astype(np.int64)


def evaluate(case: Case, segmenter: Segmenter, settings: Settings | None) -> tuple[Scored, Result]:
    """Render one scene, analyse it as a user would, and score the result."""
    truth = render(case.scene)
    result = segmenter.analyze(truth.image, case.scene.pixel_size, settings=settings)
    labels, sets = result.masks.labels(), result.lobes["set"]
    size = LOOK_ALIKES.get(case.group)
    kind = Score() if size is None else score_sets(truth, labels, sets, size)
    return Scored(case, score_lobes(truth, labels), score_sets(truth, labels, sets, None), kind), result


def pooled(scores: Iterable[Score]) -> Score:
    """Counts of several scenes added up."""
    return sum(scores, Score())


def score_row(name: str, scored: Sequence[Scored]) -> list[object]:
    """One line of a table: scenes pooled."""
    lobes = {t: pooled(s.lobes[t] for s in scored) for t in THRESHOLDS}
    sets, main = pooled(s.sets for s in scored), lobes[0.7]
    return [
        name,
        main.truth,
        main.predicted,
        *(lobes[t].f1 for t in THRESHOLDS),
        main.recall,
        main.precision,
        sets.recall,
        sets.precision,
    ]


COLUMNS: Final = (
    "scenes",
    "truth",
    "ours",
    *(f"F1 {t}" for t in THRESHOLDS),
    "recall .7",
    "precision .7",
    "sets recall",
    "sets precision",
)


def print_scores(title: str, scored: Sequence[Scored], name: Callable[[Scored], str]) -> list[list[object]]:
    """Print one line for each name that ``name`` gives the scenes; returns the lines."""
    groups: dict[str, list[Scored]] = {}
    for s in scored:
        groups.setdefault(name(s), []).append(s)
    rows = [score_row(group, members) for group, members in groups.items()]
    print_table(title, COLUMNS, rows)
    return rows


def scene_name(scored: Scored) -> str:
    """Seed and what the scene shows."""
    case, scene = scored.case, scored.case.scene
    look = f"r{scene.radius_px:g} c{scene.contrast_to_noise:g}"
    return f"{case.group} {scene.seed} {scene.particle} {case.packing} {look}"


def bars_of(scored: Sequence[Scored]) -> list[Bar]:
    """The figures of the issue's table, and those that are only reported."""
    bar_scenes = [s for s in scored if s.case.group == "bar"]
    bars = []
    for threshold in THRESHOLDS:
        total = pooled(s.lobes[threshold] for s in bar_scenes)
        bars.append(
            Bar(
                f"rendered scenes: F1 of lobes at mask IoU >= {threshold}",
                total.f1,
                F1_BAR if threshold == 0.7 else None,
                detail=f"{total.found} of {total.truth}, ours {total.predicted}",
            )
        )
    for group, size in LOOK_ALIKES.items():
        total = pooled(s.kind for s in scored if s.case.group == group)
        bars.append(
            Bar(
                f"look-alikes of the {group}: precision of sets of {size}",
                total.precision,
                SET_PRECISION_BAR,
                detail=f"{total.found}/{total.predicted}",
            )
        )
        bars.append(
            Bar(
                f"look-alikes of the {group}: recall of sets of {size}",
                total.recall,
                detail=f"{total.found}/{total.truth}",
            )
        )
    return bars


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled one)")
    parser.add_argument("--settings", type=Path, help="settings as TOML (default: the defaults)")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--harder", action="store_true", help="also the harder scenes, which have no bar")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args(arguments)

    settings = Settings.from_toml(options.settings) if options.settings else None
    segmenter = Segmenter(options.model, device="cpu", threads=options.threads)
    wanted = {"bar", *LOOK_ALIKES}
    scored: list[Scored] = []
    what: dict[str, Any] = {}
    for case in read_cases():
        if options.harder or case.group in wanted:
            one, result = evaluate(case, segmenter, settings)
            scored.append(one)
            what = what or software(result)

    print_software(what)
    bar_scenes = [s for s in scored if s.case.group == "bar"]
    tables = {
        "by scene": print_scores("by scene", scored, scene_name),
        "by group": print_scores("by group of scenes", scored, lambda s: s.case.group),
        "by particle": print_scores("bar scenes by particle", bar_scenes, lambda s: s.case.scene.particle),
        "by packing": print_scores("bar scenes by packing", bar_scenes, lambda s: s.case.packing),
        "by radius": print_scores("bar scenes by mean radius", bar_scenes, lambda s: s.case.radius_class),
        "by style": print_scores("bar scenes by style", bar_scenes, lambda s: s.case.scene.style),
    }
    bars = bars_of(scored)
    print_bars("bars", bars)
    if options.json:
        rows = {
            title: [dict(zip(COLUMNS, row, strict=True)) for row in table] for title, table in tables.items()
        }
        write_json(options.json, {"software": what, "bars": bars_as_rows(bars), "tables": rows})


if __name__ == "__main__":
    main()
