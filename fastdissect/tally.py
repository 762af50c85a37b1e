"""NetDissect's table of units, read from the files that were released.

Columns (METHODS 1.5): unit (from 1), category, label, score, then for each category q: q-label, q-truth (G),
q-activation (B), q-intersect (I), q-iou. NetDissect wrote B with a decimal point, NetDissect-Lite all counts;
in both, a category's label may be empty where the unlabelled pixels won.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import DataError, SettingError
from fastdissect.labels import Labels, Summary, passes, summarize

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HEAD", "TAIL", "Tally", "read_tally"]

HEAD = ("unit", "category", "label", "score")
TAIL = ("label", "truth", "activation", "intersect", "iou")
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Tally:
    """A released table of units, as NetDissect or NetDissect-Lite wrote it; units in rising order."""

    path: Path
    categories: tuple[str, ...]  # the header's order
    names: tuple[tuple[str, ...], ...]  # [units][categories], best label of each; "": none
    scores: NDArray[np.float64]  # [units, categories]
    truth: NDArray[np.int64]  # [units, categories], pixels of that label (G)
    activation: NDArray[np.int64]  # [units, categories], mask pixels over the category's images (B)
    intersect: NDArray[np.int64]  # [units, categories], pixels of the label under the mask (I)
    best: NDArray[np.int64]  # [units], index of the best category
    best_names: tuple[str, ...]  # [units]
    best_scores: NDArray[np.float64]  # [units]
    cut: float = 0.04
    cut_inclusive: bool = False

    def __repr__(self) -> str:
        found = self.summary()
        return (
            f"Tally({self.path.name!r}: {len(self.best)} units, {len(self.categories)} categories, "
            f"{found.detectors} detectors, {found.unique_detectors} unique)"
        )

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

    def counts(self) -> pd.DataFrame:
        """Return a row a unit and category: unit (from 0), category, label, truth, activation, intersect, iou.

        The three counts are int64 pixels; iou is the file's own, and recomputes from them as
        intersect / (activation + truth - intersect).
        """
        import pandas as pd

        units, categories = self.scores.shape
        table = {
            "unit": np.repeat(np.arange(units), categories),
            "category": list(self.categories) * units,
            "label": [name for row in self.names for name in row],
            "truth": self.truth.ravel(),
            "activation": self.activation.ravel(),
            "intersect": self.intersect.ravel(),
            "iou": self.scores.ravel(),
        }
        return pd.DataFrame(table).astype({"category": "str", "label": "str"})

    def summary(self) -> Summary:
        """Return the detectors under both counting conventions (METHODS 1.5, 1.7)."""
        numbers = {name: i for i, name in enumerate(sorted({"", *(n for row in self.names for n in row)}))}
        codes = np.array([[numbers[n] for n in row] for row in self.names], np.int64)
        codes = codes.reshape(self.scores.shape)
        labels = Labels(codes - 1, codes, self.scores, self.best)
        return summarize(labels, self.categories, self.cut, self.cut_inclusive)


class _Row(NamedTuple):
    """One unit's row, and how to complain about it."""

    path: Path
    line: int  # from 1; the header is line 1
    cells: Mapping[str, str]

    def wrong(self, column: str, expected: str) -> DataError:
        got = self.cells[column]
        return DataError(f"{self.path}: line {self.line}: column {column}: expected {expected}; got {got!r}")

    def unit(self) -> int:
        text = self.cells["unit"]
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise self.wrong("unit", "a number from 1")
        return int(text)

    def score(self, column: str) -> float:
        text = self.cells[column]
        score = float(text) if _NUMBER.fullmatch(text) else np.inf
        if score == np.inf:
            raise self.wrong(column, "a score from 0")
        return score

    def count(self, column: str) -> int:
        """Pixels; 1016043, 1016043.0 and 1.016043e+06 are the same."""
        text = self.cells[column]
        if text.isascii() and text.isdigit() and len(text) < 19:
            return int(text)
        count = float(text) if _NUMBER.fullmatch(text) else np.inf
        if not (count < 2**53 and count.is_integer()):  # a larger float is no exact count
            raise self.wrong(column, "a whole number of pixels from 0")
        return int(count)

    def best(self, categories: tuple[str, ...]) -> int:
        if self.cells["category"] not in categories:
            raise self.wrong("category", f"one of {', '.join(categories)}")
        return categories.index(self.cells["category"])


