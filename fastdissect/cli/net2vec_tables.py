"""Concept vectors in tables: one filter against many, neighbours, sums, distances."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fastdissect.cli.terminal import listing, output, plain

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from fastdissect.methods.net2vec.result import ConceptVectors
    from fastdissect.methods.vectors import VectorStudy

__all__ = ["say", "say_study", "say_what"]

_SKIPPED = 8  # names said of one reason
_TITLES = {
    "single": "single filter",
    "better": "share that gains",
    "median_ratio": "median ratio",
    "above_single": "single > 0.2",
    "above_combined": "combined > 0.2",
}


def say(text: str) -> None:
    """One line, now."""
    output().print(plain(text), soft_wrap=True)


def say_what(study: VectorStudy, where: str) -> None:
    """How many vectors there are, of what, where from."""
    vectors, lost = study.vectors, int((~study.embedding.learned).sum())
    output().print(
        plain(
            f"Layer {vectors.layer}: {vectors.kind} vectors of {len(vectors):,} concepts over {vectors.units:,} units"
            f"{where}{f'; {lost:,} of them not learned' if lost else ''}."
        ),
        soft_wrap=True,
    )
    for line in _skipped_lines(vectors):
        output().print(line, soft_wrap=True)
    if "no_val" in vectors.table and vectors.table["no_val"].any():
        names = [name for name, none in zip(vectors.names, vectors.table["no_val"], strict=True) if none]
        what = "without images for validation: scored on train alone"
        output().print(plain(f"Marked {len(names):,}: {_some(names)}: {what}."), soft_wrap=True)


def say_study(study: VectorStudy, asked: Iterable[str]) -> None:
    """The study's tables, and the neighbours of the concepts asked for."""
    from fastdissect.methods.vectors import neighbours

    console = output()
    if study.improvement is not None:
        console.print(improvement_table(study.improvement, study.vectors.kind))
    if study.counts is not None and study.cumulative is not None:
        shown = study.counts.curve().merge(study.cumulative, on="filters")
        titles = {"mean": "mean score", "error": "standard error", "share": "share that needs no more"}
        console.print(data_table(shown.rename(columns=titles), "Fewer filters, on val"))
    for name in asked:
        table = neighbours(study.embedding, name, unlearned=study.unlearned).drop(columns="learned")
        console.print(data_table(table, f"Nearest to {name}"))
    for query, answers in study.arithmetic:
        console.print(data_table(answers.drop(columns="learned"), query))
    if study.against is not None:
        name, found = study.against
        words = f"Against {name}: mean squared distance over {len(found.shared):,} shared concepts"
        console.print(plain(words), soft_wrap=True)
        console.print(data_table(found.by_category(), None, last="all"))


def _skipped_lines(vectors: ConceptVectors) -> list[str]:
    """A line for each reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in vectors.skipped:
        reasons.setdefault(reason, []).append(name)
    lines = []
    for reason, names in reasons.items():
        lines.append(plain(f"Skipped {len(names):,}: {_some(names)}: {reason}."))
    return lines


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SKIPPED:,} more" if len(names) > _SKIPPED else ""
    return f"{', '.join(names[:_SKIPPED])}{more}"


def improvement_table(rows: pd.DataFrame, kind: str) -> Table:
    """Single against combined, by category."""
    segments = kind == "segmentation"
    left_out = ["compared"] if segments else ["compared", "median_ratio", "above_single", "above_combined"]
    title = f"{'IoU_set' if segments else 'Accuracy'} on val: single filter and combination"
    return data_table(rows.drop(columns=left_out).rename(columns=_TITLES), title, last="all")


def data_table(rows: pd.DataFrame, title: str | None, *, last: str = "", digits: int = 3) -> Table:
    """A data frame as it is; `last` is what an empty category is called."""
    numbers = [str(c) for c in rows.columns if rows[c].dtype.kind in "iuf"]
    table = listing(map(str, rows.columns), title=None if title is None else plain(title), right=numbers)
    for row in rows.itertuples(index=False, name=None):
        table.add_row(*_cells(row, last, digits))
    return table


def _cells(row: Iterable[Any], last: str, digits: int) -> list[str]:
    cells = []
    for value in row:
        if isinstance(value, float):
            cells.append("" if math.isnan(value) else f"{value:.{digits}f}")
        else:
            cells.append(f"{value:,}" if isinstance(value, int) else plain(value) or last)
    return cells
