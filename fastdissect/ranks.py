"""Which order statistics a threshold is read from, and how they combine."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdissect.errors import SettingError
from fastdissect.types import Profile

__all__ = ["RankBounds", "interpolate", "rank_bounds"]


class RankBounds(NamedTuple):
    """Ranks from the top (1 is the largest value), deepest first, and the share of each; shares sum to 1."""

    ranks: tuple[int, ...]  # one, or two neighbours
    weights: tuple[Fraction, ...]

    @property
    def deepest(self) -> int:
        """The deepest rank that is read: values below it can be forgotten (DESIGN section 2)."""
        return self.ranks[0]


def rank_bounds(profile: Profile, n: int) -> RankBounds:
    """Return the order statistics that the profile's read-out needs for n values.

    With q the profile's top fraction, in rational arithmetic throughout:

        inverted-cdf   rank m + 1 with m = floor(q n), so that at most q n values exceed it
        linear         position (n - 1)(1 - q) among the ascending values, counted from 0: the two
                       neighbours and the fraction between them (numpy's "linear", exact)

    Raises:
        SettingError: n is not positive.

    >>> from fastdissect.conventions import PROFILES
    >>> rank_bounds(PROFILES["netdissect"], 1000).ranks
    (6,)
    >>> rank_bounds(PROFILES["dissect-2020"], 1000)
    RankBounds(ranks=(11, 10), weights=(Fraction(99, 100), Fraction(1, 100)))
    """
    if n < 1:
        raise SettingError(f"a threshold needs at least one value; got n = {n}")
    if profile.readout == "inverted-cdf":
        return RankBounds((int(profile.quantile * n) + 1,), (Fraction(1),))
    position = (n - 1) * (1 - profile.quantile)
    below = int(position)  # position >= 0: int() is floor
    weight = position - below
    if weight == 0:
        return RankBounds((n - below,), (Fraction(1),))
    return RankBounds((n - below, n - below - 1), (1 - weight, weight))


def interpolate(low: ArrayLike, high: ArrayLike, weight: Fraction) -> NDArray[np.float32]:
    """Combine two neighbouring order statistics: `low + (high - low) * weight`, the definition.

    The three operations are float64 ones on float32 values (the weight rounded to float64 once); the result is
    rounded to float32. Equal neighbours give themselves, infinite ones included, and -inf below stays -inf.

    >>> interpolate([1.0], [2.0], Fraction(1, 4)).tolist()
    [1.25]
    """
    if weight == 0:
        return np.asarray(low, dtype=np.float32)
    below: NDArray[Any] = np.asarray(low, dtype=np.float64)
    above: NDArray[Any] = np.asarray(high, dtype=np.float64)
    keep = (below == above) | np.isneginf(below)
    step = np.where(keep, 0.0, above - np.where(keep, 0.0, below))
    return np.where(keep, below, below + step * float(weight)).astype(np.float32)
