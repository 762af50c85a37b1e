"""Reading thresholds out: from a way to select order statistics to one threshold a unit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import ActivationError
from fastdissect.kernels.keys import from_keys
from fastdissect.ranks import interpolate, rank_bounds
from fastdissect.types import Profile

__all__ = ["Select", "thresholds_at", "usable"]

Select = Callable[[NDArray[np.int64]], NDArray[np.uint32]]  # ranks [units, 2] from the top -> keys [units, 2]


def thresholds_at(profile: Profile, seen: NDArray[np.int64], select: Select) -> NDArray[np.float32]:
    """Read the profile's thresholds out, float32 [units].

    Args:
        seen: values of each unit, all at least 1; with NaNs left out, units may differ.
        select: asked once, for both neighbours of every unit's rank (twice the same where there is but one).
    """
    reads = {int(n): rank_bounds(profile, int(n)) for n in np.unique(seen)}
    ranks = np.array([(reads[n].ranks[0], reads[n].ranks[-1]) for n in seen.tolist()], np.int64)
    chosen = from_keys(select(ranks.reshape(-1, 2)))
    thresholds = np.empty(len(seen), np.float32)
    for n, read in reads.items():
        own = seen == n
        weight = read.weights[1] if len(read.weights) == 2 else Fraction(0)
        thresholds[own] = interpolate(chosen[own, 0], chosen[own, 1], weight)
    return thresholds


def usable(layer: str, count: int, missing: NDArray[np.int64]) -> NDArray[np.int64]:
    """Usable values a unit, int64 [units], of `count` values of which some are missing.

    Raises:
        ActivationError: a unit without a single one.
    """
    seen = count - missing
    if seen.min(initial=1) < 1:
        raise ActivationError(
            f"layer {layer!r}: expected at least one usable activation a unit; got none for unit "
            f"{int(seen.argmin())}; mend the model, or dissect another layer"
        )
    return seen
