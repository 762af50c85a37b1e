"""Small tables that options name: {name: value} from two columns, or a name a line."""

from __future__ import annotations

import csv
from pathlib import Path

from fastdissect.errors import DataError, SettingError

__all__ = ["read_names", "read_pairs"]


def read_pairs(path: Path, name: str, value: str) -> dict[str, str]:
    """Read two columns of a CSV with a header; other columns may be there.

    Raises:
        DataError: it cannot be read, lacks a column, or has a name twice.
    """
    found: dict[str, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {name, value} <= set(rows.fieldnames or ()):
                raise ValueError(f"the columns {', '.join(rows.fieldnames or ()) or 'none'}")
            for row in rows:
                if row[name] in found:
                    raise ValueError(f"{row[name]!r} twice")
                found[row[name]] = row[value] or ""
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{path}: expected a table with the columns {name} and {value}; got {reason}"
        ) from error
    return found


def read_names(path: Path) -> list[str]:
    """Read a class's name from every line.

    Raises:
        DataError: it cannot be read. SettingError: a line is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # not at other marks: a name may hold them
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a text file with a class's name a line; got: {error}") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines or not all(line.strip() for line in lines):
        raise SettingError(f"{path}: expected a class's name on every line; got an empty line or none")
    return [line.strip() for line in lines]
