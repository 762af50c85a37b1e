"""The mixtures of a group of examples under the group-sparse penalty: accelerated proximal gradient (FISTA).

    minimise over F >= 0    sum_i w_i ||X_i - F B_i^T||^2 + weight sum_r ||F[group, r]||_2

With N = sum_i w_i X_i B_i and G = sum_i w_i B_i^T B_i the gradient of the first term is 2 (F G - N), and L = 2 lambda_max(G)
bounds its slope: the published convergence rate holds (Beck & Teboulle 2009), with a restart of the momentum where the
objective rises (O'Donoghue & Candes 2015). The best point seen is returned, so that the objective never rises.

Our formulation of the released code's branch G (METHODS 4.3), which weighs matrices by its steps and uses another momentum.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["group_lengths", "group_shrunk", "group_size", "group_sparse"]


def group_size(examples: int, groups: int) -> int:
    """Examples of a group, ceil(examples / groups): groups are consecutive, the last may be shorter, empty ones are skipped.

    >>> group_size(7, 3)
    3
    """
    return -(-examples // groups)


def group_lengths(mixtures: Tensor, group: int) -> float:
    """The sum of ||F[g, r]||_2 over factors and over groups of `group` examples, the last of them maybe shorter."""
    return float(sum(torch.linalg.vector_norm(part, dim=0).sum() for part in torch.split(mixtures, group)))


def group_shrunk(values: Tensor, threshold: float) -> Tensor:
    """The proximal map of threshold sum_r ||F[:, r]||_2 under F >= 0: negative values to 0, then columns shortened.

    Args:
        values: [..., examples of a group, rank].
    """
    positive = values.clamp(min=0)
    length = torch.linalg.vector_norm(positive, dim=-2, keepdim=True)
    return torch.where(length > threshold, positive * (1 - threshold / length.clamp(min=1e-300)), 0.0)


def group_sparse(
    start: Tensor, numerator: Tensor, gram: Tensor, weight: float, *, group: int, steps: int, tolerance: float
) -> Tensor:
    """Return the mixtures of some groups, of an objective no higher than at `start`. Groups do not change each other.

    Args:
        start: [examples, rank], >= 0. numerator: float64, as large. gram: float64 [rank, rank].
        weight: of the penalty. group: examples of a group; the last may be shorter.
        steps: at most. tolerance: a group is done when a step moves it by less than this share of its norm.

    Returns:
        [examples, rank], in the dtype of `start`; computed in float64.
    """
    slope = 2 * float(torch.linalg.eigvalsh(gram)[-1])
    if slope <= 0:
        return torch.zeros_like(start)  # no loadings: nothing pulls, and the penalty pushes
    whole = len(start) // group * group
    found = []
    for part, size in ((slice(0, whole), group), (slice(whole, None), len(start) - whole)):
        if len(start[part]):
            shape = (-1, size, start.shape[1])
            f, n = (one[part].double().reshape(shape) for one in (start, numerator))
            found.append(_descended(f, n, gram, weight, slope, steps, tolerance).flatten(0, 1))
    return torch.cat(found).to(start.dtype)


def _descended(
    start: Tensor, numerator: Tensor, gram: Tensor, weight: float, slope: float, steps: int, tolerance: float
) -> Tensor:
    """Groups of one size, float64 [groups, examples of a group, rank]."""

    def norm(f: Tensor) -> Tensor:
        return f.square().sum((1, 2), keepdim=True).sqrt()

    def objective(f: Tensor) -> Tensor:
        smooth = (f * (f @ gram - 2 * numerator)).sum((1, 2), keepdim=True)
        return smooth + weight * f.square().sum(1, keepdim=True).sqrt().sum(2, keepdim=True)

    now = ahead = best = start
    lowest = last = objective(now)
    t = torch.ones_like(lowest)
    moving = torch.ones_like(lowest, dtype=torch.bool)
    for _ in range(steps):
        new = group_shrunk(ahead - 2 * (ahead @ gram - numerator) / slope, weight / slope)
        new = torch.where(moving, new, now)  # a group that is done waits, so that its answer is its own
        value = objective(new)
        lower = moving & (value < lowest)
        best, lowest = torch.where(lower, new, best), torch.where(lower, value, lowest)
        moving = moving & (norm(new - now) > tolerance * norm(new))
        if not bool(moving.any()):
            break
        t = torch.where(value > last, 1.0, t)
        following = (1 + (1 + 4 * t * t).sqrt()) / 2
        ahead = new + (t - 1) / following * (new - now)
        now, last, t = new, value, following
    return best
