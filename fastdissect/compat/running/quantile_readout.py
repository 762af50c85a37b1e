"""Read-outs of a distribution: between the levels of neighbouring samples, linearly.

The peers' formula: of n sorted values the i-th (counted from 1) lies at level (i - 1/2) / n, the least value also at
0 and the greatest at 1; a sample of weight w lies in the middle of its share. Their levels are float32; ours too up
to 2^23 values, where every level is still a number of its own, so that results are the same bits; float64 beyond.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Floats", "brackets", "interpolated", "level_of", "quantiles_of_ranks", "weighted_levels", "wide"]

SINGLE = 1 << 23  # values up to which float32 levels are all different

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


def wide(values: Tensor) -> Floats:
    """float64 on the host."""
    found: Floats = values.detach().double().cpu().numpy()
    return found


def level_of(knots: Whole, count: int) -> Floats:
    """Levels of knots 0 ... count + 1: the least value, the sorted values, the greatest value.

    >>> level_of(np.arange(4), 2).tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    levels = np.clip((knots - 0.5) / count, 0.0, 1.0)
    return levels.astype(np.float32).astype(np.float64) if count <= SINGLE else levels


def brackets(levels: Floats, count: int) -> Whole:
    """The last knot at or below each level; 0 for what is below all (or NaN).

    >>> brackets(np.array([0.0, 0.25, 0.5, 1.0]), 2).tolist()
    [0, 1, 1, 3]
    """
    guess = np.nan_to_num(np.floor(np.clip(levels, 0, 1) * count + 0.5)) - 2
    knots: Whole = np.clip(guess, 0, count + 1).astype(np.int64)
    for _ in range(5):  # rounding moves a level by less than one knot
        following = np.minimum(knots + 1, count + 1)
        knots = np.where((level_of(following, count) <= levels) & (knots <= count), following, knots)
    return knots


def quantiles_of_ranks(levels: Floats, count: int, at: Callable[[Whole], NDArray[Any]]) -> Floats:
    """Quantiles [units, len(levels)] of `count` sorted values of which `at(places)` gives [units, places]."""
    knots = brackets(levels, count)
    needed = np.unique(np.concatenate([knots, np.minimum(knots + 1, count + 1)]))
    places, back = np.unique(np.clip(needed - 1, 0, count - 1), return_inverse=True)
    values = at(places)[:, back]
    own = level_of(needed, count)
    found = np.empty((len(values), len(levels)))
    for unit in range(len(values)):
        found[unit] = np.interp(levels, own, values[unit])
    return found


def interpolated(
    x: Floats, above: Whole, count: int, first: int, at: Callable[[Whole], NDArray[Any]]
) -> Floats:
    """Levels of values x of one unit, `above[i]` of its `count` values being at or below x[i].

    Args:
        first: the lowest place (from 0, in rising order) that `at` can give.
    """
    knots = np.where(above == count, count + 1, above)
    needed = np.unique(np.concatenate([knots, np.minimum(knots + 1, count + 1)]))
    values = at(np.clip(needed - 1, first, count - 1))
    return np.interp(x, values, level_of(needed, count))


def weighted_levels(weights: Floats) -> Floats:
    """Levels [units, n + 2] of sorted samples with weights [units, n], the extremes at both ends.

    >>> weighted_levels(np.array([[1.0, 2.0, 1.0]])).tolist()
    [[0.0, 0.125, 0.5, 0.875, 1.0]]
    """
    ends = np.zeros((len(weights), 1))
    padded = np.concatenate([ends, weights, ends], axis=1)
    total = padded.sum(1, keepdims=True)
    levels: Floats = (np.cumsum(padded, axis=1) - padded / 2) / total
    return levels.astype(np.float32).astype(np.float64) if total.max(initial=0) <= SINGLE else levels
