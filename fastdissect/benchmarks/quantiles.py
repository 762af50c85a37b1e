"""The top quantile of saved activations: ours, and the exact methods of NumPy and torch.

Ours reads the layout that the network gives, in batches. The others want all values of a unit side by side: that
transposition is timed apart. m = floor(q n) values lie above the threshold; all methods here are exact.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect import TopQuantile
from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.maps import as_float32
from fastdissect.benchmarks.work import Found, Work, unit_rows

__all__ = ["numpy_partition", "numpy_sort", "ours", "torch_quantile", "torch_topk"]

BATCH = 64  # images that ours is given at a time


def quantile_of(case: Case) -> Fraction:
    """The top fraction, 1/200 if the case does not say."""
    return Fraction(case.settings.get("quantile", "1/200"))


def _above(case: Case) -> int:
    """m: values that lie above the threshold."""
    return math.floor(quantile_of(case) * case.view().data[:, 0].size)


def ours(case: Case) -> Work:
    """`fastdissect.TopQuantile`, from the layout that the network gives."""
    data: Any = case.activations
    if case.kind == "bfloat16":
        import torch

        data = torch.from_numpy(data.view(np.int16)).view(torch.bfloat16)

    def run(_: None) -> Found:
        total = case.activations[:, 0].size
        top = TopQuantile(case.units, quantile_of(case), total)
        for first in range(0, case.images, BATCH):
            top.update(data[first : first + BATCH])
        return {"thresholds": top.thresholds()}

    return Work(run)


def float_rows(case: Case) -> NDArray[np.float32]:
    """[units, values] in float32: NumPy has no bfloat16, so that its widening counts as layout."""
    return as_float32(unit_rows(case.activations))


def numpy_partition(case: Case) -> Work:
    place = case.activations[:, 0].size - 1 - _above(case)

    def run(rows: NDArray[np.float32]) -> Found:
        rows.partition(place, axis=1)
        return {"thresholds": rows[:, place].copy()}

    return Work(run, lambda: float_rows(case))


def numpy_sort(case: Case) -> Work:
    place = case.activations[:, 0].size - 1 - _above(case)

    def run(rows: NDArray[np.float32]) -> Found:
        rows.sort(axis=1)
        return {"thresholds": rows[:, place].copy()}

    return Work(run, lambda: float_rows(case))


def torch_topk(case: Case) -> Work:
    import torch

    def arrange() -> Any:
        rows = torch.from_numpy(unit_rows(case.activations).view(_signed(case)))
        return rows.view(torch.bfloat16) if case.kind == "bfloat16" else rows

    def run(rows: Any) -> Found:
        least = rows.topk(_above(case) + 1, dim=1, sorted=False).values.amin(1)
        return {"thresholds": least.float().numpy()}

    return Work(run, arrange)


def torch_quantile(case: Case) -> Work:
    """A unit a call: torch.quantile refuses more than 16 million values at once. It interpolates."""
    import torch

    level = float(1 - quantile_of(case))

    def run(rows: Any) -> Found:
        return {"thresholds": torch.stack([row.quantile(level) for row in rows]).numpy()}

    return Work(run, lambda: torch.from_numpy(float_rows(case)))


def _signed(case: Case) -> Any:
    """What torch takes from NumPy: it has no uint16 arithmetic, and needs none."""
    return np.int16 if case.kind == "bfloat16" else np.float32
