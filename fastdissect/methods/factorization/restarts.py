"""`factorize_matrices`: the whole fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.initial import initial
from fastdissect.methods.factorization.matrices import FeatureMatrix, check_together
from fastdissect.methods.factorization.objective import Value
from fastdissect.methods.factorization.problem import Problem
from fastdissect.methods.factorization.result import Factorization, Loadings
from fastdissect.methods.factorization.settings import FactorizationSettings
from fastdissect.methods.factorization.solving import Solution, solve

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_rank", "factorize_matrices", "packed"]


def factorize_matrices(
    matrices: Sequence[FeatureMatrix],
    settings: FactorizationSettings | None = None,
    *,
    example_names: Sequence[str] = (),
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Factorization:
    """Factorise matrices together: one mixture of `rank` factors for each example, loadings for each matrix.

    Args:
        matrices: of the same examples in the same order; memory maps may be far larger than the memory.
        settings: None: `FactorizationSettings()`.
        example_names: of the examples; none, or one each.
        device: "cpu" or a CUDA device of torch; products in float32 (leave torch's TF32 off, as it is by default), sums
            in float64. On the CPU the same threads give the same bits, and so do an array and a memory map of it;
            another block size, device or number of threads changes the rounding.
        progress: is told 1 after each iteration; there are at most restarts * (iterations + 1).

    Memory: a block (block * features * 4 bytes), for each restart examples * rank and features * rank values in float32
    and a few times that in float64 in passing. 50,000 examples of 28,160 features at rank 20 and the default block: a block
    of 115 MB and some 75 MB besides (measured: 0.6 GB resident at most, 0.4 of it before the call); the matrices' files
    (5.6 GB) are read, not mapped.

    Raises:
        SettingError: matrices that do not fit together; a rank above the number of examples; all values 0; a device that
            torch does not have. ActivationError: negative or non-finite values; the message names the matrix.

    Source: Saini & Papalexakis 2021 (METHODS 4.2, 4.3): the released rule with `faithful=True`; the default rule is our
    formulation (`objective`).

    Example:
        >>> import numpy as np
        >>> x = np.kron(np.eye(2), np.ones((3, 4))).astype(np.float32)
        >>> found = factorize_matrices(
        ...     [FeatureMatrix("layer", "neurons", (8, 1, 1), x)], FactorizationSettings(rank=2)
        ... )
        >>> found.mixtures.argmax(1)[[0, 1, 2]].tolist() == [found.mixtures[0].argmax()] * 3
        True
    """
    settings = FactorizationSettings() if settings is None else settings
    examples = check_together(matrices)
    check_rank(settings.rank, examples)
    names = tuple(example_names)
    if names and len(names) != examples:
        raise SettingError(f"expected {examples:,} names of examples, or none; got {len(names):,}")
    with Problem(matrices, settings.block, device=device) as problem:
        problem.survey(settings)
        best: tuple[int, Solution] | None = None
        told: list[tuple[tuple[Value, ...], bool]] = []
        for restart in range(settings.restarts):
            found = solve(problem, settings, initial(problem, settings, restart), progress)
            told.append((found.values, found.converged))
            if best is None or found.values[-1].objective < best[1].values[-1].objective:
                best = restart, found
        assert best is not None  # one restart at least
        return packed(problem, settings, best[1], told, kept=best[0], example_names=names)


def check_rank(rank: int, examples: int) -> None:
    """Raise SettingError for a rank above the number of examples."""
    if rank > examples:
        raise SettingError(
            f"expected a rank of at most the number of examples, {examples:,}; got {rank:,}: give more examples or a "
            "lower rank"
        )


def packed(
    problem: Problem,
    settings: FactorizationSettings,
    solution: Solution,
    told: Sequence[tuple[tuple[Value, ...], bool]],
    *,
    kept: int,
    example_names: tuple[str, ...] = (),
) -> Factorization:
    """A solution as what is given to users.

    Args:
        told: of every restart its values and whether it converged. kept: the solution's place among them.
    """
    fits = solution.values[-1].fits
    return Factorization(
        settings=settings,
        mixtures=np.ascontiguousarray(solution.state.mixtures.cpu().numpy()),
        loadings=tuple(
            Loadings(
                name=one.name,
                kind=one.kind,
                shape=(int(one.shape[0]), int(one.shape[1]), int(one.shape[2])),
                scale=side.scale,
                values=np.ascontiguousarray(values.cpu().numpy()),
                fit=fit,
                weight=side.weight,
                dead=side.dead,
            )
            for one, side, values, fit in zip(
                problem.matrices, problem.sides, solution.state.loadings, fits, strict=True
            )
        ),
        history=_history([values for values, _ in told]),
        restarts=_restarts(told, kept),
        example_names=example_names,
        record={
            "device": str(problem.device),
            "threads": torch.get_num_threads(),
            "torch": str(torch.__version__),
        },
    )


def _history(values: Sequence[Sequence[Value]]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        (restart, iteration, value.objective, value.fit, value.neurons_fit)
        for restart, one in enumerate(values)
        for iteration, value in enumerate(one, 1)
    ]
    return pd.DataFrame(rows, columns=["restart", "iteration", "objective", "fit", "neurons_fit"])


def _restarts(told: Sequence[tuple[tuple[Value, ...], bool]], kept: int) -> pd.DataFrame:
    import pandas as pd

    rows = [
        (i, len(values), values[-1].objective, values[-1].fit, converged, i == kept)
        for i, (values, converged) in enumerate(told)
    ]
    return pd.DataFrame(rows, columns=["restart", "iterations", "objective", "fit", "converged", "kept"])
