"""The body of a distribution: a sketch's weighted samples, up to the exactly known tail."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fastdissect.compat.running.quantile_readout import Floats, weighted_levels, wide

__all__ = ["body_knots", "body_of"]


def body_of(parts: Sequence[tuple[Tensor, int]], largest: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
    """(samples [units, n], weights float64 [units, n]) of what is not in the tail; samples rise in a unit.

    Samples above the tail's least value have weight 0 and that value: the tail stands for them. The others' weights
    add up to the number of values not in the tail.

    Args:
        parts: (values [units, n], weight) of the sketch.
        largest: the tail [units, rank], rising, or None.
        count: values seen.
    """
    samples = torch.cat([values for values, _ in parts], dim=1)
    by_column = torch.cat([torch.full((values.shape[1],), float(weight)) for values, weight in parts])
    samples, order = samples.sort(dim=1, stable=True)  # ties stay in the parts' order, as in the peers
    weights = by_column.double().to(samples.device)[order]
    return (samples, weights) if largest is None else _below(samples, weights, largest, count)


def body_knots(
    body: tuple[Tensor, Tensor], extremes: Tensor, largest: Tensor | None, count: int, end: float
) -> tuple[Floats, Floats]:
    """(levels, values), [units, n + 2] each: the least value, the samples, the greatest value.

    With a tail, its least value at its level `end` takes the place of the greatest.
    """
    samples, weights = body
    if largest is None:
        knots = torch.cat([extremes[:, :1], samples, extremes[:, 1:]], dim=1)
        return weighted_levels(wide(weights)), wide(knots)
    rest = wide(weights)
    levels = np.minimum((np.cumsum(rest, axis=1) - rest / 2) / count, end)
    knots = torch.cat([extremes[:, :1], samples, largest[:, :1]], dim=1)
    return np.pad(levels, ((0, 0), (1, 1)), constant_values=((0, 0), (0, end))), wide(knots)


def _below(samples: Tensor, weights: Tensor, tail: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Samples above the tail's least value give way to it at weight 0; the others' weights are scaled to
    the number of values not in the tail.

    Of the samples that equal it, some stand for values in the tail: as many as there are.
    """
    least, rest = tail[:, :1], count - tail.shape[1]
    inside = (tail == least).sum(1, keepdim=True)
    ties = torch.where(samples == least, weights, 0.0)
    held = ties.sum(1, keepdim=True)
    share = (held - inside).clamp_(min=0) / held.clamp(min=1)
    weights = torch.where(samples < least, weights, ties * share)
    none = weights.sum(1) == 0  # all samples lie in the tail: what is left is at its end or below
    weights[none, 0] = 1.0
    return torch.minimum(samples, least), weights * (rest / weights.sum(1, keepdim=True))
