"""Average precision, and what it is by chance.

The control shifts the labels along the positions, which are in the order of the images: whole stretches of an image
stay together, as neighbouring cells are alike, but fall on other images. Independent shuffles of the cells would make
chance look narrower than it is. Our formulation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["average_precision", "best_cut", "chance_precision", "iou_above"]

Floats = NDArray[np.float64]


def average_precision(scores: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Mean over the positives of the precision among all that score at least as high; equal scores stand together.

    Args:
        scores: float64 [n]. positive: bool [..., n].

    Returns:
        float64 [...]; NaN where nothing is positive.

    >>> float(average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True])))
    0.8333333333333333
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, len(scores) > 0))  # of runs of equal scores
    hits = np.cumsum(positive[..., order], axis=-1, dtype=np.int64)[..., ends]
    gained = np.diff(hits, axis=-1, prepend=0)
    total = hits[..., -1] if len(ends) else np.zeros(positive.shape[:-1])
    with np.errstate(invalid="ignore"):
        found: Floats = np.asarray((gained * hits / (ends + 1)).sum(-1) / total)
    return found


def chance_precision(
    scores: Floats, positive: NDArray[np.bool_], shifts: int, quantile: float, seed: tuple[int, ...]
) -> float:
    """The quantile of the average precision under shifted labels; NaN where there is nothing to shift.

    Args:
        scores, positive: [n], in the order of the positions.
        shifts: how many, drawn from the n - 1 that there are.
    """
    n = len(scores)
    if n < 2 or not positive.any():
        return float("nan")
    by = 1 + np.random.default_rng(seed).integers(n - 1, size=shifts)
    found = []
    for some in np.array_split(by, max(1, shifts * n >> 22)):  # 32 MB of counts at a time
        found.append(average_precision(scores, positive[(np.arange(n) - some[:, None]) % n]))
    return float(np.quantile(np.concatenate(found), quantile, method="higher"))


def iou_above(scores: Floats, covered: Floats, cut: float) -> float:
    """IoU of the cells that score above a cut with the concept, which covers a share of each cell; NaN of nothing."""
    above = scores > cut
    union = float(covered.sum() + (1 - covered[above]).sum())
    return float(covered[above].sum()) / union if union else float("nan")


def best_cut(scores: Floats, covered: Floats) -> float:
    """The cut of the largest `iou_above`: a score of the highest that stays below it, or -inf; ties: the highest.

    >>> best_cut(np.array([3.0, 2.0, 1.0]), np.array([1.0, 1.0, 0.0]))
    1.0
    """
    order = np.argsort(-scores, kind="stable")
    own, share = scores[order], covered[order]
    ends = np.flatnonzero(np.append(np.diff(own) != 0, len(own) > 0))
    inside = np.cumsum(share)[ends]
    iou = inside / np.maximum(covered.sum() + (1 - share).cumsum()[ends], 1e-300)
    best = int(ends[int(np.argmax(iou))])
    return float(own[best + 1]) if best + 1 < len(own) else float("-inf")
