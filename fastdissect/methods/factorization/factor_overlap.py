"""How far factors differ: in the classes they are of, and in the examples they have (METHODS 4.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.factorization.profiles import Profiles
from fastdissect.methods.factorization.result import Factorization

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SMOOTHING", "Coherence", "column_cosines", "mutual_coherence", "profile_distances"]

SMOOTHING = 1e-6
"""The share of every profile that is spread evenly over all classes before a logarithm is taken."""


def profile_distances(profiles: Profiles) -> pd.DataFrame:
    """Return how far the profiles of two factors are apart, a row a pair.

    Kullback-Leibler and Bhattacharyya are infinite where one factor has weight on a class and the other has none. Stated
    rule: both are taken of (1 - 1e-6) w + 1e-6 / classes, and `unmatched` says how much weight has no counterpart: where
    it is above 0, `kl` without the rule is infinite.

    Returns:
        factor, other (factor < other); hellinger sqrt(1 - coefficient), 0 to 1; coefficient sum of sqrt(p q), 1 to 0;
        bhattacharyya - ln coefficient; kl (factor || other), kl_back (other || factor), nats; unmatched (weight of
        `factor` where `other` has 0), unmatched_back. Factors without a profile are left out.
    """
    import pandas as pd

    live, w = profiles.live, profiles.weights
    entries = max(w.shape[1], 1)
    smooth = (1 - SMOOTHING) * w + SMOOTHING / entries
    logs = np.log(smooth)
    rows = []
    for place, one in enumerate(live.tolist()):
        for two in live[place + 1 :].tolist():
            p, q = w[one], w[two]
            rows.append((
                one, two,
                np.sqrt(0.5 * np.square(np.sqrt(p) - np.sqrt(q)).sum()),
                min(np.sqrt(p * q).sum(), 1.0),
                max(-np.log(np.sqrt(smooth[one] * smooth[two]).sum()), 0.0),
                max((smooth[one] * (logs[one] - logs[two])).sum(), 0.0),
                max((smooth[two] * (logs[two] - logs[one])).sum(), 0.0),
                p[q == 0].sum(), q[p == 0].sum(),
            ))  # fmt: skip
    columns = ["factor", "other", "hellinger", "coefficient", "bhattacharyya", "kl", "kl_back"]
    return pd.DataFrame(rows, columns=[*columns, "unmatched", "unmatched_back"])


@dataclass(frozen=True, eq=False)
class Coherence:
    """Mutual coherence: cosines between the examples' weights of two factors.

    Attributes:
        cosine: float64 [rank, rank]; rows and columns of dead factors are 0, with their diagonal.
        maximum, mean, minimum: over the pairs of two live factors; None where there is no pair.
        released_mean: the mean as the released code takes it: over the whole matrix, its diagonal set to 0.
    """

    cosine: NDArray[np.float64]
    maximum: float | None
    mean: float | None
    minimum: float | None
    released_mean: float


def mutual_coherence(f: Factorization) -> Coherence:
    """Return the cosines of F's rows (columns of `mixtures`), and what they come to."""
    cosine = column_cosines(f.mixtures)
    live = np.flatnonzero(cosine.diagonal())
    pairs = cosine[np.ix_(live, live)][~np.eye(len(live), dtype=bool)]
    released = float((cosine.sum() - cosine.trace()) / cosine.size)
    if not len(pairs):
        return Coherence(cosine, None, None, None, released)
    return Coherence(cosine, float(pairs.max()), float(pairs.mean()), float(pairs.min()), released)


def column_cosines(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the cosines of all pairs of columns, float64 [columns, columns]; those of a column of zeros are 0.

    >>> column_cosines(np.array([[1.0, 0, 3], [0, 0, 4]])).tolist()
    [[1.0, 0.0, 0.6], [0.0, 0.0, 0.0], [0.6, 0.0, 1.0]]
    """
    wide = values.astype(np.float64)
    largest = np.abs(wide).max(0, initial=0.0)  # first to 1: squares of tiny numbers would vanish
    wide = np.divide(wide, largest, out=np.zeros(wide.shape), where=largest > 0)
    length = np.sqrt(np.square(wide).sum(0))
    wide = np.divide(wide, length, out=np.zeros(wide.shape), where=length > 0)
    cosine: NDArray[np.float64] = np.clip(wide.T @ wide, -1.0, 1.0)
    cosine = (cosine + cosine.T) / 2
    np.fill_diagonal(cosine, (length > 0).astype(np.float64))
    return cosine
