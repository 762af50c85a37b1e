"""The objective, from one reading's sums: it costs no reading of its own.

    sum_i w_i ||X_i / s_i - F B_i^T||^2 + penalty(F) + sum_pixels lambda_P ||B||^2 + sum_neurons lambda_O (||B||^2 + 2 ||B||_1)

    penalty(F)   elastic-net    lambda_F (||F||^2 + 2 ||F||_1)
                 group-sparse   lambda_F sum_g sum_r ||F[g, r]||_2

Default rule (our formulation of METHODS 4.3): s_i = ||X_i|| / sqrt(examples), so that an example's data are of norm 1 on
average whatever the layer and the number of examples; w_i = 1, and 1 / channels for the channels of a picture, which weigh
as one matrix together (`weights="each"`: 1 each). Under faithful s_i = w_i = 1.

A squared error is ||X||^2 - 2 <B, X^T F> + <B^T B, F^T F> in float64. The products before were made in float32, so an error is
right to about 1e-6 of ||X||^2.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fastdissect.methods.factorization.problem import Problem
from fastdissect.methods.factorization.settings import FactorizationSettings
from fastdissect.methods.factorization.sweeping import Sums

__all__ = ["Value", "value_of"]


@dataclass(frozen=True)
class Value:
    """How good a state is.

    Attributes:
        objective: with penalties. fit: weighted squared error of all matrices over that of zeros; neurons_fit: of the
            matrices of kind "neurons" alone (NaN without any).
        fits: of each matrix, ||X - its reconstruction||^2 / ||X||^2; NaN: a matrix of zeros.
    """

    objective: float
    fit: float
    neurons_fit: float
    fits: tuple[float, ...]


def value_of(problem: Problem, settings: FactorizationSettings, loadings: list[Tensor], sums: Sums) -> Value:
    """See `Value`."""
    errors, penalty = [], 0.0
    for side, stored, moment in zip(problem.sides, loadings, sums.moments, strict=True):
        b = stored.double()
        crossed, spread = float((b * moment).sum()), float(((b.T @ b) * sums.gram).sum())
        errors.append(max(side.square - 2 * crossed + spread, 0.0))
        penalty += side.ridge * float(b.square().sum()) + 2 * side.linear * float(b.sum())
    if settings.penalty == "group-sparse":
        penalty += settings.mixtures * sums.lengths
    else:
        penalty += settings.mixtures * (float(sums.gram.trace()) + 2 * sums.total)
    neurons = [i for i, one in enumerate(problem.matrices) if one.kind == "neurons"]
    return Value(
        objective=sum(side.weight * e for side, e in zip(problem.sides, errors, strict=True)) + penalty,
        fit=_share(problem, errors, range(len(errors))),
        neurons_fit=_share(problem, errors, neurons),
        fits=tuple(_share(problem, errors, [i]) for i in range(len(errors))),
    )


def _share(problem: Problem, errors: list[float], which: range | list[int]) -> float:
    whole = sum(problem.sides[i].weight * problem.sides[i].square for i in which)
    return sum(problem.sides[i].weight * errors[i] for i in which) / whole if whole else float("nan")
