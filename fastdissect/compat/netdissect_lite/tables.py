"""Broden's label tables in the form in which NetDissect-Lite keeps them: lists of rows, by number and by code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.tables import read_table, real_number, whole_number
from fastdissect.datasets.vocabulary import MAX_LABEL
from fastdissect.errors import DataError, SettingError, nearest

__all__ = ["LiteTables", "Row", "read_tables"]

Row = dict[str, Any]
_WHOLE, _REAL = ("number", "code", "frequency"), ("coverage",)
_COUNTED = re.compile(r"(.*)\(([0-9]+)\)")


@dataclass(frozen=True, eq=False)
class LiteTables:
    """The tables of the categories that were asked for."""

    label: list[Row]  # by label number; 0 and numbers that are not listed are empty rows
    category: dict[str, Row]  # in category.csv's order
    coded: dict[str, list[Row]]  # by the category's own code; 0 is an empty row
    codes: dict[str, NDArray[np.int64]]  # [labels]: label number -> code, 0 where the category lacks it
    primary: NDArray[np.int64]  # [labels]: index of the primary category


def read_tables(folder: Path, asked: tuple[str, ...], settings: str) -> LiteTables:
    """Read label.csv, category.csv and c_<category>.csv.

    Args:
        asked: settings.CATAGORIES; the order is category.csv's all the same.
        settings: names the settings' file in errors.

    Raises:
        SettingError: a category that the data set has not.
        DataError: a table is missing or malformed.
    """
    listed = {row["name"]: row for row in _rows(folder / "category.csv", ("name",))}
    for name in asked:
        if name not in listed:
            raise SettingError(
                f"{settings}: CATAGORIES holds {name!r}, which {folder / 'category.csv'} lacks; it has "
                f"{', '.join(listed)}{nearest(name, listed)}"
            )
    category = {name: row for name, row in listed.items() if name in asked}
    label = _dense(_rows(folder / "label.csv", ("number", "name")), "number")
    coded = {
        name: _dense(_rows(folder / f"c_{name}.csv", ("code", "number", "coverage")), "code")
        for name in category
    }
    codes = {}
    for name, rows in coded.items():
        if len(rows) < 2:
            raise DataError(f"{folder / f'c_{name}.csv'}: expected a row a label of the category; got none")
        codes[name] = np.zeros(max(len(label), 1 + max(row["number"] for row in rows)), np.int64)
        for code, row in enumerate(rows):
            codes[name][row["number"]] = code
    primary = [_primary(number, coded, codes) for number in range(len(label))]
    return LiteTables(label, category, coded, codes, np.array(primary, np.int64))


def _primary(number: int, coded: dict[str, list[Row]], codes: dict[str, NDArray[np.int64]]) -> int:
    """The category of largest coverage; ties, and labels that no category lists, go to the later one."""
    covers = [
        (float(rows[codes[name][number]]["coverage"]) if codes[name][number] else 0.0, place)
        for place, (name, rows) in enumerate(coded.items())
    ]
    return max(covers)[1]


def _rows(path: Path, required: tuple[str, ...]) -> list[Row]:
    table = read_table(path, required)
    return [
        {
            column: _value(column, text, table.place(line))
            for column, text in zip(table.columns, fields, strict=True)
        }
        for line, fields in table.rows()
    ]


def _value(column: str, text: str, place: str) -> Any:
    if column in _WHOLE:
        return whole_number(text, place, column, 0, MAX_LABEL if column != "frequency" else 10**12)
    if column in _REAL:
        return real_number(text, place, column)
    if column == "syns":
        return text.split(";")
    if column == "category":
        found = [_COUNTED.fullmatch(part) for part in text.split(";")]
        return {match[1]: int(match[2]) for match in found if match}
    return text


def _dense(rows: list[Row], key: str) -> list[Row]:
    """rows[number], with empty rows in between."""
    example = rows[0] if rows else {key: 0, "number": 0, "name": "", "coverage": 0.0}
    empty = {column: type(value)() for column, value in example.items()}
    dense = [{**empty, key: i} for i in range(1 + max((row[key] for row in rows), default=0))]
    for row in rows:
        dense[row[key]] = row
    return dense
