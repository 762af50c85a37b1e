"""A vector as a sum of few others, with weights of at least 0.

    minimise over beta >= 0    |w - sum_c beta_c u_c|^2 + mu sum_c beta_c

`mu` is the smallest at which no more than so many weights are positive: from mu = infinity down, the solution is followed
exactly, one concept entering or leaving at a time (the path of a non-negative lasso). Among those concepts the weights are
then fitted again without mu, which would shrink them. Our formulation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.extras import need

__all__ = ["SparseWeights", "sparse_weights"]

Floats = NDArray[np.float64]
_ZERO = 1e-12  # relative: below it is rounding


class SparseWeights(NamedTuple):
    beta: Floats  # [concepts], at least 0
    mu: float  # 0: all concepts could be used
    shrunk: Floats  # [concepts], the minimiser at that mu


def sparse_weights(vectors: Floats, target: Floats, most: int = 10) -> SparseWeights:
    """Return the weights of at most `most` of the vectors.

    Args:
        vectors: float64 [concepts, units], of length 1. target: float64 [units].

    Raises:
        BackendError: scipy is not installed.

    >>> sparse_weights(np.eye(3), np.array([2.0, -1.0, 1.0])).beta.tolist()
    [2.0, 0.0, 1.0]
    """
    shrunk, mu = _path(vectors, target, most)
    support = np.flatnonzero(shrunk > 0)
    beta = np.zeros(len(vectors))
    if len(support):
        beta[support] = need("scipy.optimize").nnls(vectors[support].T, target)[0]
    return SparseWeights(beta, mu, shrunk)


def _path(vectors: Floats, target: Floats, most: int) -> tuple[Floats, float]:
    """The minimiser, and mu, where one more concept would enter."""
    beta = np.zeros(len(vectors))
    pull = vectors @ target  # u_c . residual
    level = float(pull.max(initial=0.0))  # mu / 2: active concepts pull by exactly as much
    small = _ZERO * max(level, 1e-300)
    if level <= small or not most:
        return beta, 2 * level
    active = [int(np.argmax(pull))]
    for _ in range(50 * (len(vectors) + 1)):
        gram = vectors[active] @ vectors[active].T
        way = np.linalg.lstsq(gram, np.ones(len(active)), rcond=None)[0]  # d beta as the level falls by 1
        falls = vectors @ (way @ vectors[active])  # of every pull
        others = np.setdiff1d(np.arange(len(vectors)), active)
        with np.errstate(divide="ignore", invalid="ignore"):
            enter = np.where(1 - falls[others] > 1e-9, (level - pull[others]) / (1 - falls[others]), np.inf)
            leave = np.where(way < 0, -beta[active] / way, np.inf)
        enter = np.maximum(enter, 0)
        first, last = float(enter.min(initial=np.inf)), float(leave.min(initial=np.inf))
        length = min(first, last, level)
        beta[active] = np.maximum(beta[active] + length * way, 0)
        pull = vectors @ (target - beta @ vectors)
        level -= length
        if level <= small:
            return beta, 0.0
        if last <= first:
            out = active.pop(int(np.argmin(leave)))
            beta[out] = 0
            if not active:
                return beta, 2 * level
        elif len(active) == most:
            return beta, 2 * level
        else:
            active.append(int(others[int(np.argmin(enter))]))
    return beta, 2 * level
