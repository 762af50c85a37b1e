"""Scores -> labels: every category's best concept, the unit's best category, and how many detectors there are.

Two ways of counting are in use, and both are kept (METHODS 1.5):

    A  the papers' figures: each category for itself; a unit may count in several, and the network's total is
       the sum over the categories of the distinct labels
    B  the released HTML report: only a unit's best category counts; the total is the distinct best labels
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastdissect.types import Concepts, Profile

__all__ = [
    "NO_CONCEPT",
    "CategorySummary",
    "Labels",
    "Summary",
    "joined",
    "label_units",
    "passes",
    "summarize",
]


NO_CONCEPT = "no concept"  # what a unit under the cut shows as


@dataclass(frozen=True, eq=False)
class Labels:
    """Every unit's best concept in every category, and its best category."""

    column: NDArray[np.int64]  # [units, categories], column of the concept; -1: no overlap
    numbers: NDArray[np.int64]  # [units, categories], its label number; 0: no overlap
    score: NDArray[np.float64]  # [units, categories], its score; 0: no overlap
    best: NDArray[np.int64]  # [units], index of the best category; -1 where there are no categories


@dataclass(frozen=True)
class CategorySummary:
    """One category's detectors."""

    category: str
    detectors: int  # units whose score in this category passes the cut (A)
    unique: int  # distinct labels among them (A)
    best_detectors: int  # units whose best category this is and passes (B)
    best_unique: int  # distinct labels among them (B)


@dataclass(frozen=True)
class Summary:
    """A layer's detectors, counted both ways."""

    units: int
    detectors: int  # units whose best score passes the cut (B)
    unique_detectors: int  # distinct best labels among them (B)
    by_category: tuple[CategorySummary, ...]  # in the data set's order
    unique_by_category_total: int  # sum over the categories of `unique` (A)
    cut: float
    cut_inclusive: bool
    undetermined: bool  # too few values for the quantile: 0 detectors means nothing here


def label_units(scores: NDArray[np.float64], concepts: Concepts, profile: Profile) -> Labels:
    """Return every category's best concept and the best category of every unit (METHODS 1.5).

    Ties: inside a category the lowest label number wins; a unit without any overlap there gets label 0. Between
    categories the later one wins (`category_ties="later"`, also where all are 0), or the lowest label number of
    all (`"first"`: dissect's argmax over all concepts; category 0 where all are 0).

    Args:
        scores: float64 [units, concepts], not negative, e.g. from `scores.iou`.
    """
    units, categories = len(scores), len(concepts.categories)
    column = np.full((units, categories), -1, np.int64)
    score = np.zeros((units, categories))
    rows = np.arange(units)
    for q in range(categories):
        own = np.flatnonzero(concepts.category == q)
        if len(own):
            winner = own[np.argmax(scores[:, own], axis=1)]  # the first of equals, and numbers ascend
            score[:, q] = scores[rows, winner]
            column[:, q] = np.where(score[:, q] > 0, winner, -1)
    padded = np.append(concepts.numbers, 0)  # column -1 reads as number 0
    if not categories:
        best = np.full(units, -1, np.int64)
    elif profile.category_ties == "later":
        best = categories - 1 - np.argmax(score[:, ::-1], axis=1)
    else:
        tied = np.where(score == score.max(axis=1, keepdims=True), column, len(concepts))
        best = np.argmin(tied, axis=1)
    return Labels(column, padded[column].astype(np.int64), score, best.astype(np.int64))


def joined(parts: Sequence[Labels]) -> Labels:
    """Return the labels of several blocks of units as one; at least one block."""
    return Labels(
        column=np.concatenate([part.column for part in parts]),
        numbers=np.concatenate([part.numbers for part in parts]),
        score=np.concatenate([part.score for part in parts]),
        best=np.concatenate([part.best for part in parts]),
    )


def passes(score: NDArray[np.float64], cut: float, inclusive: bool) -> NDArray[np.bool_]:
    """Return where a score makes a detector; a score of 0 never does, whatever the cut."""
    return (score > 0) & ((score >= cut) if inclusive else (score > cut))


def summarize(
    labels: Labels, categories: Sequence[str], cut: float, inclusive: bool, undetermined: bool = False
) -> Summary:
    """Count detectors and distinct labels, under both conventions.

    >>> one = Labels(*(np.array([[0]]), np.array([[5]]), np.array([[0.5]])), np.array([0]))
    >>> summarize(one, ["object"], 0.04, False).unique_detectors
    1
    """
    passing = passes(labels.score, cut, inclusive)
    is_best = np.zeros_like(passing)
    if len(categories):
        is_best[np.arange(len(labels.best)), labels.best] = True
    best = passing & is_best
    rows = []
    for q, category in enumerate(categories):
        number = labels.numbers[:, q]
        rows.append(
            CategorySummary(
                category,
                detectors=int(passing[:, q].sum()),
                unique=len(np.unique(number[passing[:, q]])),
                best_detectors=int(best[:, q].sum()),
                best_unique=len(np.unique(number[best[:, q]])),
            )
        )
    return Summary(
        units=len(labels.best),
        detectors=int(best.sum()),
        unique_detectors=len(np.unique(labels.numbers[best])),
        by_category=tuple(rows),
        unique_by_category_total=sum(row.unique for row in rows),
        cut=cut,
        cut_inclusive=inclusive,
        undetermined=undetermined,
    )
