"""NetDissect's table of units, read from the files that were released.

Columns (METHODS 1.5): unit (from 1), category, label, score, then for each category q: q-label, q-truth (G),
q-activation (B), q-intersect (I), q-iou.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import DataError
from fastdissect.labels import Labels, Summary, passes, summarize

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HEAD", "TAIL", "Tally", "read_tally"]

HEAD = ("unit", "category", "label", "score")
TAIL = ("label", "truth", "activation", "intersect", "iou")


@dataclass(frozen=True, eq=False)
class Tally:
    """A released table of units, as NetDissect or NetDissect-Lite wrote it; units in rising order."""

    path: Path
    categories: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]  # [units][categories], best label of each; "": none
    scores: NDArray[np.float64]  # [units, categories]
    best: NDArray[np.int64]  # [units], index of the best category
    best_names: tuple[str, ...]  # [units]
    best_scores: NDArray[np.float64]  # [units]
    cut: float = 0.04
    cut_inclusive: bool = False

    def units(self) -> pd.DataFrame:
        """Return a row a unit: unit (from 0), label, category, iou, detector, "<q>-label", "<q>-iou"."""
        import pandas as pd

        table: dict[str, object] = {
            "unit": np.arange(len(self.best)),
            "label": list(self.best_names),
            "category": [self.categories[q] for q in self.best],
            "iou": self.best_scores,
            "detector": passes(self.best_scores, self.cut, self.cut_inclusive),
        }
        for q, category in enumerate(self.categories):
            table[f"{category}-label"] = [row[q] for row in self.names]
            table[f"{category}-iou"] = self.scores[:, q]
        text = [c for c in table if c in ("label", "category") or c.endswith("-label")]
        return pd.DataFrame(table).astype(dict.fromkeys(text, "str"))

    def summary(self) -> Summary:
        """Return the detectors under both counting conventions (METHODS 1.5, 1.7)."""
        numbers = {name: i for i, name in enumerate(sorted({"", *(n for row in self.names for n in row)}))}
        codes = np.array([[numbers[n] for n in row] for row in self.names], np.int64)
        codes = codes.reshape(self.scores.shape)
        labels = Labels(codes - 1, codes, self.scores, self.best)
        return summarize(labels, self.categories, self.cut, self.cut_inclusive)


def read_tally(csv_path: str | Path, *, cut: float = 0.04, cut_inclusive: bool = False) -> Tally:
    """Read a table of units that NetDissect or NetDissect-Lite released.

    Args:
        csv_path: the file.
        cut, cut_inclusive: when a unit is a detector; the papers' tables use IoU > 0.04.

    Raises:
        DataError: the file cannot be read, has other columns, or a row that makes no sense; the message names
            file, line, column, and what was expected.

    Example:
        >>> read_tally("alexnet-places205-conv5.csv").summary()  # doctest: +SKIP
    """
    path = Path(csv_path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected NetDissect's table of units (CSV, UTF-8); {error}") from error
    if len(rows) < 2:
        raise DataError(f"{path}: expected a header and a row a unit; got {len(rows)} rows")
    header, body = rows[0], rows[1:]
    while body and not body[-1]:
        body.pop()  # blank lines at the end
    categories = _categories(path, header)
    place = {column: i for i, column in enumerate(header)}
    order = _unit_order(path, body, header, place["unit"])
    names, scores, best, best_scores = [], [], [], []
    for i in order:
        row = body[i]
        names.append(tuple(row[place[f"{q}-label"]] for q in categories))
        scores.append([_score(path, i, row, place, f"{q}-iou") for q in categories])
        category = row[place["category"]]
        if category not in categories:
            raise _bad(path, i, "category", f"one of {', '.join(categories)}", category)
        best.append(categories.index(category))
        best_scores.append(_score(path, i, row, place, "score"))
    return Tally(
        path=path,
        categories=categories,
        names=tuple(names),
        scores=np.array(scores, np.float64),
        best=np.array(best, np.int64),
        best_names=tuple(body[i][place["label"]] for i in order),
        best_scores=np.array(best_scores, np.float64),
        cut=cut,
        cut_inclusive=cut_inclusive,
    )


def _categories(path: Path, header: list[str]) -> tuple[str, ...]:
    """The categories in the header's order, after checking that it holds NetDissect's columns and no others."""
    categories = tuple(c.removesuffix("-label") for c in header if c.endswith("-label"))
    expected = [*HEAD, *(f"{q}-{item}" for q in categories for item in TAIL)]
    complaints = [
        *(f"has no column {c!r}" for c in expected if c not in header),
        *(f"has a foreign column {c!r}" for c in header if c not in expected),
        *(f"has column {c!r} twice" for c in expected if header.count(c) > 1),
        *(["has no categories"] if not categories else []),
    ]
    if complaints:
        raise DataError(
            f"{path}: the header {complaints[0]}; expected {', '.join(HEAD)}, then for each category q: "
            f"{', '.join(f'q-{item}' for item in TAIL)}"
        )
    return categories


def _unit_order(path: Path, body: list[list[str]], header: list[str], column: int) -> list[int]:
    """Rows in rising order of unit; every unit from 1 must be there once (a cut-off file lacks some)."""
    for i, row in enumerate(body):
        if len(row) != len(header):
            raise DataError(
                f"{path}: row {i + 1}: expected {len(header)} cells; got {len(row)} (a truncated file?)"
            )
        if not (row[column].isascii() and row[column].isdigit() and len(row[column]) < 10):
            raise _bad(path, i, "unit", "a number from 1", row[column])
    numbers = [int(row[column]) for row in body]
    missing = set(range(1, len(body) + 1)) - set(numbers)
    if missing:  # as many as there are numbers that are repeated or too large
        raise DataError(
            f"{path}: column unit: expected every unit from 1 to {len(body)} once; unit {min(missing)} is missing "
            "(a truncated file?)"
        )
    return sorted(range(len(body)), key=numbers.__getitem__)


def _score(path: Path, i: int, row: list[str], place: dict[str, int], column: str) -> float:
    text = row[place[column]]
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0 <= score < math.inf:
        raise _bad(path, i, column, "a score from 0", text)
    return score


def _bad(path: Path, i: int, column: str, expected: str, got: str) -> DataError:
    return DataError(f"{path}: row {i + 1}: column {column}: expected {expected}; got {got!r}")
