"""What the hours of training buy: ``python benchmarks/stages.py STATE --rows FILE.csv`` adds a row for a state.

A state is ``state.pt`` or one of the ``stage-….pt`` beside it; without one the bundled model is evaluated. The rows, of
one file, are kept in the model's card: ``python -m samcolloid_edge.export.bundle STATE OUT --stages stages.csv``.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from calibration import calibration, expected_calibration_error, false_lobes
from rendered import evaluate, pooled, read_cases
from samcolloid_edge import Segmenter
from samcolloid_edge.engine.session import open_model
from samcolloid_edge.export.bundle import bundle

HARDER = ("small", "merged", "noisy")


def figures(model: Path | None, scenes: int) -> dict[str, float]:
    """The figures of a row, of a model's folder; None is the bundled one."""
    segmenter = Segmenter(model, device="cpu")
    cases = [case for case in read_cases() if case.group in ("bar", *HARDER)]
    scored = [evaluate(case, segmenter, None)[0] for case in cases[::-(-len(cases) // scenes)]]
    bar = [s for s in scored if s.case.group == "bar"]
    given = calibration(open_model(model, "cpu"), scenes)
    row = {f"F1 at {t}": pooled(s.lobes[t] for s in bar).f1 for t in (0.5, 0.7, 0.9)}
    row["harder, F1 at 0.7"] = pooled(s.lobes[0.7] for s in scored if s.case.group in HARDER).f1
    row["false lobes a micrograph"] = float(np.mean(list(false_lobes(segmenter, 1 + scenes // 20).values())))
    row["calibration error"] = expected_calibration_error(given.predicted, given.reached)
    return row


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("state", type=Path, nargs="?")
    parser.add_argument("--rows", type=Path, required=True, help="CSV to add the row to")
    parser.add_argument("--what", default="", help="what is different about this training")
    parser.add_argument("--scenes", type=int, default=1000, help="at most so many of each kind of scene")
    options = parser.parse_args(arguments)
    row: dict[str, object] = {"what": options.what, "hours": 0.0, "steps": 0}
    with tempfile.TemporaryDirectory() as folder:
        model = None
        if options.state:
            state = torch.load(options.state, weights_only=True)
            row |= {"hours": round(state["seconds"] / 3600, 2), "steps": state["step"]}
            model = Path(folder)
            bundle(options.state, model)
        row |= {name: round(value, 4) for name, value in figures(model, min(options.scenes, 60)).items()}
    new = not options.rows.exists()
    with options.rows.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(row)


if __name__ == "__main__":
    main()
