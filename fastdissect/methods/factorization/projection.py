"""New examples onto fitted factors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.convex_mixtures import best_mixtures
from fastdissect.methods.factorization.group_sparse import group_size
from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.problem import Problem, Side
from fastdissect.methods.factorization.products import projected
from fastdissect.methods.factorization.result import Factorization
from fastdissect.methods.factorization.sweeping import grams, units_of, weighted

__all__ = ["project"]


def project(
    factorization: Factorization, matrices: Sequence[FeatureMatrix], *, device: str = "cpu"
) -> NDArray[np.float32]:
    """Return the mixtures that explain examples best with the loadings as they are, float32 [examples, rank].

    The problem is convex and solved to convergence, with the fit's scales, weights and penalty of the mixtures. Under the
    default rule the fit ends the same way: its own examples give `mixtures` again, bit for bit with the same blocks,
    device and threads. Under faithful they do not (its mixtures are one step behind its loadings, and branch G divides
    them by their sum). Under the group-sparse penalty the examples are taken in order in groups as large as the fit's, so
    that an example's mixture depends on those beside it.

    Args:
        factorization: what was fitted.
        matrices: those of the fit, in its order (name, kind and shape), with other examples.

    Raises:
        SettingError: other matrices than the fit's. ActivationError: negative or non-finite values.

    Example:
        >>> project(found, new)                                                              # doctest: +SKIP
    """
    _check_same(factorization, matrices)
    settings, group = factorization.settings, None
    if settings.penalty == "group-sparse":
        group = group_size(len(factorization.mixtures), settings.groups)
    with Problem(matrices, settings.block, device=device) as problem:
        problem.sides = tuple(
            Side(one.scale, one.weight, 0.0, 0.0, one.dead, 0.0, 0.0) for one in factorization.loadings
        )
        loadings = [torch.tensor(one.values, device=problem.device) for one in factorization.loadings]
        gram = weighted(problem, grams(loadings))
        found = np.empty((problem.examples, factorization.rank), np.float32)
        for first, last in units_of(problem, group):
            parts = [_numerators(problem, loadings, *part) for part in problem.parts(first, last)]
            best = best_mixtures(torch.cat(parts), gram, settings, group)
            found[first:last] = best.cpu().numpy()
    return found


def _numerators(problem: Problem, loadings: list[Tensor], first: int, last: int) -> Tensor:
    """The sum of w X B / scale of a block, float64 [examples, rank]."""
    blocks = problem.read_checked(first, last)
    return weighted(
        problem,
        [
            projected(x, b).double() / side.scale
            for side, x, b in zip(problem.sides, blocks, loadings, strict=True)
        ],
    )


def _check_same(factorization: Factorization, matrices: Sequence[FeatureMatrix]) -> None:
    wanted: list[tuple[str, str, tuple[int, ...]]] = [
        (one.name, one.kind, tuple(one.shape)) for one in factorization.loadings
    ]
    got: list[tuple[str, str, tuple[int, ...]]] = [(one.name, one.kind, tuple(one.shape)) for one in matrices]
    if got != wanted:
        raise SettingError(
            f"expected the matrices that were fitted, {_listed(wanted)}; got {_listed(got)}: gather the same layers and "
            "pixels, pooled the same way"
        )


def _listed(matrices: list[tuple[str, str, tuple[int, ...]]]) -> str:
    return ", ".join(
        f"{name} ({kind}, {' x '.join(str(size) for size in shape)})" for name, kind, shape in matrices
    )
