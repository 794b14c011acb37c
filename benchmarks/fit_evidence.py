"""Fits what weighs the evidence of pairs, and the confidence of sets: ``python benchmarks/fit_evidence.py FILE``.

On scenes as ``sets.py`` draws them, of other seeds; ``FILE`` is to be ``engine/evidence.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from samcolloid_edge import Segmenter, Settings
from samcolloid_edge.engine import evidence
from sets import Case, analysed, parted

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

FIT_FROM: Final = 300_000
"""First seed; ``sets.py`` tests on others, and the model is trained on seeds from 1,000,000 on."""
RIDGE: Final = 1.0
"""Penalty of the confidence's squared coefficients, of standardised terms, in sets."""
HIDDEN: Final = (16, 16)
EPOCHS: Final = 200
IN_CONTEXT: Final[dict[str, Any]] = {"hidden": (32, 32), "decay": 0.3}
"""What is the same for all pairs of a scene would be known by heart."""
TOLD: Final = ("votes", "overlap of equal areas", "crease")
"""Evidence of which a pair also sees the mean of the others of its micrograph."""
OUTER: Final = (0.005, 0.995)
"""Quantiles beyond which evidence is clipped: what the fit has not seen does not count for more."""


def logistic(terms: dict[str, F64], yes: NDArray[np.bool_], ridge: float) -> tuple[float, dict[str, float]]:
    """Intercept and weights of a logistic model by Newton's method; ``terms`` name → (K,)."""
    columns = np.stack(list(terms.values()), 1)
    mean, sd = columns.mean(0), columns.std(0) + 1e-9
    design = np.column_stack([np.ones(len(yes)), (columns - mean) / sd])
    penalty = np.append(0, np.full(len(terms), ridge))
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        probability = 1 / (1 + np.exp(-design @ weights))
        slope = design.T @ (yes - probability) - penalty * weights
        curve = (design * (probability * (1 - probability))[:, None]).T @ design + np.diag(penalty + 1e-9)
        weights += np.linalg.solve(curve, slope)
    plain = weights[1:] / sd
    return float(weights[0] - plain @ mean), dict(zip(terms, plain.tolist(), strict=True))


def fit_pairs(cases: Sequence[Case], without: Sequence[str]) -> dict[str, Any]:
    """Both networks of pairs; the second gives log-odds less those of any pair, as what particles are is told later."""
    real, same = [], []
    for case in cases:
        one, other = case.lobe[case.contacts.pairs.T]
        real.append((one >= 0) & (other >= 0))
        same.append((case.particles[one] == case.particles[other])[real[-1]])
    yes = np.concatenate(same)

    def gathered(of_cases: Sequence[Mapping[str, F64]]) -> dict[str, F64]:
        names = [name for name in of_cases[0] if name not in without]
        return {name: np.concatenate([terms[name][which] for terms, which in zip(of_cases, real, strict=True)])
                for name in names}  # fmt: skip

    terms = gathered([case.contacts.evidence for case in cases])
    model: dict[str, Any] = {"by itself": weighed(terms, yes), "usual": {}}
    for name in (name for name in TOLD if name in terms):
        values = np.clip(terms[name], *model["by itself"]["range"][name])
        model["usual"][name] = [round(float(values[yes == one].mean()), 5) for one in (False, True)]
    seen = [evidence.in_context(model, case.contacts.evidence) for case in cases]
    model["in context"] = weighed(gathered(seen), yes, **IN_CONTEXT)
    model["in context"]["layers"][-1][1] -= float(np.log(yes.mean() / (1 - yes.mean())))
    return model


def weighed(terms: dict[str, F64], yes: NDArray[np.bool_], **how: Any) -> dict[str, Any]:
    """What ``evidence.network`` takes, fitted to K pairs: their evidence, name → (K,), and what they are."""
    bounds = {name: tuple(np.quantile(of, OUTER).tolist()) for name, of in terms.items()}
    clipped = np.stack([np.clip(of, *bounds[name]) for name, of in terms.items()], 1)
    return {"pairs": len(yes), "range": bounds, "layers": network(clipped, yes, **how)}


