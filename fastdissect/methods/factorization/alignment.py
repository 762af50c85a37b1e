"""Which factor of one fit is which of another: factors come in no order of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.extras import need
from fastdissect.methods.factorization.result import Factorization

__all__ = ["align", "factor_cosines", "matched"]


def align(first: Factorization, second: Factorization) -> NDArray[np.int64]:
    """Return, for each factor of `first`, the factor of `second` that is like it: `second.mixtures[:, align(...)]`.

    Pairs are chosen together, for the largest sum of cosines (Hungarian method). The cosine of two factors is the mean of
    the cosines of their loadings, over matrices, and of their mixtures where both fits have the same number of examples.

    Returns:
        int64 [rank], a permutation.

    Raises:
        SettingError: fits of other ranks or matrices.

    Example:
        >>> second.mixtures[:, align(first, second)]                                         # doctest: +SKIP
    """
    return matched(factor_cosines(first, second))[0]


def factor_cosines(first: Factorization, second: Factorization) -> NDArray[np.float64]:
    """Float64 [rank, rank]: how alike each factor of `first` is to each of `second`, 0 to 1; a dead factor's are 0."""
    names = [[(one.name, one.shape) for one in f.loadings] for f in (first, second)]
    if first.rank != second.rank or names[0] != names[1]:
        raise SettingError(
            f"expected two fits of one rank and of the same matrices; got rank {first.rank} of "
            f"{', '.join(n for n, _ in names[0])}, and rank {second.rank} of {', '.join(n for n, _ in names[1])}"
        )
    parts = [_cosines(a.values, b.values) for a, b in zip(first.loadings, second.loadings, strict=True)]
    if len(first.mixtures) == len(second.mixtures):
        parts.append(_cosines(first.mixtures, second.mixtures))
    mean: NDArray[np.float64] = np.mean(parts, axis=0)
    return mean


def matched(cosines: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The permutation of the largest sum, int64 [rank], and the cosines of its pairs, float64 [rank]."""
    rows, columns = need("scipy.optimize").linear_sum_assignment(-cosines)
    return np.asarray(columns, np.int64), cosines[rows, columns]


def _cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    return _unit(a).T @ _unit(b)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = values.astype(np.float64)
    length = np.linalg.norm(wide, axis=0)
    unit: NDArray[np.float64] = wide / np.where(length > 0, length, 1)
    return unit
