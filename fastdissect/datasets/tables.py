"""CSV tables of data sets, read strictly: every error names the file, the line and what was expected."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastdissect.datasets.files import read_file
from fastdissect.errors import DataError, nearest

__all__ = ["Table", "read_table", "real_number", "whole_number"]

_DIGITS = re.compile(r"[0-9]+")


class Table:
    """A CSV file in memory: its header, and its rows with their line numbers.

    Attributes:
        name: the file's name, for messages.
        data: the file's bytes, for fingerprints.
        columns: the header.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.data = read_file(path, f"the table {path.name}")
        try:
            text = self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8 text ({error}). Save it as UTF-8.") from error
        self._reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        self._path = path
        self.columns = next(self._lines(), [])

    def _lines(self) -> Iterator[list[str]]:
        try:
            yield from self._reader
        except csv.Error as error:
            raise DataError(f"{self._path}, line {self._reader.line_num}: no valid CSV ({error}).") from error

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line number, fields) once, with as many fields as the header has; blank lines are skipped.

        Raises:
            DataError: a line of another length, or no CSV.
        """
        for fields in self._lines():
            if not fields:
                continue
            if len(fields) != len(self.columns):
                raise DataError(
                    f"{self._path}, line {self._reader.line_num}: {len(fields)} fields came, the header has "
                    f"{len(self.columns)} ({', '.join(self.columns)})."
                )
            yield self._reader.line_num, fields

    def place(self, line: int) -> str:
        """Where a message points, e.g. "index.csv, line 7"."""
        return f"{self.name}, line {line}"


def read_table(path: Path, required: Sequence[str]) -> Table:
    """Open a table and see that its header holds the required columns, each once.

    Raises:
        DataError: file missing or no UTF-8, columns missing or repeated.
    """
    table = Table(path)
    for column in required:
        if column not in table.columns:
            raise DataError(
                f"{path} has no column {column!r}; expected {','.join(required)}, the header is "
                f"{','.join(table.columns) or 'empty'}{nearest(column, table.columns)}."
            )
    repeated = {column for column in table.columns if table.columns.count(column) > 1}
    if repeated:
        raise DataError(f"{path} has the column {min(repeated)!r} twice. Remove one.")
    return table


def whole_number(text: str, place: str, column: str, low: int, high: int) -> int:
    """Parse digits to an integer in low ... high, by Broden's typing rule: digits and nothing else.

    >>> whole_number("224", "index.csv, line 2", "ih", 1, 9999)
    224
    """
    if not _DIGITS.fullmatch(text) or len(text) > 18 or not low <= int(text) <= high:
        raise DataError(f"{place}: {column} is {text!r}; expected a whole number from {low} to {high}.")
    return int(text)


def real_number(text: str, place: str, column: str) -> float:
    """Parse a finite number that is at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise DataError(f"{place}: {column} is {text!r}; expected a number that is at least 0.")
    return value