def read_tally(csv_path: str | Path, *, cut: float = 0.04, cut_inclusive: bool = False) -> Tally:
    """Read a table of units that NetDissect or NetDissect-Lite released, or `fastdissect export` wrote.

    Columns may stand in any order; counts may have a decimal point, as long as they are whole.

    Args:
        csv_path: the file.
        cut, cut_inclusive: when a unit is a detector; the papers' tables use IoU > 0.04.

    Raises:
        SettingError: a cut outside 0 to 1.
        DataError: the file cannot be read, has other columns, or a row that makes no sense; the message names
            file, line, column, and what was expected.

    Example:
        >>> t = read_tally("alexnet-places205-conv5.csv")                              # doctest: +SKIP
        >>> t.summary().unique_by_category_total, t.summary().unique_detectors         # doctest: +SKIP
        (79, 60)
    """
    if not isinstance(cut, Real) or not 0 <= cut <= 1:
        raise SettingError(f"expected cut to be an IoU from 0 to 1; got {cut!r}")
    path = Path(csv_path)
    header, lines = _read_lines(path)
    categories = _categories(path, header)
    rows = _by_unit(_rows(path, header, lines))

    def counts(item: str) -> NDArray[np.int64]:
        return np.array([[row.count(f"{q}-{item}") for q in categories] for row in rows], np.int64)

    return Tally(
        path=path,
        categories=categories,
        names=tuple(tuple(row.cells[f"{q}-label"] for q in categories) for row in rows),
        scores=np.array([[row.score(f"{q}-iou") for q in categories] for row in rows], np.float64),
        truth=counts("truth"),
        activation=counts("activation"),
        intersect=counts("intersect"),
        best=np.array([row.best(categories) for row in rows], np.int64),
        best_names=tuple(row.cells["label"] for row in rows),
        best_scores=np.array([row.score("score") for row in rows], np.float64),
        cut=cut,
        cut_inclusive=cut_inclusive,
    )


def _read_lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and every row with the line that it begins on; blank lines at the end are left out."""
    rows: list[tuple[int, list[str]]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            before = 0
            for cells in reader:
                rows.append((before + 1, cells))
                before = reader.line_num
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        where = f" behind line {rows[-1][0]}" if rows else ""
        raise DataError(
            f"{path}: expected NetDissect's table of units (CSV, UTF-8); {error}{where}"
        ) from error
    while rows and not rows[-1][1]:
        rows.pop()
    if len(rows) < 2:
        raise DataError(f"{path}: expected a header and a row a unit; got {len(rows)} rows")
    return rows[0][1], rows[1:]


def _rows(path: Path, header: list[str], lines: list[tuple[int, list[str]]]) -> list[_Row]:
    for line, cells in lines:
        if len(cells) != len(header):
            raise DataError(
                f"{path}: line {line}: expected {len(header)} cells, as the header has; got {len(cells)} "
                "(a truncated file?)"
            )
    return [_Row(path, line, dict(zip(header, cells, strict=True))) for line, cells in lines]


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
            f"{path}: line 1: the header {complaints[0]}; expected {', '.join(HEAD)}, then for each category q: "
            f"{', '.join(f'q-{item}' for item in TAIL)}"
        )
    return categories


def _by_unit(rows: list[_Row]) -> list[_Row]:
    """Rows in rising order of unit; every unit from 1 must be there once (a cut-off file lacks some)."""
    units = [row.unit() for row in rows]
    missing = set(range(1, len(rows) + 1)) - set(units)
    if missing:  # as many as there are rows whose unit is repeated or too large
        first = {n: i for i, n in reversed(list(enumerate(units)))}
        wrong = next(i for i, n in enumerate(units) if not 1 <= n <= len(rows) or first[n] != i)
        raise DataError(
            f"{rows[wrong].path}: line {rows[wrong].line}: column unit: expected every unit from 1 to {len(rows)} "
            f"once; got {units[wrong]}, and unit {min(missing)} is missing (a truncated file?)"
        )
    return [rows[i] for i in np.argsort(units)]