def network(values: F64, yes: NDArray[np.bool_], *, hidden: Sequence[int] = HIDDEN, epochs: int = EPOCHS,
            decay: float = 0.01) -> list[list[Any]]:  # fmt: skip
    """Weights and biases of a network (K, terms) → ``hidden`` layers → log-odds; the least cross-entropy."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    mean, sd = values.mean(0), values.std(0) + 1e-9
    inside, wanted = torch.tensor((values - mean) / sd).float(), torch.tensor(yes).float()
    sizes = (values.shape[1], *hidden, 1)
    linear = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    net = nn.Sequential(*(module for one in linear[:-1] for module in (one, nn.Tanh())), linear[-1])
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for some in torch.randperm(len(inside)).split(2048):
            loss = nn.functional.binary_cross_entropy_with_logits(net(inside[some])[:, 0], wanted[some])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        schedule.step()
    layers = [[one.weight.detach().double().numpy().T, one.bias.detach().double().numpy()] for one in linear]
    layers[0] = [layers[0][0] / sd[:, None], layers[0][1] - (mean / sd) @ layers[0][0]]
    rounded = [[np.round(weights, 5).tolist(), np.round(bias, 5).tolist()] for weights, bias in layers]
    return [*rounded[:-1], [[row[0] for row in rounded[-1][0]], rounded[-1][1][0]]]


def fit(cases: Sequence[Case], source: str) -> dict[str, Any]:
    """All that ``engine/evidence.json`` has."""
    models: dict[str, Any] = {"source": source}
    for name, without in (("with votes", ()), ("without votes", ("votes",))):
        models[name] = fit_pairs(cases, without)
    for name, voted in (("with votes", True), ("without votes", False)):
        rows: list[dict[str, F64]] = []
        right = []

        def keep(odds: F64, size: I64, iou: F64, cut: NDArray[np.bool_], _: bool,
                 rows: list[dict[str, F64]] = rows) -> F64:  # fmt: skip
            rows.append(evidence.confidence_terms(odds, size, iou, cut))
            return np.full(len(odds), np.nan)

        with mock.patch.multiple(evidence, coefficients=lambda: models, confidence=keep):
            for case in cases:
                if case.contacts.voted:
                    right.append(case.right(parted(case, voted)[1].sets))
        terms = {term: np.concatenate([row[term] for row in rows]) for term in rows[0]}
        yes = np.concatenate(right)
        intercept, weights = logistic(terms, yes, RIDGE)
        models[name]["confidence"] = {"sets": len(yes), "intercept": intercept, "weights": weights}
    return models


def asked(
    description: str, first: int, count: int, arguments: Sequence[str] | None, note: str = ""
) -> tuple[Path, Segmenter, range, str]:
    """What a command line asks for: the file to write, the model, seeds from ``first`` on, and in words what is fitted.

    ``description`` is a script's first lines, ``count`` how many scenes are its default.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("file", type=Path, help="where the coefficients go, JSON")
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled one)")
    parser.add_argument("--count", type=int, default=count, help="scenes")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    segmenter = Segmenter(options.model, device="cpu", threads=options.threads)
    seeds = range(first, first + options.count)
    source = (f"python benchmarks/{Path(parser.prog).name} --count {options.count}: rendered scenes of seeds "
              f"{seeds[0]}-{seeds[-1]}{note}, model {segmenter.card.name}")  # fmt: skip
    return options.file, segmenter, seeds, source


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's first lines."""
    file, segmenter, seeds, source = asked(__doc__, FIT_FROM, 480, arguments, ", particles filled in even ones")
    # Every other one as of a model whose particles have no masks of their own: evidence must hold there, too.
    cases = [analysed(seed, segmenter, Settings(fill_particles=seed % 2 == 0))[0] for seed in seeds]
    file.write_text(json.dumps(fit(cases, source)) + "\n", "utf-8")


if __name__ == "__main__":
    main()
