"""How many factors: the curve of fit and stability over ranks.

More factors always fit better; factors that are there are found again from every start. Our choice (METHODS 4.4) is the
largest rank whose factors are stable.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.alignment import factor_cosines, matched
from fastdissect.methods.factorization.initial import initial
from fastdissect.methods.factorization.matrices import FeatureMatrix, check_together
from fastdissect.methods.factorization.problem import Problem
from fastdissect.methods.factorization.restarts import check_rank, packed
from fastdissect.methods.factorization.result import Factorization
from fastdissect.methods.factorization.settings import FactorizationSettings
from fastdissect.methods.factorization.solving import solve

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STABLE", "RankCurve", "rank_curve"]

STABLE = 0.9


@dataclass(frozen=True, eq=False)
class RankCurve:
    """What each rank gave.

    Attributes:
        table: a row a rank, ascending: rank, fit_mean, fit_min, fit_max (over restarts), stability (mean cosine of matched
            factors, over all pairs of restarts: 0 to 1), stable, dead_factors (of the kept restart), chosen.
        rank: the chosen one. why: in a sentence.
        factorization: of the chosen rank, its restart of lowest objective.
    """

    table: pd.DataFrame
    rank: int
    why: str
    factorization: Factorization


def rank_curve(
    matrices: Sequence[FeatureMatrix],
    ranks: Sequence[int],
    settings: FactorizationSettings | None = None,
    *,
    restarts: int = 5,
    stable: float = STABLE,
    example_names: Sequence[str] = (),
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> RankCurve:
    """Fit every rank from several starts, and choose the largest whose factors are found again.

    Two restarts' factors are matched (Hungarian method) by the cosines of their mixtures and loadings; a rank's stability is
    the mean cosine of the matched pairs. The chosen rank is the largest of stability `stable` or more; without any, the most
    stable one (the lower of equals).

    Args:
        matrices: as for `factorize_matrices`. ranks: to try. settings: the rest; their rank and restarts are not used.
        restarts: starts of each rank, 2 or more: the first as the settings say, the others random.
        stable: stability that suffices, 0 to 1.
        example_names, device, progress: as for `factorize_matrices`.

    Raises:
        SettingError: as for `factorize_matrices`; no ranks, ranks below 1; fewer than two restarts.

    Example:
        >>> rank_curve(matrices, range(2, 12)).rank                                          # doctest: +SKIP
    """
    import pandas as pd

    settings = FactorizationSettings() if settings is None else settings
    examples = check_together(matrices)
    tried = sorted(set(ranks))
    if not tried or any(not _whole(r) or r < 1 for r in tried):
        raise SettingError(f"expected ranks as whole numbers of at least 1; got {list(ranks)!r}")
    check_rank(int(tried[-1]), examples)
    if type(restarts) is not int or restarts < 2:
        raise SettingError(
            f"expected 2 restarts or more, to see which factors are found again; got {restarts!r}"
        )
    if not 0 <= stable <= 1:
        raise SettingError(f"expected a stability from 0 to 1; got {stable!r}")
    names = tuple(example_names)
    if names and len(names) != examples:
        raise SettingError(f"expected {examples:,} names of examples, or none; got {len(names):,}")
    rows, kept = [], []
    with Problem(matrices, settings.block, device=device) as problem:
        problem.survey(settings)
        for rank in tried:
            own = dataclasses.replace(settings, rank=int(rank), restarts=restarts)
            solutions = [
                solve(problem, own, initial(problem, own, restart), progress) for restart in range(restarts)
            ]
            told = [(one.values, one.converged) for one in solutions]
            found = [
                packed(problem, own, one, told, kept=i, example_names=names)
                for i, one in enumerate(solutions)
            ]
            alike = [matched(factor_cosines(a, b))[1].mean() for a, b in combinations(found, 2)]
            fits = [one.values[-1].fit for one in solutions]
            best = min(range(restarts), key=lambda i: solutions[i].values[-1].objective)
            kept.append(found[best])
            dead = len(found[best].dead_factors)
            rows.append((int(rank), np.mean(fits), min(fits), max(fits), float(np.mean(alike)), dead))
    table = pd.DataFrame(
        rows, columns=["rank", "fit_mean", "fit_min", "fit_max", "stability", "dead_factors"]
    )
    table.insert(5, "stable", table["stability"] >= stable)
    at, why = _choice(table, stable)
    table["chosen"] = np.arange(len(table)) == at
    return RankCurve(table, int(tried[at]), why, kept[at])


def _whole(rank: object) -> bool:
    return isinstance(rank, int | np.integer) and not isinstance(rank, bool)


def _choice(table: pd.DataFrame, stable: float) -> tuple[int, str]:
    enough = np.flatnonzero(table["stable"].to_numpy())
    if len(enough):
        at = int(enough[-1])
        return at, (
            f"rank {table['rank'].iloc[at]} is the largest whose factors are found again from other starts "
            f"(stability {table['stability'].iloc[at]:.3f}, {stable:g} or more)"
        )
    at = int(table["stability"].to_numpy().argmax())
    return at, (
        f"no rank reaches a stability of {stable:g}; rank {table['rank'].iloc[at]} is the most stable "
        f"({table['stability'].iloc[at]:.3f})"
    )
