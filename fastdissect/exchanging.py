"""Exchanging bounds: processes that each sift a part of the images, and together know more than each alone.

Each tells, for every unit, its own largest values at a row of ranks (r, r / 1.1, r / 1.2, ...). From all of them together
follows a value that at least r cells of the whole reach: no threshold is below it, so it is a bound for all.

    process 0   17 of its values reach 5.2, 30 reach 4.9 ...
    process 1   22 of its values reach 5.0, 30 reach 4.6 ...       together at least 39 reach 5.0

What is sent is some 50 keys a unit, a dozen times in a run: less than counters of all values (DESIGN section 2) would
take, and every bound is safe, so that the merge never has to doubt one. Our formulation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["common_bounds", "exchange_points", "told_ranks"]

STEP = 8  # ranks told for each halving: neighbours differ by 9 %
HALVINGS = 8
GROWTH = 1.4  # exchanges lie this much further apart each time: the bound rises ever more slowly


def told_ranks(deepest: int) -> NDArray[np.int64]:
    """The ranks that a process tells its values at, ascending, the last of them r itself.

    >>> told_ranks(3)
    array([1, 2, 3])
    """
    ranks = np.ceil(deepest * 2.0 ** (-np.arange(STEP * HALVINGS + 1) / STEP)).astype(np.int64)
    return np.unique(np.maximum(ranks, 1))


def exchange_points(batches: int) -> list[int]:
    """After which of its batches a process exchanges; all agree on them, by the largest number of batches any has left.

    >>> exchange_points(20)
    [1, 2, 3, 4, 5, 7, 9, 12, 16, 20]
    """
    points = [1]
    while (following := max(points[-1] + 1, int(points[-1] * GROWTH))) < batches:
        points.append(following)
    return sorted({point for point in (*points, batches) if 1 <= point <= batches})


def common_bounds(
    told: NDArray[np.uint32], known: NDArray[np.uint32], ranks: NDArray[np.int64], deepest: int
) -> NDArray[np.uint32]:
    """Keys [units] that at least `deepest` of all values reach; 0 where that cannot be told.

    Args:
        told: uint32 [processes, units, ranks]: each one's value at its rank; its bound where it has fewer values.
        known: uint32 [processes, units]: these bounds; what is not above them tells nothing.
        ranks: as `told_ranks` gives them.
    """
    processes, units, count = told.shape
    gained = np.broadcast_to(
        np.diff(ranks, prepend=0), told.shape
    )  # a value at rank j: so many more values reach it
    gained = np.where(told > known[:, :, None], gained, 0)
    flat = told.transpose(1, 0, 2).reshape(units, processes * count)
    order = np.argsort(~flat, axis=1, kind="stable")  # largest first
    reached = np.take_along_axis(gained.transpose(1, 0, 2).reshape(units, -1), order, axis=1).cumsum(1)
    enough = reached >= deepest
    at = np.take_along_axis(order, enough.argmax(1)[:, None], axis=1)
    return np.where(enough.any(1), np.take_along_axis(flat, at, axis=1)[:, 0], np.uint32(0))
