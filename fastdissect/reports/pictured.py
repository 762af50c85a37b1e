"""Which units get pictures, where there are too many to draw them all.

A sheet of eight tiles is 70 kB and 10 ms of work: 100,000 units would be 6.6 GB. Drawn first are the units of the
highest IoU, every layer and every concept in its turn: the r-th best unit

    of all units                      stands at place r
    of its layer, of L layers         at place r * L
    of its label, of C labels         at place r * C

and a unit at the first of its three places. So at least a third of the pictures go to the best of all, and at least
a third are shared evenly by the layers, and by the labels, each as far as it has units (our formulation).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fastdissect.layer import LayerDissection

__all__ = ["PICTURED", "pictured_units"]

PICTURED = 4_000  # units that get pictures unless more are asked for: 270 MB


def pictured_units(layers: Sequence[LayerDissection], count: int | None) -> list[NDArray[np.int64]]:
    """Return the units of every layer that get pictures, ascending; `count` over all layers, None: all of them.

    Of equal places the higher IoU goes first, then the earlier layer, then the lower unit.
    """
    sizes = [layer.units_count for layer in layers]
    if count is None or count >= sum(sizes):
        return [np.arange(size) for size in sizes]
    best = [_best(layer) for layer in layers]
    score = np.concatenate([score for _, score in best])
    label = np.concatenate([label for label, _ in best])
    owner = np.repeat(np.arange(len(layers)), sizes)
    order = np.argsort(-score, kind="stable")
    place = np.empty(len(score), np.int64)
    place[order] = np.arange(1, len(score) + 1)
    place = np.minimum(place, _rank(owner, order) * len(layers))
    known = np.unique(label[label >= 0])
    place = np.where(label >= 0, np.minimum(place, _rank(label, order) * len(known)), place)
    chosen = np.sort(order[np.argsort(place[order], kind="stable")[:count]])
    ends = np.cumsum([0, *sizes])
    return [chosen[(chosen >= a) & (chosen < b)] - a for a, b in pairwise(ends)]


def _best(layer: LayerDissection) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Every unit's label as the concept's column, -1 for none, and its IoU."""
    found, units = layer.labels, np.arange(layer.units_count)
    if not layer.concepts.categories:
        return np.full(len(units), -1), np.zeros(len(units))
    return found.column[units, found.best], found.score[units, found.best]


def _rank(group: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of every unit in its group, from 1, in the order given."""
    grouped = order[np.argsort(group[order], kind="stable")]
    names, start = np.unique(group[grouped], return_index=True)
    rank = np.empty(len(group), np.int64)
    rank[grouped] = np.arange(1, len(group) + 1) - start[np.searchsorted(names, group[grouped])]
    return rank
