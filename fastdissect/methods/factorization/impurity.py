"""How mixed the neighbourhood of an example is in the space of the factors (METHODS 4.5).

The network is expected to be right where an example's neighbours are all of one factor, and wrong more often where they are
of many: "accuracy against impurity".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.extras import need
from fastdissect.methods.factorization.contributions import contributions
from fastdissect.methods.factorization.result import Factorization

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Impurity", "accuracy_by_impurity", "neighbour_impurity", "neighbours_of"]

_BLOCK = 1024  # examples whose neighbours are held at a time


@dataclass(frozen=True, eq=False)
class Impurity:
    """The neighbourhood of each example.

    Attributes:
        neighbours: how many nearest examples were looked at, the example itself not among them.
        factor: int64 [examples]: the factor of largest contribution; -1 where an example has none.
        counts: int64 [examples, rank]: neighbours of each factor; those that have none are in no column.
        entropy: float64 [examples], bits: 0 where all neighbours are of one factor.
    """

    neighbours: int
    factor: NDArray[np.int64]
    counts: NDArray[np.int64]
    entropy: NDArray[np.float64]


def neighbours_of(examples: int, classes: int) -> int:
    """Return how many neighbours are looked at: examples // classes, and at most all the others.

    The release asks for k = floor(N / classes) + 1 nearest, the example itself among them, and takes it away.
    """
    return min(examples // max(classes, 1), examples - 1)


def neighbour_impurity(f: Factorization, neighbours: int) -> Impurity:
    """Return the factors among the nearest examples of each example, by Euclidean distance of their contributions.

    Args:
        f: a factorisation.
        neighbours: see `neighbours_of`. Of equally near examples at the edge, any may be taken.

    Raises:
        SettingError: no neighbour, or more than there are. BackendError: scikit-learn is not installed.

    Source: Saini and Papalexakis 2021, released code; METHODS 4.5. The scale of the factors is that of `contributions`.
    """
    points = contributions(f)
    count, rank = points.shape
    if not 1 <= neighbours < count:
        raise SettingError(
            f"expected 1 to {count - 1:,} neighbours among {count:,} examples; got {neighbours:,}"
        )
    factor = np.where(points.any(1), points.argmax(1), -1)
    largest = points.max(initial=0.0)
    if largest > 0:
        points = points / largest
    tree = need("sklearn.neighbors").NearestNeighbors(n_neighbors=neighbours + 1).fit(points)
    counts = np.zeros((count, rank), np.int64)
    for start in range(0, count, _BLOCK):
        own = np.arange(start, min(start + _BLOCK, count))
        near = tree.kneighbors(points[own], return_distance=False)
        itself = near == own[:, None]
        itself[~itself.any(1), -1] = (
            True  # so many copies that it is not among its own: the last goes instead
        )
        found = factor[near[~itself].reshape(len(own), neighbours)]
        rows = np.broadcast_to(np.arange(len(own))[:, None], found.shape)[found >= 0]
        counts[own] = np.bincount(rows * rank + found[found >= 0], minlength=len(own) * rank).reshape(
            -1, rank
        )
    return Impurity(neighbours, factor, counts, _bits(counts))


def accuracy_by_impurity(impurity: Impurity, correct: ArrayLike) -> pd.DataFrame:
    """Return the network's accuracy over the examples of an impurity or less: "accuracy against impurity".

    Examples of equal impurity stand together, whatever their order (our choice; the release's curve depends on it there).

    Args:
        correct: bool [examples]: the network was right.

    Returns:
        A row an example, by rising impurity: example, impurity (bits), correct, examples (of that impurity or less),
        accuracy (of them).

    Raises:
        SettingError: another number of answers, or answers that are not true or false.
    """
    import pandas as pd

    right = np.asarray(correct)
    if right.shape != impurity.entropy.shape or right.dtype != np.bool_:
        raise SettingError(
            f"expected true or false for each of {len(impurity.entropy):,} examples; got shape {list(right.shape)} of "
            f"{right.dtype}"
        )
    order = np.argsort(impurity.entropy, kind="stable")
    level = impurity.entropy[order]
    last = np.searchsorted(level, level, side="right")  # examples of this impurity or less
    table = {"example": order, "impurity": level, "correct": right[order], "examples": last}
    return pd.DataFrame({**table, "accuracy": np.cumsum(right[order])[last - 1] / last})


def _bits(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    total = counts.sum(1, keepdims=True)
    p = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    # Equal histograms must give equal bits of entropy, whichever factors they are of: they are added in order of size.
    p = np.sort(p, axis=1)
    logs = np.log2(p, out=np.zeros(p.shape), where=p > 0)
    found: NDArray[np.float64] = np.maximum(-(p * logs).sum(1), 0.0)
    return found
