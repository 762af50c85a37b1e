"""OUT/sweep.json: which runs a sweep's folder holds. `fastdissect compare OUT` reads it.

{"runs": [{"name": "epoch-12", "folder": "epoch-12", "step": 12, "accuracy": null, "error": null}, ...]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastdissect.errors import OutputError
from fastdissect.files import write_bytes
from fastdissect.out_folder import set_aside

__all__ = ["FILE", "prepare_sweep", "read_record", "write_entry"]

FILE = "sweep.json"


def prepare_sweep(out: Path, fresh: bool) -> None:
    """Make the folder ready: a new one, or that of an earlier sweep.

    Raises:
        OutputError: it is a file, holds something else, or cannot be made.
    """
    if fresh:
        set_aside(out)
    if out.exists() and not out.is_dir():
        raise OutputError(
            f"{out}: expected a folder for the runs; there is a file of that name; choose another"
        )
    if (out / FILE).exists():
        read_record(out)
        return
    if out.is_dir() and any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise OutputError(
            f"{out}: expected an empty folder or one of an earlier sweep; choose another, or use --fresh"
        )
    _write(out, [])


def read_record(out: Path) -> list[dict[str, Any]]:
    """Return the entries of OUT/sweep.json, in its order.

    Raises:
        OutputError: there is none, or it is damaged.
    """
    try:
        runs = json.loads((out / FILE).read_text(encoding="utf-8"))["runs"]
        if not all(isinstance(run["name"], str) for run in runs):
            raise TypeError("a run without a name")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{out / FILE}: expected the runs of a sweep; got {type(error).__name__}: {error}; use --fresh to begin again"
        ) from error
    return list(runs)


def write_entry(out: Path, entry: Mapping[str, Any]) -> None:
    """Put one run's entry into OUT/sweep.json, in the place of an older one of its name."""
    runs = read_record(out)
    names = [run["name"] for run in runs]
    if entry["name"] in names:
        runs[names.index(entry["name"])] = dict(entry)
    else:
        runs.append(dict(entry))
    _write(out, runs)


def _write(out: Path, runs: list[dict[str, Any]]) -> None:
    text = json.dumps({"runs": runs}, indent=1, ensure_ascii=False) + "\n"
    write_bytes(out / FILE, text.encode(errors="surrogateescape"))
