"""How much of each factor an example has, in a scale that all factors share.

A factor's weights may be doubled when its loadings are halved: nothing changes but the scale. So a weight is multiplied by
the length of its factor's loadings over all matrices, each as the fit scaled and weighed it. Under the released rule, whose loadings all have unit length, that is
the weights themselves, times one number (our formulation elsewhere).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.factorization.result import Factorization

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["contributions", "shares", "top_count", "top_examples"]

_TOP = 200  # METHODS 4.5: min(200, examples // 10)


def contributions(f: Factorization) -> NDArray[np.float64]:
    """Return weight times length of the factor's loadings, float64 [examples, rank], >= 0.

    A dead factor, of no example or without a loading, has a column of zeros.

    >>> contributions(f).shape == f.mixtures.shape                # doctest: +SKIP
    True
    """
    squares = np.zeros(f.mixtures.shape[1])
    for one in f.loadings:
        squares += one.weight * np.square(one.values, dtype=np.float64).sum(0)
    found: NDArray[np.float64] = f.mixtures.astype(np.float64) * np.sqrt(squares)
    return found


def shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights whose rows sum to 1, float64; a row of zeros stays one: there is nothing to divide by.

    >>> shares(np.array([[1.0, 3.0], [0.0, 0.0]])).tolist()
    [[0.25, 0.75], [0.0, 0.0]]
    """
    total = weights.sum(1, dtype=np.float64, keepdims=True)
    found = np.zeros(weights.shape, np.float64)
    np.divide(weights, total, out=found, where=total > 0)
    return found


def top_count(examples: int) -> int:
    """Return how many examples a factor's list has: min(200, examples // 10), and at least 1."""
    return max(1, min(_TOP, examples // 10))


def top_examples(f: Factorization, count: int | None = None) -> pd.DataFrame:
    """Return the examples of largest weight of each factor (METHODS 4.5).

    Args:
        count: of each factor; min(200, examples // 10) where it is not given.

    Returns:
        factor, place (from 1), example (its number), name, weight (in `mixtures`), share (of the example's own mixture).
        Examples of equal weight come in their order; those of weight 0 are left out, so a dead factor has no row.
    """
    import pandas as pd

    count = top_count(len(f.mixtures)) if count is None else count
    own = shares(contributions(f))
    parts = []
    for factor, weights in enumerate(f.mixtures.T):
        order = np.argsort(-weights, kind="stable")[:count]
        order = order[weights[order] > 0]
        parts.append(
            pd.DataFrame(
                {
                    "factor": factor,
                    "place": np.arange(1, len(order) + 1),
                    "example": order,
                    "name": [f.example_names[i] if f.example_names else str(i) for i in order],
                    "weight": weights[order].astype(np.float64),
                    "share": own[order, factor],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
