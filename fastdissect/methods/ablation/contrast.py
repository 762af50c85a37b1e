"""Do detectors matter more than other units? Single-unit ablations, detectors against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Contrast", "contrast_of"]

PERMUTATIONS = 10_000
_AT_ONCE = 500


@dataclass(frozen=True)
class Contrast:
    """One measure of what ablating a unit does, over all units of a layer.

    NaN where it cannot be said: no detectors, no others, or the same value for all units.
    """

    measure: str  # "drop" of accuracy, or "shift" of the logits
    detectors: int
    others: int
    detectors_mean: float
    others_mean: float
    p: float  # of a difference of means at least as large, either way, when units are shuffled
    correlation: float  # Pearson's, with IoU
    rank_correlation: float  # Spearman's
    rank_p: float
    permutations: int

    @property
    def difference(self) -> float:
        return self.detectors_mean - self.others_mean


def contrast_of(
    units: pd.DataFrame, measure: str, seed: int = 0, permutations: int = PERMUTATIONS
) -> Contrast:
    """Compare the detectors' mean with the others', and correlate with IoU; p-values by permutation.

    p = (1 + permutations at least as extreme) / (1 + permutations), two-sided.

    Args:
        units: columns `measure`, "iou", "detector"; a row a unit.

    Source: our formulation; the p-value counts the observed arrangement (Phipson and Smyth 2010).
    """
    values = units[measure].to_numpy(np.float64)
    iou, detects = units["iou"].to_numpy(np.float64), units["detector"].to_numpy(bool)
    ranks = [np.asarray(units[name].rank(), np.float64) for name in (measure, "iou")]
    nan = float("nan")
    p, rank_p = _p(((detects, values), (ranks[1], ranks[0])), np.random.default_rng(seed), permutations)
    return Contrast(
        measure=measure,
        detectors=int(detects.sum()),
        others=int((~detects).sum()),
        detectors_mean=float(values[detects].mean()) if detects.any() else nan,
        others_mean=float(values[~detects].mean()) if not detects.all() else nan,
        p=p,
        correlation=_correlation(values, iou),
        rank_correlation=_correlation(*ranks),
        rank_p=rank_p,
        permutations=permutations,
    )


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else float("nan")


def _p(
    pairs: Sequence[tuple[NDArray[Any], NDArray[np.float64]]],
    generator: np.random.Generator,
    permutations: int,
) -> list[float]:
    """Two-sided, of sum(weights * values): the difference of means and the correlation rise with it alone.

    NaN where the weights, or the values, are all equal.
    """
    centred = [
        (weights - np.mean(weights, dtype=np.float64), values - values.mean()) for weights, values in pairs
    ]
    extreme = np.zeros(len(pairs), np.int64)
    observed = [abs(weights @ values) * (1 - 1e-12) for weights, values in centred]
    order = np.arange(len(pairs[0][1]))
    for done in range(0, permutations, _AT_ONCE):
        shuffled = generator.permuted(
            np.tile(order, (min(_AT_ONCE, permutations - done), 1)), axis=1
        )  # one shuffle for all
        for n, (weights, values) in enumerate(centred):
            extreme[n] += int((np.abs(values[shuffled] @ weights) >= observed[n]).sum())
    return [
        float((1 + count) / (1 + permutations)) if weights.any() and values.any() else float("nan")
        for count, (weights, values) in zip(extreme, centred, strict=True)
    ]
