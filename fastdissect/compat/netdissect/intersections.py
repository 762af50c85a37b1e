"""Intersections of units with conditions, out of conditional means or quantiles: IoU and other scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastdissect.compat.netdissect.quantile import RunningConditionalQuantile
from fastdissect.compat.netdissect.variance import RunningConditionalVariance
from fastdissect.errors import SettingError

__all__ = [
    "information_quality_ratio",
    "intersection_from_conditional_quantile",
    "intersection_over_union",
    "iou_from_conditional_indicator_mean",
    "iou_from_conditional_quantile",
    "iqr_from_conditional_quantile",
    "joint_entropy",
    "mi_from_conditional_quantile",
    "mutual_information",
]

Cutoff = float | Sequence[float] | Tensor


def iou_from_conditional_indicator_mean(condmv: RunningConditionalVariance) -> Tensor:
    """Intersection over union of each condition's pixels with each unit's mask, out of means of masks.

    Args:
        condmv: of `tally_conditional_mean` over masks (zeros and ones); condition 0 is all pixels, as
            `conditional_samples` gives them; the others are whole numbers.

    Returns:
        float32 [largest condition + 1, units]: the quotient of two pixel counts, rounded once (the peer's comes
        from rounded means). A condition that never occurred, or an empty union, has 0 (the peer: NaN for a unit
        whose mask is always empty, which then wins its `max`). Row 0 is the mask's share of all pixels.

    Raises:
        SettingError: there is no condition 0, or one that is no whole number.
    """
    labels = _labels(condmv.keys())
    everything = condmv.conditional(0)
    active = everything.sum()
    iou = torch.zeros(max(labels) + 1, len(active), dtype=torch.float64, device=active.device)
    for c in labels:
        here = condmv.conditional(c)
        shared = here.sum().to(active.device)
        union = active + here.size() - shared
        iou[c] = torch.where(union > 0, shared / union, 0.0)
    return iou.float()


def intersection_over_union(arr: Tensor) -> Tensor:
    """Of arr [2, 2, ...] = [[p(a, b), p(a, not b)], [p(not a, b), p(neither)]]: p(a, b) / p(a or b)."""
    return arr[0, 0] / (1 - arr[1, 1])


def mutual_information(arr: Tensor) -> Tensor:
    """Of the same: the information, in nats, that a and b have in common; at least 0."""
    independent = arr.sum(1, keepdim=True) * arr.sum(0, keepdim=True)
    terms = torch.xlogy(arr, arr) - torch.xlogy(arr, independent)
    return terms.nan_to_num(0.0, 0.0, 0.0).sum((0, 1)).clamp(min=0)


def joint_entropy(arr: Tensor) -> Tensor:
    """Of the same: the entropy of the pair, in nats; at least 0."""
    return -torch.xlogy(arr, arr).nan_to_num(0.0, 0.0, 0.0).sum((0, 1)).clamp(max=0)


def information_quality_ratio(arr: Tensor) -> Tensor:
    """Of the same: mutual information over joint entropy; 0 where there is no entropy."""
    return (mutual_information(arr) / joint_entropy(arr)).nan_to_num(0.0)


def iou_from_conditional_quantile(
    condq: RunningConditionalQuantile, cutoff: Cutoff = 0.95, min_batches: int = 2
) -> Tensor:
    """Intersection over union, float32 [units, largest condition + 1, *cutoff]; see `intersection_from_...`."""
    return intersection_from_conditional_quantile(condq, intersection_over_union, cutoff, min_batches)


def iqr_from_conditional_quantile(
    condq: RunningConditionalQuantile, cutoff: Cutoff = 0.95, min_batches: int = 2
) -> Tensor:
    """Information quality ratio, float32 [units, largest condition + 1, *cutoff]; see `intersection_from_...`."""
    return intersection_from_conditional_quantile(condq, information_quality_ratio, cutoff, min_batches)


def mi_from_conditional_quantile(
    condq: RunningConditionalQuantile, cutoff: Cutoff = 0.95, min_batches: int = 2
) -> Tensor:
    """Mutual information, float32 [units, largest condition + 1, *cutoff]; see `intersection_from_...`."""
    return intersection_from_conditional_quantile(condq, mutual_information, cutoff, min_batches)


def intersection_from_conditional_quantile(
    condq: RunningConditionalQuantile,
    statistic: Callable[[Tensor], Tensor] = lambda arr: arr[0, 0],
    cutoff: Cutoff = 0.95,
    min_batches: int = 2,
) -> Tensor:
    """A score of each unit's mask (values above its quantile `cutoff`) with each condition's pixels.

    Args:
        condq: of `tally_conditional_quantile`; condition 0 is all pixels, the others are whole numbers.
        statistic: of arr [2, 2, units, *cutoff] = [[p(a, b), p(a, not b)], [p(not a, b), p(neither)]], a the mask
            and b the condition, shares of all pixels in float64; default: p(a, b).
        cutoff: one level or several.
        min_batches: a condition that was added in fewer batches keeps 0.

    Returns:
        float32 [units, largest condition + 1, *cutoff]. Shares are read from interpolated distribution functions,
        as the peer does, so they differ from pixel counts by up to one pixel of the condition.

    Raises:
        SettingError: there is no condition 0, or one that is no whole number.
    """
    labels = _labels(condq.keys())
    everything = condq.conditional(0)
    level = everything.quantiles(cutoff)
    share = torch.as_tensor(
        np.asarray(cutoff, np.float64) if not isinstance(cutoff, Tensor) else cutoff.double()
    )
    predicted = (1 - share).to(level.device)
    scores = torch.zeros((level.shape[0], max(labels) + 1, *share.shape), device=level.device)
    for c in labels:
        here = condq.conditional(c)
        if c == 0 or here.batchcount < min_batches:
            continue
        true = here.size() / everything.size()
        both = true * (1 - here.normalize(level.to(here.device)).to(level.device, torch.float64))
        either = predicted + true - both
        pairs: Any = [both, predicted - both, true - both, 1 - either]
        scores[:, c] = statistic(torch.stack(pairs).view(2, 2, *both.shape)).to(scores.dtype)
    return scores


def _labels(conditions: Iterable[Any]) -> list[int]:
    """Conditions that are whole numbers, 0 among them, ascending.

    Raises:
        SettingError: they are not.
    """
    found = list(conditions)
    for c in found:
        if isinstance(c, bool) or not isinstance(c, (int, np.integer)) or c < 0:
            raise SettingError(f"expected conditions to be whole numbers from 0, the labels; got {c!r}")
    if 0 not in found:
        raise SettingError(
            "expected a condition 0 with all pixels, as conditional_samples() gives; "
            f"got {sorted(found)[:8] or 'none'}"
        )
    return sorted(int(c) for c in found)
