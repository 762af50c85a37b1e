"""The same convex problem under s >= 0: vectors that are mixes of units, by scipy's L-BFGS-B, a concept at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.extras import need

__all__ = ["Bounded", "solve_nonnegative"]

Floats = NDArray[np.float64]
_STEPS = 10_000


class Bounded(NamedTuple):
    weights: Floats  # [units], s >= 0
    bias: float
    gradient: float  # norm of what is left of it where s may move


def solve_nonnegative(x: Floats, sign: Floats, share: Floats, ridge: float, tolerance: float) -> Bounded:
    """Minimise sum share log(1 + exp(-sign (s.x + b))) + ridge/2 |s|^2 over s >= 0 and any b.

    Args:
        x: float64 [samples, units]. sign: 1 or -1. share: weights of the samples.

    Raises:
        BackendError: scipy is not installed.
    """
    expit, minimize = need("scipy.special").expit, need("scipy.optimize").minimize
    units = x.shape[1]

    def loss(at: Floats) -> tuple[float, Floats]:
        s, b = at[:units], at[units]
        z = sign * (x @ s + b)
        slope = -share * sign * expit(-z)
        value = float((share * np.logaddexp(0, -z)).sum() + ridge / 2 * (s @ s))
        return value, np.append(x.T @ slope + ridge * s, slope.sum())

    found = minimize(
        loss,
        np.zeros(units + 1),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * units + [(None, None)],
        options={
            "gtol": tolerance / (10 * np.sqrt(units + 1)),
            "ftol": 0.0,
            "maxiter": _STEPS,
            "maxfun": 2 * _STEPS,
        },
    )
    at: Floats = found.x
    left = loss(at)[1]
    left[:units] = np.where(at[:units] > 0, left[:units], np.minimum(left[:units], 0))
    return Bounded(at[:units], float(at[units]), float(np.linalg.norm(left)))
