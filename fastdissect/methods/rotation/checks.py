"""What a rotation, its powers and their seeds may be; checked once, where they are given."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdissect.errors import SettingError

__all__ = [
    "check_channels",
    "checked_alpha",
    "checked_alphas",
    "checked_rotation",
    "checked_seed",
    "checked_seeds",
]

Matrix = NDArray[np.float64]
_SEEDS = 1000  # each is a K x K decomposition and as many virtual layers as there are alphas
_ALPHA = 1e6  # beyond, what is left of an angle is rounding
_TOLERANCE = 1e-8  # of Q Q^T = I: float64 keeps it through many products; a float32 matrix does not


def checked_alpha(alpha: Any) -> float:
    """Return a finite float, a million at most; SettingError for anything else."""
    if isinstance(alpha, bool) or not isinstance(alpha, numbers.Real) or not math.isfinite(alpha):
        raise SettingError(f"expected alpha to be a finite number, such as 0.2; got {alpha!r}")
    if abs(float(alpha)) > _ALPHA:
        raise SettingError(
            f"expected alpha from -{_ALPHA:,.0f} to {_ALPHA:,.0f}; got {alpha!r}: nothing is left of its angle"
        )
    return float(alpha)


def checked_alphas(alphas: Any) -> tuple[float, ...]:
    """At least one alpha, each once; in rising order."""
    given = [checked_alpha(alpha) + 0.0 for alpha in (alphas if _several(alphas) else [alphas])]  # -0 is 0
    if not given or len(set(given)) < len(given):
        raise SettingError(f"expected at least one alpha, each once, such as 0, 0.5, 1; got {alphas!r}")
    return tuple(sorted(given))


def checked_seed(seed: Any) -> int:
    """Return a whole number of 0 or more; SettingError for anything else."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise SettingError(f"expected a seed that is a whole number of 0 or more; got {seed!r}")
    return int(seed)


def checked_seeds(seeds: Any) -> tuple[int, ...]:
    """So many seeds from 0 on, a thousand at most, or those that are given, each once."""
    given = seeds if _several(seeds) else range(checked_seed(seeds))
    if not _several(seeds) and int(seeds) > _SEEDS:
        raise SettingError(
            f"expected at most {_SEEDS:,} rotations; got more; a few are enough (several seeds are a list: 0,7)"
        )
    found = tuple(checked_seed(seed) for seed in given)
    if not found or len(set(found)) < len(found):
        raise SettingError(f"expected at least one seed, each once; got {seeds!r}")
    return found


def _several(values: Any) -> bool:
    return isinstance(values, Iterable) and not isinstance(values, str)


def check_channels(channels: Any) -> None:
    """Refuse K = 1, where there is but one rotation, and what is no number of channels."""
    if not isinstance(channels, (int, np.integer)) or isinstance(channels, bool) or channels < 2:
        why = (
            "SO(1) holds the identity alone, there is nothing to rotate; choose a layer of more units"
            if channels == 1
            else "give the layer's number of units"
        )
        raise SettingError(f"expected a rotation of at least 2 channels; got {channels!r}: {why}")


def checked_rotation(rotation: ArrayLike) -> Matrix:
    """Return a matrix of SO(K) as float64 [K, K]; SettingError for anything else."""
    try:
        matrix = np.array(rotation, np.float64)
    except (TypeError, ValueError):
        raise SettingError(
            f"expected a rotation as a matrix of numbers [K, K]; got {type(rotation).__name__}"
        ) from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise SettingError(f"expected a rotation as a square matrix [K, K]; got shape {matrix.shape}")
    check_channels(len(matrix))
    if not np.isfinite(matrix).all():
        raise SettingError("expected a rotation of finite numbers; got NaN or infinities")
    error = float(np.abs(matrix @ matrix.T - np.eye(len(matrix))).max())
    if error > _TOLERANCE:
        raise SettingError(
            f"expected an orthogonal matrix, Q Q^T = I to {_TOLERANCE:g}; got one that is off by {error:.3g}; "
            "for any other linear map use methods.directions"
        )
    if np.linalg.slogdet(matrix).sign < 0:
        raise SettingError(
            "expected a rotation, with determinant +1; got a reflection, with -1, which no path of rotations "
            "reaches; negate one row"
        )
    return matrix
