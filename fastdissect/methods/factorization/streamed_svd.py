"""The leading singular vectors of matrices that are read block by block: randomised subspace iteration.

scikit-learn's `randomized_svd` wants the matrix in memory. Here a pass over the data gives X^T X Q at once, so that k
passes and one for the last products (Halko, Martinsson & Tropp 2011, algorithms 4.4 and 5.1) read everything k + 1 times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastdissect.methods.factorization.problem import Problem
from fastdissect.methods.factorization.products import moments_of, projected

__all__ = ["Singular", "streamed_svd"]

_PASSES, _MORE = 5, 10


@dataclass(frozen=True, eq=False)
class Singular:
    """X ~ left @ diag(values) @ right.T, float64: left [examples, k], values [k] descending, right [features, k]."""

    left: Tensor
    values: Tensor
    right: Tensor


def streamed_svd(
    problem: Problem, sets: Sequence[Sequence[int]], rank: int, seed: int, passes: int = _PASSES
) -> list[Singular]:
    """Return the singular vectors of each set of matrices, their columns side by side, each times sqrt(weight) / scale.

    Args:
        sets: numbers of the problem's matrices.
        rank: vectors wanted; fewer where the set has fewer examples or features, or is of lower rank.
        passes: over the data before the last one; more of them part singular values that lie closer together.

    Memory: examples * (rank + 10) * 8 bytes for each set.
    """
    rng = np.random.default_rng(seed)
    bases, starts = [], []
    for own in sets:
        sizes = [problem.matrices[i].features for i in own]
        width = min(rank + _MORE, sum(sizes), problem.examples)
        drawn = rng.standard_normal((sum(sizes), width))
        bases.append(torch.linalg.qr(torch.from_numpy(drawn).to(problem.device)).Q)
        starts.append(np.cumsum([0, *sizes]).tolist())
    for _ in range(passes):
        images = [torch.zeros_like(basis.T) for basis in bases]
        parts = _parted(problem, sets, starts, bases)
        for first, last in problem.parts():
            blocks = problem.read(first, last)
            for own, start, part, image in zip(sets, starts, parts, images, strict=True):
                y = _product(problem, own, part, blocks).to(problem.dtype)
                for i, a, b in zip(own, start[:-1], start[1:], strict=True):
                    image[:, a:b] += moments_of(blocks[i], y)
        for own, start, image in zip(sets, starts, images, strict=True):
            for i, a, b in zip(own, start[:-1], start[1:], strict=True):
                image[:, a:b] *= _factor(problem, i)
        bases = [torch.linalg.qr(image.T).Q for image in images]
    lefts = [
        torch.zeros(problem.examples, basis.shape[1], dtype=torch.float64, device=problem.device)
        for basis in bases
    ]
    parts = _parted(problem, sets, starts, bases)
    for first, last in problem.parts():
        blocks = problem.read(first, last)
        for own, part, left in zip(sets, parts, lefts, strict=True):
            left[first:last] = _product(problem, own, part, blocks)
    found = []
    for basis, left in zip(bases, lefts, strict=True):
        u, s, vh = torch.linalg.svd(left, full_matrices=False)
        kept = (
            min(rank, int((s > s[0] * 1e-6).sum())) if float(s[0]) > 0 else 0
        )  # float32 products give no more
        found.append(Singular(u[:, :kept], s[:kept], basis @ vh[:kept].T))
    return found


def _factor(problem: Problem, i: int) -> float:
    return float(problem.sides[i].weight ** 0.5 / problem.sides[i].scale)


def _parted(
    problem: Problem, sets: Sequence[Sequence[int]], starts: Sequence[list[int]], bases: list[Tensor]
) -> list[list[Tensor]]:
    """Of each set the basis of each of its matrices, in the products' dtype."""
    return [
        [basis[a:b].to(problem.dtype) for _, a, b in zip(own, start[:-1], start[1:], strict=True)]
        for own, start, basis in zip(sets, starts, bases, strict=True)
    ]


def _product(problem: Problem, own: Sequence[int], part: list[Tensor], blocks: list[Tensor]) -> Tensor:
    """X Q of a block, float64 [examples, width]."""
    total = torch.zeros(len(blocks[0]), part[0].shape[1], dtype=torch.float64, device=problem.device)
    for i, basis in zip(own, part, strict=True):
        total += projected(blocks[i], basis).double() * _factor(problem, i)
    return total
