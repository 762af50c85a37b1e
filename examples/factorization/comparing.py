"""What each setting does: the same measures for the coupled factorisation, K-means and plain NMF, medians over seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastdissect.methods.factorization.baselines import factorization_baselines
from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.settings import FactorizationSettings

__all__ = [
    "EVEN",
    "MEASURES",
    "METHODS",
    "STRONG",
    "Case",
    "Gathered",
    "compare",
    "spoken",
    "unusual",
    "usual",
]

METHODS = ("coupled factorisation", "NMF of all matrices", "K-means")
MEASURES = ("purity", "entropy", "cluster_purity", "nmi")
EVEN = {"mixtures": 0.1, "pixels": 0.1, "neurons": 0.1}
STRONG = {"mixtures": 0.3, "pixels": 0.3, "neurons": 0.3}
_WORDS = ("purity", "entropy", "cluster purity", "NMI")


class Gathered(NamedTuple):
    matrices: list[FeatureMatrix]
    classes: NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        what: the table's words.
        source: names the matrices, for the caller's `gathered(source, seed)`.
        unusual: neurons count where they are unusually active (`unusual`).
        by_class: the examples are sorted by their class first. That uses labels.
        settings: of `FactorizationSettings`, beside the seed; the rank too, where it is another.
    """

    what: str
    source: str
    unusual: bool = False
    by_class: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def usual(matrices: Sequence[FeatureMatrix]) -> dict[str, NDArray[np.float32]]:
    """What each neuron has to exceed to be unusually active: its mean and one standard deviation, over the examples."""
    return {one.name: one.values.mean(0) + one.values.std(0) for one in matrices if one.kind == "neurons"}


def unusual(
    matrices: Sequence[FeatureMatrix], levels: Mapping[str, NDArray[np.float32]]
) -> list[FeatureMatrix]:
    """Of each neuron only what exceeds its level, max(x - level, 0); the pixels as they are."""
    return [
        dataclasses.replace(one, values=np.maximum(one.values - levels[one.name], 0))
        if one.name in levels
        else one
        for one in matrices
    ]


def compare(
    cases: Sequence[Case],
    gathered: Callable[[str, int], Gathered],
    names: Sequence[str],
    *,
    rank: int,
    seeds: int,
) -> pd.DataFrame:
    """Return a row a case and method: case, method, the MEASURES (medians over the seeds), factors, iterations, range.

    `range` is the largest difference between two seeds in one of purity, cluster_purity and nmi.
    """
    rows = []
    for case in cases:
        found = [_once(case, gathered, names, rank, seed) for seed in range(seeds)]
        joined = pd.concat(found, keys=range(seeds))
        for method, own in joined.groupby("method", sort=False):
            medians = {name: float(own[name].median()) for name in (*MEASURES, "factors", "iterations")}
            shares = own[["purity", "cluster_purity", "nmi"]]
            widest = float((shares.max() - shares.min()).max())
            rows.append({"case": case.what, "method": method, **medians, "range": widest})
        last = rows[-3]
        print(
            f"  {case.what}: purity {last['purity']:.2f}, cluster purity {last['cluster_purity']:.2f}",
            flush=True,
        )
    return pd.DataFrame(rows)


def _once(
    case: Case, gathered: Callable[[str, int], Gathered], names: Sequence[str], rank: int, seed: int
) -> pd.DataFrame:
    matrices, classes = gathered(case.source, seed)
    if case.unusual:
        matrices = unusual(matrices, usual(matrices))
    if case.by_class:
        order = np.argsort(classes, kind="stable")
        classes = classes[order]
        matrices = [dataclasses.replace(one, values=one.values[order]) for one in matrices]
    settings = FactorizationSettings(**{"rank": rank, "iterations": 400, "seed": seed, **case.settings})
    found = factorize_matrices(matrices, settings)
    table = factorization_baselines(found, matrices, classes, names, seed=seed)
    kept = found.restarts.loc[found.restarts["kept"], "iterations"]
    return table.assign(iterations=int(kept.iloc[0]))


def spoken(table: pd.DataFrame) -> str:
    """The table as Markdown: in each cell the coupled factorisation, NMF and K-means, in this order."""
    lines = [f"| setting | {' | '.join(_WORDS)} |", f"|---|{'---|' * len(_WORDS)}"]
    for case, own in table.groupby("case", sort=False):
        by = own.set_index("method")
        cells = [" / ".join(f"{by.loc[method, name]:.2f}" for method in METHODS) for name in MEASURES]
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)
