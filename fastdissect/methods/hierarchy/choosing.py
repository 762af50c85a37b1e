"""The most specific adequate label of a unit.

    1. best      the node of highest IoU; of equals the run's own label, then the first
    2. adequate  best and the nodes below it whose IoU is at least (1 - tolerance) of best's
    3. chosen    of those the ones with none of them below; of these the highest IoU, the first of equals

    animal .12          best: dog; with a tolerance of 0.1 a node needs .19
      dog .21           chosen: dog. Were poodle at .20, it would be poodle.
        poodle .05
        dachshund .17

So a unit goes up only where a parent is better by more than the tolerance, and never to a node that it detects worse
than its label. A tolerance of 0 takes the node of highest IoU. This rule is ours.
"""

from __future__ import annotations

import numbers
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.hierarchy.graph import Hierarchy
from fastdissect.methods.hierarchy.union_counts import UnionCounts

__all__ = ["Chosen", "check_shares", "choose"]

_BLOCK = 1 << 20  # scores at a time, 8 MB


class Chosen(NamedTuple):
    """Of each unit; -1 and 0 where it overlaps with no label."""

    label: NDArray[np.int64]  # [units], column of the run's label
    label_iou: NDArray[np.float64]
    best: NDArray[np.int64]  # [units], node
    best_iou: NDArray[np.float64]
    node: NDArray[np.int64]  # [units], the adequate one
    iou: NDArray[np.float64]


def check_shares(tolerance: float, least_share: float) -> None:
    """Refuse what is no share.

    Raises:
        SettingError: a tolerance that is no number from 0 to below 1, or a least share that is none from 0 to 1.
    """
    for what, value, top in (("tolerance", tolerance, "below 1"), ("least share", least_share, "1")):
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not real or not (0 <= value < 1 or (value == 1 and top == "1")):
            option = "--tolerance, tolerance=" if what == "tolerance" else "--share, least_share="
            raise SettingError(f"expected a {what} from 0 to {top}, such as 0.1; got {value!r} ({option})")


def choose(layer: LayerDissection, hierarchy: Hierarchy, counts: UnionCounts, tolerance: float) -> Chosen:
    """Choose every unit's node by the rule above."""
    units, found = layer.units_count, layer.labels
    rows = np.arange(units)
    named = bool(layer.concepts.categories)
    label = found.column[rows, found.best] if named else np.full(units, -1)
    label_iou = found.score[rows, found.best] if named else np.zeros(units)
    best, best_iou, node, iou = np.full(units, -1), np.zeros(units), np.full(units, -1), np.zeros(units)
    held = np.flatnonzero(hierarchy.extent >= 0)
    extent = hierarchy.extent[held]
    step = max(1, _BLOCK // max(1, len(held)))
    for first in range(0, units, step):
        own = slice(first, min(first + step, units))
        score = np.zeros((own.stop - first, len(hierarchy)))
        score[:, held] = counts.iou(layer, own)[:, extent]
        for unit, row in enumerate(score, start=first):
            top = row.max(initial=0)
            if top <= 0:
                continue
            best[unit] = label[unit] if label_iou[unit] == top else row.argmax()
            best_iou[unit] = top
            node[unit] = _most_specific(hierarchy, int(best[unit]), row, (1 - tolerance) * top)
            iou[unit] = row[node[unit]]
    return Chosen(label.astype(np.int64), label_iou, best, best_iou, node, iou)


def _most_specific(hierarchy: Hierarchy, best: int, score: NDArray[Any], least: float) -> int:
    inside = hierarchy.below[best]
    near = inside[score[inside] >= least]
    lowest = [n for n in near.tolist() if not np.isin(hierarchy.below[n], near, assume_unique=True).any()]
    return max(lowest, key=lambda n: score[n]) if lowest else best
