"""Accuracies of runs, from a CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from fastdissect.errors import SettingError

__all__ = ["read_accuracies"]


def read_accuracies(path: Path, names: Sequence[str], steps: Sequence[float | None]) -> list[float | None]:
    """Return the accuracy of every run, None where the file has none.

    Args:
        path: a CSV with the columns accuracy, and run (or name) or step.
        names, steps: of the runs, in their order.

    Raises:
        SettingError: the file cannot be read, or has other columns, no numbers, or a run or step that is unknown
            or stands there twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, strict=True))
        column = next(name for name in ("run", "name", "step") if rows and name in rows[0])
        by_step = column == "step"
        keys: Sequence[object] = steps if by_step else names
        known = {float(row[column]) if by_step else row[column]: float(row["accuracy"]) for row in rows}
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, StopIteration, csv.Error) as error:
        raise SettingError(
            f"{path}: expected a CSV with a row a run, its columns accuracy (a number) and run or step; got: {error!r}"
        ) from error
    if len(known) < len(rows):
        raise SettingError(
            f"{path}: expected each {column} once; got {len(rows)} rows for {len(known)} of them"
        )
    unknown = [str(key) for key in known if key not in keys]
    if unknown:
        raise SettingError(
            f"{path}: expected a {column} of the runs, {', '.join(str(key) for key in keys)}; got {', '.join(unknown)}"
        )
    return [known.get(key) for key in keys]
