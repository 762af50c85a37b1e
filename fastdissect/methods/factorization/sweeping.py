"""One reading of the data: new mixtures, example by example, and all that the loadings' update and the objective need.

Given the loadings the mixtures' problem separates by example (by group under the group-sparse penalty). For each block of
examples the products X B of all matrices give its new mixtures F, and X^T F is summed up at once while the block is at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fastdissect.methods.factorization.group_sparse import group_lengths
from fastdissect.methods.factorization.problem import Problem
from fastdissect.methods.factorization.products import moments_of, projected

__all__ = ["State", "Sums", "grams", "sweep", "units_of", "weighted"]

# update(mixtures [unit, rank], numerators of each matrix, float64 [unit, rank]) -> mixtures
Update = Callable[[Tensor, list[Tensor]], Tensor]


@dataclass
class State:
    """Where a solution stands. mixtures: [examples, rank]. loadings: of each matrix, [features, rank]."""

    mixtures: Tensor
    loadings: list[Tensor]


@dataclass
class Sums:
    """Of one reading, in float64.

    Attributes:
        moments: of each matrix (X / scale)^T F, [features, rank]. gram: F^T F, [rank, rank].
        total: ||F||_1. lengths: sum of ||F[group, r]||_2 (0 without groups).
    """

    moments: list[Tensor]
    gram: Tensor
    total: float
    lengths: float


def units_of(problem: Problem, group: int | None) -> list[tuple[int, int]]:
    """Examples that are updated together: a block; of groups of so many examples as many as a block holds, or one."""
    if group is None:
        return problem.parts()
    size = group * max(1, problem.block // group)
    return [(at, min(at + size, problem.examples)) for at in range(0, problem.examples, size)]


def grams(loadings: list[Tensor]) -> list[Tensor]:
    """B^T B of each, float64."""
    wide = [one.double() for one in loadings]
    return [one.T @ one for one in wide]


def weighted(problem: Problem, parts: list[Tensor]) -> Tensor:
    """The sum of the matrices' parts by the matrices' weights."""
    total = torch.zeros_like(parts[0])
    for side, part in zip(problem.sides, parts, strict=True):
        total += side.weight * part
    return total


def sweep(problem: Problem, state: State, group: int | None, update: Update) -> Sums:
    """Update the mixtures in place, and return the sums.

    Products are made in the problem's dtype (float32 outside tests) over a block, and added in float64 in the examples'
    order: the same bits from the same threads and blocks. A group larger than a block is read twice.
    """
    rank, device = state.mixtures.shape[1], problem.device
    moments = [torch.zeros(rank, len(b), dtype=torch.float64, device=device) for b in state.loadings]
    sums = Sums([], torch.zeros(rank, rank, dtype=torch.float64, device=device), 0.0, 0.0)
    for first, last in units_of(problem, group):
        parts = problem.parts(first, last)
        numerators = [
            torch.empty(last - first, rank, dtype=torch.float64, device=device) for _ in problem.sides
        ]
        for begin, end in parts:
            blocks = problem.read(begin, end)
            for i, (side, x, b) in enumerate(zip(problem.sides, blocks, state.loadings, strict=True)):
                numerators[i][begin - first : end - first] = projected(x, b).double() / side.scale
        mixtures = update(state.mixtures[first:last], numerators)
        state.mixtures[first:last] = mixtures
        for begin, end in parts:
            if len(parts) > 1:
                blocks = problem.read(begin, end)
            f = mixtures[begin - first : end - first]
            for x, moment in zip(blocks, moments, strict=True):
                moment += moments_of(x, f)
        wide = mixtures.double()
        sums.gram += wide.T @ wide
        sums.total += float(wide.sum())
        if group is not None:
            sums.lengths += group_lengths(wide, group)
    sums.moments = [
        (moment / side.scale).T.contiguous() for side, moment in zip(problem.sides, moments, strict=True)
    ]
    return sums
