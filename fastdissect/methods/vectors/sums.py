"""Of each concept: the two others whose sum comes nearest to it. Nothing is chosen by hand.

Our formulation, after the vector arithmetic of METHODS 3.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.vectors.learned import embedding_of

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.vectors.learned import Vectors

__all__ = ["best_sums"]


def best_sums(found: Vectors, *, unlearned: bool = False) -> pd.DataFrame:
    """Return for each concept the pair of others whose sum of unit vectors has the largest cosine with it.

    The best of very many pairs always gains something on the best neighbour alone: what counts is which concepts
    gain much.

    Returns:
        pd.DataFrame: concept, category, first, second (the pair, the nearer one first), cosine (with their sum),
        neighbour (the larger of its cosines with the two), gain (the difference of these); largest gain first. Empty
        with fewer than three concepts.
    """
    import pandas as pd

    embedding = embedding_of(found)
    rows = embedding.rows(unlearned)
    cosines = np.clip(embedding.vectors[rows] @ embedding.vectors[rows].T, -1, 1)
    pairs = _pairs(cosines)
    names, category = embedding.names, embedding.category_names
    table = []
    for place, row in enumerate(rows.tolist()) if len(rows) > 2 else ():
        first, second, cosine = _best(cosines[place], pairs, place)
        if np.isfinite(cosine):  # else every pair cancels
            neighbour = float(cosines[place, first])
            pair = (names[rows[first]], names[rows[second]])
            table.append((names[row], str(category[row]), *pair, cosine, neighbour, cosine - neighbour))
    columns = ["concept", "category", "first", "second", "cosine", "neighbour", "gain"]
    text = dict.fromkeys(columns[:4], "str") | dict.fromkeys(columns[4:], "float64")
    return (
        pd.DataFrame(table, columns=columns)
        .astype(text)
        .sort_values("gain", ascending=False, kind="stable", ignore_index=True)
    )


class _Pairs(NamedTuple):
    """Of all pairs of concepts, [concepts, concepts]; a pair counts once, above the diagonal."""

    shrink: NDArray[np.float64]  # 1 / |a + b|
    never: NDArray[np.float64]  # -infinity where there is no pair, or its sum cancels; else 0
    score: NDArray[np.float64]  # room


def _pairs(cosines: NDArray[np.float64]) -> _Pairs:
    length = np.sqrt(np.maximum(2 + 2 * cosines, 0))
    counts = np.triu(length > 1e-9, 1)
    shrink = np.divide(1, length, out=np.zeros_like(length), where=counts)
    return _Pairs(shrink, np.where(counts, 0, -np.inf), np.empty_like(length))


def _best(own: NDArray[np.float64], pairs: _Pairs, place: int) -> tuple[int, int, float]:
    """The pair of largest cosine with a concept, the nearer one first."""
    score = np.add.outer(own, own, out=pairs.score)
    score *= pairs.shrink
    score += pairs.never
    score[place, :] = score[:, place] = -np.inf
    one, other = (int(i) for i in np.unravel_index(int(score.argmax()), score.shape))
    best = float(min(score[one, other], 1.0))
    return (one, other, best) if own[one] >= own[other] else (other, one, best)
