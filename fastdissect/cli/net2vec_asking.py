"""`fastdissect net2vec`: names and numbers of the command line, looked up before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from fastdissect.cli.terminal import plain
from fastdissect.errors import SettingError

if TYPE_CHECKING:
    from fastdissect.methods.net2vec import ConceptVectors
    from fastdissect.methods.net2vec.classification_problem import ClassificationProblem
    from fastdissect.methods.net2vec.problem import Problem

__all__ = ["asked_filters", "asked_names", "check_asked", "wanted_filters"]


def asked_names(text: str | None) -> list[str] | None:
    """The concepts of --concepts; None: all."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def asked_filters(text: str | None) -> list[int] | None:
    """The list of --filters; None: the published one, or none at all."""
    if text is None or text.strip() == "all":
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
        raise typer.BadParameter(
            f"expected numbers with commas, such as 1,2,4,8, or all; got {plain(text)!r}",
            param_hint="'--filters'",
        )
    return [int(part) for part in parts]


def wanted_filters(given: list[int] | None, units: int, kind: str) -> list[int]:
    """Every F, K among them.

    Raises:
        SettingError: an F that is not from 1 to K.
    """
    from fastdissect.methods.net2vec import classification_filters, top_filters

    published = top_filters.FILTERS if kind == "segmentation" else classification_filters.FILTERS
    return top_filters.checked_filters(given, units, published)


def check_asked(
    problem: Problem | ClassificationProblem,
    names: Iterable[str],
    queries: Iterable[str],
    against: ConceptVectors | None,
) -> None:
    """Refuse what the vectors could not answer, whatever comes out of their training.

    Raises:
        SettingError: no concept can be trained; a name of --neighbours or --arithmetic that will have no vector; fewer
            than two concepts that --against has, too.
    """
    import numpy as np

    from fastdissect.methods.vectors import make_embedding, read_query
    from fastdissect.methods.vectors.arithmetic import query_rows

    if not len(problem):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in problem.skipped[:5])
        raise SettingError(
            f"expected a concept that can be trained; got none of {len(problem.skipped):,}: {reasons}"
        )
    known = {*problem.names, *(name for name, _ in problem.skipped)}
    others = [(name, "--concepts has not named it") for name in problem.concepts.names if name not in known]
    coming = make_embedding(
        np.ones((len(problem), 1)),
        problem.names,
        numbers=problem.numbers,
        skipped=(*problem.skipped, *others),
    )
    for name in names:
        coming.find(name)
    for query in queries:
        query_rows(coming, read_query(query))
    if against is not None:
        shared = {*against.names} & {*problem.names}
        if len(shared) < 2:
            raise SettingError(
                f"expected at least two concepts that --against has, too; got {len(shared)} of {len(problem):,} and "
                f"{len(against):,}: its vectors must name their concepts alike"
            )
