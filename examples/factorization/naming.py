"""Names of factors, and whether they hold for examples that the fit has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.factorization.class_profiles import class_profiles
from fastdissect.methods.factorization.concept_profiles import concept_lift, concept_profiles
from fastdissect.methods.factorization.contributions import contributions
from fastdissect.methods.factorization.impurity import accuracy_by_impurity, neighbour_impurity, neighbours_of
from fastdissect.methods.factorization.result import Factorization

__all__ = ["HALF", "by_third", "clusters_names", "factor_names", "shown", "strongest", "told_by_name"]

HALF = 0.5  # a factor has a name if one class has at least so much of its weight
PART = 0.05  # a concept of fewer pixels is too small to be what a factor is of


def factor_names(
    f: Factorization, classes: NDArray[np.int64], names: Sequence[str]
) -> list[tuple[int, str, float]]:
    """(factor, its class of most weight, that class's share of the factor's weight), purest first."""
    table = class_profiles(f, classes, names).summary().sort_values("purity", ascending=False, kind="stable")
    return list(zip(table["factor"].tolist(), table["class"].tolist(), table["purity"].tolist(), strict=True))


def shown(
    f: Factorization, shares: NDArray[np.float32], names: Sequence[str]
) -> dict[int, tuple[str, float]]:
    """{factor: concept, lift}: what its examples show most beyond the usual, among the concepts of PART of its pixels."""
    table = concept_lift(concept_profiles(f, shares, names))
    table = table[table["weight"] >= PART].drop_duplicates("factor")
    return {int(row.factor): (str(row.concept), float(row.lift)) for row in table.itertuples()}


def strongest(f: Factorization, mixtures: NDArray[np.float32]) -> NDArray[np.int64]:
    """The factor that contributes most to each example, int64 [examples]: of `f`'s own or of projected ones."""
    lengths = np.sqrt(sum(one.weight * np.square(one.values.astype(np.float64)).sum(0) for one in f.loadings))
    found: NDArray[np.int64] = (mixtures * lengths).argmax(1)
    return found


def told_by_name(
    f: Factorization,
    mixtures: NDArray[np.float32],
    classes: NDArray[np.int64],
    fitted: NDArray[np.int64],
    names: Sequence[str],
) -> float:
    """The share of examples whose strongest factor has their class as its name.

    Names come from the fitted examples: the commonest class, `fitted`, among those whose strongest factor it is.
    """
    own = clusters_names(f, np.ones(len(fitted), np.bool_), fitted, len(names))
    return float((own[strongest(f, mixtures)] == classes).mean())


def clusters_names(
    f: Factorization, counted: NDArray[np.bool_], classes: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Of each factor the commonest class among the examples, of those `counted`, whose strongest factor it is."""
    own = contributions(f).argmax(1)
    counts = np.zeros((f.rank, count))
    np.add.at(counts, (own[counted], classes[counted]), 1)
    found: NDArray[np.int64] = counts.argmax(1)
    return found


def by_third(f: Factorization, correct: NDArray[np.bool_], classes: int) -> list[float]:
    """The network's accuracy over the least mixed third of the examples, the middle one, and the most mixed one."""
    impurity = neighbour_impurity(f, neighbours_of(len(correct), classes))
    right = accuracy_by_impurity(impurity, correct)["correct"].to_numpy()
    return [float(part.mean()) for part in np.array_split(right, 3)]
