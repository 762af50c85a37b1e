"""From one start to convergence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fastdissect.methods.factorization.convex_mixtures import best_mixtures
from fastdissect.methods.factorization.faithful import (
    faithful_group,
    faithful_multiplied,
    rows_to_one,
    unit_columns,
)
from fastdissect.methods.factorization.group_sparse import group_lengths, group_size, group_sparse
from fastdissect.methods.factorization.objective import Value, value_of
from fastdissect.methods.factorization.problem import Problem
from fastdissect.methods.factorization.settings import FactorizationSettings
from fastdissect.methods.factorization.sweeping import State, Sums, grams, sweep, weighted
from fastdissect.methods.factorization.updates import multiplied

__all__ = ["Solution", "solve"]

# A group's steps in an iteration: the next iteration goes on from there, and the last solves it to the end.
_STEPS, _TOLERANCE = 20, 1e-4


@dataclass(frozen=True, eq=False)
class Solution:
    """A state, and the value after each iteration. converged: the test was met before the iterations ran out."""

    state: State
    values: tuple[Value, ...]
    converged: bool


def solve(
    problem: Problem,
    settings: FactorizationSettings,
    start: State,
    progress: Callable[[int], None] | None = None,
) -> Solution:
    """Iterate from `start`, which is overwritten, until the settings' test holds or their iterations are spent.

    An iteration reads the data once (twice a group that is larger than a block), updates all mixtures, then all loadings.
    The default rule ends with one more reading that solves the mixtures to convergence (`best_mixtures`); it comes
    after the settings' iterations, with a row of its own, and its objective is no higher either.
    """
    step = _faithful_iteration if settings.faithful else _iteration
    values: list[Value] = []
    converged = False
    while len(values) < settings.most_iterations and not converged:
        values.append(value_of(problem, settings, start.loadings, step(problem, settings, start)))
        if progress is not None:
            progress(1)
        if len(values) > 1:
            before, now = values[-2:]
            if settings.faithful:
                converged = abs(before.fit - now.fit) < settings.least_change
            else:
                converged = before.objective - now.objective <= settings.least_change * before.objective
    if not settings.faithful:
        values.append(value_of(problem, settings, start.loadings, _last(problem, settings, start)))
        if progress is not None:
            progress(1)
    return Solution(start, tuple(values), converged)


def _iteration(problem: Problem, settings: FactorizationSettings, state: State) -> Sums:
    gram, group = weighted(problem, grams(state.loadings)), _group(problem, settings)

    def update(mixtures: Tensor, numerators: list[Tensor]) -> Tensor:
        pull, weight = weighted(problem, numerators), settings.mixtures
        if group is not None:
            return group_sparse(mixtures, pull, gram, weight, group=group, steps=_STEPS, tolerance=_TOLERANCE)
        return multiplied(mixtures, pull, gram, ridge=weight, linear=weight, repeats=settings.repeats)

    sums = sweep(problem, state, group, update)
    for i, side in enumerate(problem.sides):
        state.loadings[i] = multiplied(
            state.loadings[i],
            side.weight * sums.moments[i],
            side.weight * sums.gram,
            ridge=side.ridge,
            linear=side.linear,
            repeats=settings.repeats,
        )
    return sums


def _last(problem: Problem, settings: FactorizationSettings, state: State) -> Sums:
    gram, group = weighted(problem, grams(state.loadings)), _group(problem, settings)

    def update(mixtures: Tensor, numerators: list[Tensor]) -> Tensor:
        return best_mixtures(weighted(problem, numerators), gram, settings, group).to(mixtures.dtype)

    return sweep(problem, state, group, update)


def _faithful_iteration(problem: Problem, settings: FactorizationSettings, state: State) -> Sums:
    each, weight = grams(state.loadings), settings.mixtures
    gram, group = weighted(problem, each), _group(problem, settings)

    def update(mixtures: Tensor, numerators: list[Tensor]) -> Tensor:
        if group is not None:
            own = zip(*(torch.split(one, group) for one in (mixtures, *numerators)), strict=True)
            return torch.cat([faithful_group(f, pulls, each, weight) for f, *pulls in own])
        pull = weighted(problem, numerators)
        return faithful_multiplied(mixtures, pull, gram, ridge=weight, linear=weight)

    sums = sweep(problem, state, group, update)
    if group is not None:
        sums = _rows_to_one(state, sums, group)
    for i, side in enumerate(problem.sides):
        state.loadings[i] = unit_columns(
            faithful_multiplied(
                state.loadings[i], sums.moments[i], sums.gram, ridge=side.ridge, linear=side.linear
            )
        )
    return sums


def _rows_to_one(state: State, sums: Sums, group: int) -> Sums:
    """Divide each factor's weights by their sum, here and in the sums: no reading of the data for it."""
    total = state.mixtures.sum(0, dtype=torch.float64)
    share = torch.where(total > 0, 1 / torch.where(total > 0, total, 1.0), 1.0)
    state.mixtures = rows_to_one(state.mixtures)
    wide = state.mixtures.double()
    moments = [one * share for one in sums.moments]
    return Sums(moments, wide.T @ wide, float(wide.sum()), group_lengths(wide, group))


def _group(problem: Problem, settings: FactorizationSettings) -> int | None:
    """Examples of a group of the group-sparse penalty."""
    return group_size(problem.examples, settings.groups) if settings.penalty == "group-sparse" else None
