"""Correctness beside speed: rank errors of thresholds; agreement of labels, difference of IoU."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.maps import as_float32
from fastdissect.benchmarks.work import Found
from fastdissect.kernels.reference import upsample
from fastdissect.types import Upsampling

__all__ = ["agreement", "rank_error_from_counts", "rank_errors"]


def rank_errors(
    case: Case, thresholds: NDArray[Any], tail: Fraction, upsampling: Upsampling | None = None
) -> dict[str, float]:
    """How far each threshold lies from where `tail` of the unit's values are above, as a share of them.

    Args:
        tail: the top fraction that the method itself aims at.
        upsampling: where the values are those of the upsampled maps. Peers round differently there, in the last
            bits: what lies within a millionth of the threshold counts as equal to it.

    Returns:
        median and maximum over the units; 0 for an exact method, whatever its read-out between two ranks.
    """
    cut = np.asarray(thresholds, np.float64)
    above, at_least = (np.zeros(case.units, np.int64) for _ in range(2))
    for unit in range(case.units):  # a unit at a time: its upsampled maps fit the memory
        maps = as_float32(np.ascontiguousarray(case.activations[:, unit]))
        values = maps if upsampling is None else upsample(maps, upsampling)
        slack = 0.0 if upsampling is None else abs(cut[unit]) * 1e-6
        above[unit], at_least[unit] = (values > cut[unit] + slack).sum(), (values >= cut[unit] - slack).sum()
    cells = case.activations.shape[2:] if upsampling is None else upsampling.size
    n = case.images * math.prod(cells)
    return rank_error_from_counts(above, at_least, n, tail)


def rank_error_from_counts(
    above: NDArray[np.int64], at_least: NDArray[np.int64], n: int, tail: Fraction
) -> dict[str, float]:
    """The rank errors, from how many of n values are above (at least) each threshold.

    >>> rank_error_from_counts(np.array([5, 7]), np.array([6, 8]), 1000, Fraction(1, 200))
    {'rank error, median': 0.001, 'rank error, max': 0.002}
    """
    most, least = math.ceil(tail * n), math.floor(tail * n)
    error = np.maximum(0, np.maximum(above - most, least - at_least)) / n
    return {"rank error, median": float(np.median(error)), "rank error, max": float(error.max())}


def agreement(ours: Found, theirs: Found) -> dict[str, float]:
    """Share of the units with the same best label, and the greatest difference of IoU.

    IoU of all units and concepts where both give them, else of every unit's best concept in every category.
    """
    same = ours["label"] == theirs["label"]
    what = "iou" if "iou" in ours and "iou" in theirs else "score"
    difference = np.abs(ours[what] - theirs[what])
    return {"label agreement": float(same.mean()), "IoU difference, max": float(difference.max(initial=0))}
