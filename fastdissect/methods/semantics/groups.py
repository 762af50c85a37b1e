"""Concepts that lie so close together that no weights could tell them apart (METHODS 5.5): one group, one vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLLINEAR", "Group", "groups_of"]

COLLINEAR = 0.95


class Group(NamedTuple):
    name: str  # "sea" or "sea / sea-s"
    members: tuple[int, ...]  # rows of the vectors, ascending
    vector: NDArray[np.float64]  # [units], of length 1


def groups_of(
    unit: NDArray[np.float64], names: Sequence[str], rows: Sequence[int], above: float = COLLINEAR
) -> tuple[Group, ...]:
    """Merge vectors whose cosine is above a bound, and those that such a chain joins; in the order of first members.

    Args:
        unit: float64 [concepts, units], of length 1 or 0. rows: the concepts to use; a vector of 0 is left out.

    >>> [g.name for g in groups_of(np.array([[1.0, 0], [0, 1], [1, 0]]), ["a", "b", "c"], [0, 1, 2])]
    ['a / c', 'b']
    """
    left = [row for row in rows if unit[row].any()]
    near = unit[left] @ unit[left].T > above
    found = []
    seen = np.zeros(len(left), bool)
    for first in range(len(left)):
        if seen[first]:
            continue
        own = np.zeros(len(left), bool)
        own[first] = True
        while True:
            more = near[own].any(0) | own
            if (more == own).all():
                break
            own = more
        seen |= own
        members = [left[i] for i in np.flatnonzero(own)]
        total = unit[members].sum(0)
        name = " / ".join(names[m] for m in members)
        found.append(Group(name, tuple(members), total / np.linalg.norm(total)))
    return tuple(found)
