"""OUT/sweep.json: which runs a sweep's folder holds. `fastdissect compare OUT` reads it.

{"runs": [{"name": "epoch-12", "folder": "epoch-12", "step": 12, "accuracy": null, "error": null}, ...]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastdissect.errors import OutputError
from fastdissect.files import write_bytes
from fastdissect.out_folder import set_aside

__all__ = ["FILE", "RecordedRun", "prepare_sweep", "read_record", "write_entry"]

FILE = "sweep.json"


class RecordedRun(NamedTuple):
    """What sweep.json says of one run."""

    name: str
    folder: str  # inside the sweep's
    step: float | None = None
    accuracy: float | None = None
    error: str | None = None  # why there is no run


def prepare_sweep(out: Path, fresh: bool) -> None:
    """Make the folder ready: a new one, or that of an earlier sweep.

    Raises:
        OutputError: it is a file, holds something else, or cannot be made.
    """
    if fresh:
        set_aside(out)
    try:
        there = {entry.name for entry in out.iterdir()}
    except FileNotFoundError:
        there = set()
    except NotADirectoryError:
        raise OutputError(
            f"{out}: expected a folder for the runs; there is a file of that name; choose another"
        ) from None
    except OSError as error:  # a name that is too long, a folder of somebody else's
        raise OutputError(
            f"{out} cannot be used: {error.strerror or error}; choose another folder"
        ) from error
    if FILE in there:
        read_record(out)
    elif any(not name.startswith(".") for name in there):
        raise OutputError(
            f"{out}: expected an empty folder or one of an earlier sweep; choose another, or use --fresh"
        )
    else:
        _write(out, [])


def read_record(out: Path) -> list[RecordedRun]:
    """Return the runs that OUT/sweep.json lists, in its order.

    Raises:
        OutputError: there is none, or it is damaged.
    """
    path = out / FILE
    try:
        runs = json.loads(path.read_bytes().decode(errors="surrogateescape"))["runs"]
        return [_recorded(run) for run in runs]
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise OutputError(
            f"{path} is truncated or damaged: expected the runs of a sweep; got {error!r}; sweep again with --fresh, or "
            "restore the file"
        ) from error


def _recorded(run: Any) -> RecordedRun:
    numbers = [run.get(key) for key in ("step", "accuracy")]
    for number in numbers:
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
            raise TypeError(f"expected a number or null, got {number!r}")
    step, accuracy = (None if number is None else float(number) for number in numbers)
    error = run.get("error")
    return RecordedRun(
        str(run["name"]), str(run["folder"]), step, accuracy, None if error is None else str(error)
    )


def write_entry(out: Path, entry: RecordedRun) -> None:
    """Put one run into OUT/sweep.json, in the place of an older one of its name."""
    runs = read_record(out)
    names = [run.name for run in runs]
    if entry.name in names:
        runs[names.index(entry.name)] = entry
    else:
        runs.append(entry)
    _write(out, runs)


def _write(out: Path, runs: Sequence[RecordedRun]) -> None:
    text = json.dumps({"runs": [run._asdict() for run in runs]}, indent=1, ensure_ascii=False) + "\n"
    write_bytes(out / FILE, text.encode(errors="surrogateescape"))
