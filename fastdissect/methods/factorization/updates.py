"""Multiplicative updates: each lowers the objective, or leaves it, whatever the step.

For values V (mixtures or loadings), a numerator N, a Gram matrix G of the other side, and a penalty
ridge ||V||^2 + 2 linear ||V||_1,

    V <- V * N / (V G + ridge V + linear)

minimises a bound of the objective that touches it at V (Lee & Seung 2001; the linear term is bounded by
linear (V'^2 / V + V)). Only products with G are left to do once N is known, so that several updates cost one reading
of the data (Gillis & Glineur 2012).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["SMALLEST", "multiplied"]

# Weights that fall to this are 0: a factor that dies by halves would soon be subnormal, and every product slow.
SMALLEST = 1e-30


def multiplied(
    values: Tensor, numerator: Tensor, gram: Tensor, *, ridge: float, linear: float, repeats: int
) -> Tensor:
    """Return updated values.

    Args:
        values: [rows, rank], >= 0. numerator: float64 [rows, rank], >= 0. gram: float64 [rank, rank].
        ridge, linear: of the penalty. repeats: updates.

    Returns:
        [rows, rank] in the dtype of `values`; computed in float64. What is 0 stays 0; where nothing pulls at all
        (0 / 0: a dead factor) the result is 0.
    """
    now = torch.empty_like(values, dtype=torch.float64).copy_(values)
    below = torch.empty_like(now)
    for _ in range(repeats):  # in place: these arrays are as long as a layer has neurons
        torch.matmul(now, gram, out=below)
        if ridge or linear:
            below.add_(now, alpha=ridge).add_(linear)
        below.masked_fill_(below <= 0, torch.inf)
        now.mul_(torch.div(numerator, below, out=below))
        torch.threshold_(now, SMALLEST, 0.0)
    return now.to(values.dtype)
