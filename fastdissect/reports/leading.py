"""The few best of many scores, without sorting them all.

Of 4,096 units by 1,197 concepts a report shows 15 concepts a unit and 24 units a concept. What is at least
the 15th best of its row is selected, and only that is sorted; ties at the end are so few that none is lost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["BestUnits", "leading_concepts"]

_ROW = np.dtype([("concept", np.int64), ("layer", np.int64), ("unit", np.int64), ("score", np.float64)])
_MOST = 1 << 17  # candidates that wait until they are sorted, 4 MB


def leading_concepts(scores: NDArray[np.float64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the `count` best columns of every row, as (row, column) pairs.

    Rows ascend; inside a row the best score comes first, of equal ones the lower column. Scores of 0 are left out.

    Args:
        scores: float64 [rows, columns], not negative.

    >>> leading_concepts(np.array([[0.1, 0.0, 0.3, 0.3, 0.1]]), 3)[1].tolist()
    [2, 3, 0]
    """
    rows, columns = scores.shape
    chosen = scores > 0
    if columns > count:
        chosen &= scores >= np.partition(scores, columns - count, axis=1)[:, columns - count, None]
    row, column = np.nonzero(chosen)
    order = np.lexsort((column, -scores[row, column], row))
    row, column = row[order], column[order]
    place = np.arange(len(row)) - np.searchsorted(row, np.arange(rows))[row]
    return row[place < count], column[place < count]


class BestUnits:
    """Every concept's best units, over all layers, from blocks of scores that come in the units' order.

    Args:
        concepts: how many.
        count: units of a concept that are kept: of equal scores the earlier ones.
    """

    def __init__(self, concepts: int, count: int) -> None:
        self._count = count
        self._bound = np.zeros(concepts)  # a later unit must be above it: of equals the earlier stays
        self._parts: list[NDArray[np.void]] = []
        self._held = 0

    def add(self, layer: int, first: int, scores: NDArray[np.float64]) -> None:
        """Take the scores of units `first` ..., float64 [units, concepts]."""
        unit, concept = np.nonzero(scores > self._bound)
        part = np.empty(len(unit), _ROW)
        part["concept"], part["layer"], part["unit"] = concept, layer, first + unit
        part["score"] = scores[unit, concept]
        self._parts.append(part)
        self._held += len(part)
        if self._held > _MOST + self._count * len(self._bound):
            self._prune()

    def _prune(self) -> NDArray[np.void]:
        rows = np.concatenate([np.empty(0, _ROW), *self._parts])
        rows = rows[np.lexsort((-rows["score"], rows["concept"]))]  # stable: earlier units first
        place = np.arange(len(rows)) - np.searchsorted(rows["concept"], rows["concept"])
        last = rows[place == self._count - 1]
        self._bound[last["concept"]] = last["score"]
        rows = rows[place < self._count]
        self._parts, self._held = [rows], len(rows)
        return rows

    def found(self) -> NDArray[np.void]:
        """Return rows of concept, layer, unit and score: concepts ascend, the best unit first."""
        return self._prune()
