"""The released update rule, for parity (METHODS 4.3, from the authors' code): its objective may rise.

Matrices as they come, all of weight 1; 1e-9 added to every denominator; the loadings' columns rescaled to unit length in
every iteration without multiplying the mixtures back, which is no descent step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fastdissect.methods.factorization.group_sparse import group_shrunk

__all__ = ["EP", "faithful_group", "faithful_multiplied", "rows_to_one", "unit_columns"]

EP = 1e-9
_INNER = 50
_NORM_CHANGE = 1e-2


def faithful_multiplied(
    values: Tensor, numerator: Tensor, gram: Tensor, *, ridge: float, linear: float
) -> Tensor:
    """values * numerator / (values gram + ridge values + linear + 1e-9), in float64; the dtype of `values`."""
    now = values.double()
    return (now * numerator / (now @ gram + ridge * now + linear + EP)).to(values.dtype)


def unit_columns(loadings: Tensor) -> Tensor:
    """Columns of unit length; a column of zeros (a dead factor) stays one."""
    length = torch.linalg.vector_norm(loadings, dim=0, dtype=torch.float64)
    return (loadings.double() / torch.where(length > 0, length, 1.0)).to(loadings.dtype)


def rows_to_one(mixtures: Tensor) -> Tensor:
    """Each factor's weights divided by their sum over the examples (branch G); a dead factor stays 0."""
    total = mixtures.sum(0, dtype=torch.float64)
    return (mixtures.double() / torch.where(total > 0, total, 1.0)).to(mixtures.dtype)


def faithful_group(
    start: Tensor, numerators: Sequence[Tensor], grams: Sequence[Tensor], weight: float
) -> Tensor:
    """The mixtures of a group by the released proximal steps (branch G).

    Args:
        start: [examples of the group, rank]. numerators: of each matrix, X_i B_i, float64, as large.
        grams: of each matrix, B_i^T B_i, float64 [rank, rank]. weight: lambda_F.

    Matrix i is stepped by 1 / (matrices * tau * s_i), s_i the largest eigenvalue of its Gram matrix, and tau follows the
    release's recursion, which is not that of accelerated gradients. A matrix without loadings (s_i = 0) takes no part.
    """
    largest = [float(torch.linalg.eigvalsh(gram)[-1]) for gram in grams]
    live = [i for i, s in enumerate(largest) if s > 0]
    if not live:
        return torch.zeros_like(start)
    count, threshold = len(grams), weight * sum(1 / largest[i] for i in live)
    pull = sum((numerators[i] / largest[i] for i in live), torch.zeros_like(numerators[0]))
    gram = sum((grams[i] / largest[i] for i in live), torch.zeros_like(grams[0]))
    z = mean = start.double()
    tau = 1.0
    for _ in range(_INNER):
        before = float(torch.linalg.vector_norm(mean))
        ahead = tau * z + (1 - tau) * mean
        z = group_shrunk(z - (ahead @ gram - pull) / (count * tau), threshold / tau)
        mean = tau * z + (1 - tau) * mean
        tau = (math.sqrt(1 + 4 * tau) - 1) / (2 * tau)
        if abs(float(torch.linalg.vector_norm(mean)) - before) < _NORM_CHANGE:
            break
    return mean.to(start.dtype)
