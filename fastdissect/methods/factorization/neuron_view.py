"""The neurons of each factor, and whether the layers group them alike (METHODS 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.factorization.contributions import shares
from fastdissect.methods.factorization.factor_overlap import column_cosines
from fastdissect.methods.factorization.result import Factorization, Loadings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["grouping", "groupings", "layer_agreement", "sorted_neurons", "top_neurons"]

UNASSIGNED = -1


def top_neurons(f: Factorization, count: int = 10) -> pd.DataFrame:
    """Return the features of largest loading of each factor, in each matrix but those of pixels.

    Returns:
        factor, matrix, place (from 1), neuron (its row in the loadings), unit (channel), row, column (of its place on the
        map), loading, share (of the neuron's own loadings: 1 means that no other factor has it). Equal loadings come in
        the neurons' order; those of 0 are left out.
    """
    import pandas as pd

    parts = []
    for one in f.loadings:
        if one.kind == "pixels":
            continue
        own = shares(one.values.astype(np.float64))
        for factor, values in enumerate(one.values.T):
            order = np.argsort(-values, kind="stable")[:count]
            order = order[values[order] > 0]
            unit, row, column = np.unravel_index(order, one.shape)
            table = {"factor": factor, "matrix": one.name, "place": np.arange(1, len(order) + 1)}
            table |= {"neuron": order, "unit": unit, "row": row, "column": column}
            loading = values[order].astype(np.float64)
            parts.append(pd.DataFrame({**table, "loading": loading, "share": own[order, factor]}))
    columns = ["factor", "matrix", "place", "neuron", "unit", "row", "column", "loading", "share"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def grouping(loadings: Loadings) -> NDArray[np.int64]:
    """Return the factor in which each neuron has its largest loading, int64 [features]; -1: in none, as a dead neuron is.

    Each column is first divided by its length, so that a factor of large loadings does not take every neuron.
    """
    unit = _unit_columns(loadings)
    found: NDArray[np.int64] = np.where(unit.any(1), unit.argmax(1), UNASSIGNED)
    return found


def sorted_neurons(loadings: Loadings, most: int = 400) -> NDArray[np.float64]:
    """Return the loadings as a heat map shows them (METHODS 4.5), float64 [neurons, rank]: rows sum to 1.

    Columns are first divided by their lengths, as in `grouping`. Rows stand factor by factor, of each first those that are
    most its own; neurons without a loading are left out. Of more than `most` neurons so many are taken, evenly.
    """
    own = shares(_unit_columns(loadings))
    factor = grouping(loadings)
    order = np.lexsort((np.arange(len(own)), -own.max(1), factor))
    order = order[factor[order] >= 0]
    if len(order) > most:
        order = order[np.linspace(0, len(order) - 1, most).round().astype(np.int64)]
    return own[order]


def _unit_columns(loadings: Loadings) -> NDArray[np.float64]:
    length = np.sqrt(np.square(loadings.values, dtype=np.float64).sum(0))
    unit: NDArray[np.float64] = np.zeros(loadings.values.shape)
    np.divide(loadings.values, length, out=unit, where=length > 0)
    return unit


def groupings(f: Factorization) -> pd.DataFrame:
    """Return how many neurons of each matrix each factor has: matrix, kind, none, then a column a factor ("0", "1", ...)."""
    import pandas as pd

    rows = []
    for one in f.loadings:
        found = grouping(one)
        counts = np.bincount(found[found >= 0], minlength=one.values.shape[1])
        rows.append((one.name, one.kind, int((found < 0).sum()), *counts.tolist()))
    names = [str(factor) for factor in range(f.mixtures.shape[1])]
    return pd.DataFrame(rows, columns=["matrix", "kind", "none", *names])


def layer_agreement(f: Factorization) -> pd.DataFrame:
    """Return whether two matrices find the same factors alike, a row a pair (our formulation).

    Layers have different neurons, so their groupings cannot be compared neuron by neuron. What they share are the factors:
    each layer says, by the cosines of its loadings, which factors use the same neurons. The correlation (Pearson) of these
    cosines, over the pairs of factors that have a loading in both, is 1 where both layers merge and part the same factors.

    Returns:
        matrix, other, pairs (of factors), correlation; why: "" or why there is no correlation (which is then NaN).
    """
    import pandas as pd

    rows = []
    cosines = [column_cosines(one.values) for one in f.loadings]
    for i, one in enumerate(f.loadings):
        for j in range(i + 1, len(f.loadings)):
            live = np.flatnonzero(cosines[i].diagonal() * cosines[j].diagonal())
            above = np.triu_indices(len(live), 1)
            a, b = (m[np.ix_(live, live)][above] for m in (cosines[i], cosines[j]))
            value, why = _correlation(a, b)
            rows.append((one.name, f.loadings[j].name, len(a), value, why))
    return pd.DataFrame(rows, columns=["matrix", "other", "pairs", "correlation", "why"])


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, str]:
    if len(a) < 3:
        return float("nan"), "fewer than three pairs of factors"
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a * a).sum() * (b * b).sum()))
    if length < 1e-15:  # of cosines: equal but for rounding
        return float("nan"), "the cosines of one are all equal"
    return float(np.clip((a * b).sum() / length, -1, 1)), ""
