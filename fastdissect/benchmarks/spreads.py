"""Medians, quartiles, ratios and slopes of repeated runs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles

import numpy as np

__all__ = ["slope", "spread"]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile.

    >>> spread([3.0, 1.0, 2.0]), spread([4.0])
    ((1.0, 2.0, 3.0), (4.0, 4.0, 4.0))
    """
    low, _, high = quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return low, median(values), high


def slope(x: Sequence[float], seconds: Sequence[float]) -> float:
    """The exponent b of seconds = a x^b: a straight line through the logarithms.

    >>> round(slope([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    return float(np.polyfit(np.log(x), np.log(seconds), 1)[0])
