"""Run folders, and the folder of a sweep, which stands for its runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastdissect.errors import OutputError, SettingError
from fastdissect.methods.comparison.naming import tell_apart

__all__ = ["FoundRun", "find_runs", "run_names"]

_SWEEP = "sweep.json"


class FoundRun(NamedTuple):
    """A run that can be loaded."""

    name: str
    folder: Path
    layer: str | None = None  # FOLDER@LAYER
    step: float | None = None
    accuracy: float | None = None


def find_runs(paths: Iterable[str | Path]) -> tuple[list[FoundRun], list[str]]:
    """Return the runs that paths stand for, and a sentence about each of a sweep that failed.

    A path is a run's folder, FOLDER@LAYER for one of its layers, or a sweep's folder: its sweep.json names runs, with
    their training steps and accuracies. A folder whose own name has an @ is read as such where it exists.

    Raises:
        OutputError: a sweep.json that cannot be read, or that is not one.
        SettingError: no paths, or a sweep of which no run succeeded.
    """
    found: list[FoundRun] = []
    failed: list[str] = []
    for path in paths:
        folder, layer = _split(str(path))
        if (folder / _SWEEP).is_file():
            runs, errors = _of_sweep(folder, layer)
            found += runs
            failed += errors
        else:
            name = folder.resolve().name if layer is None else f"{folder.resolve().name}@{layer}"
            found.append(FoundRun(name, folder, layer))
    if not found:
        raise SettingError(
            f"expected at least one finished run; {'; '.join(failed) or 'no folder was named'}"
        )
    return found, failed


def run_names(found: Sequence[FoundRun]) -> list[str]:
    """Return a name for each run: its folder's; the whole path, where two folders have one name.

    >>> run_names([FoundRun("a", Path("a")), FoundRun("b", Path("b")), FoundRun("b", Path("b"))])
    ['a', 'b', 'b (2)']
    """
    own = [run.name for run in found]
    return tell_apart(
        run.name if own.count(run.name) == 1 else f"{run.folder}{f'@{run.layer}' if run.layer else ''}"
        for run in found
    )


def _split(text: str) -> tuple[Path, str | None]:
    """The folder and the layer of FOLDER@LAYER; the longest folder that exists wins."""
    if "@" not in text or Path(text).exists():
        return Path(text), None
    for at in (i for i in range(len(text) - 1, 0, -1) if text[i] == "@"):
        if Path(text[:at]).is_dir() and text[at + 1 :]:
            return Path(text[:at]), text[at + 1 :]
    return Path(text), None


def _of_sweep(folder: Path, layer: str | None) -> tuple[list[FoundRun], list[str]]:
    path = folder / _SWEEP
    try:
        record = json.loads(path.read_bytes().decode(errors="surrogateescape"))
        found, failed = [], []
        if not record["runs"]:
            failed.append(f"{path} lists no run yet")
        for run in record["runs"]:
            name = str(run["name"])
            if run.get("error") is not None:
                failed.append(f"{name} of the sweep failed: {run['error']}")
                continue
            step, accuracy = (_number(run.get(key)) for key in ("step", "accuracy"))
            title = name if layer is None else f"{name}@{layer}"
            found.append(FoundRun(title, folder / str(run["folder"]), layer, step, accuracy))
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OutputError(
            f"{path} is truncated or damaged: {error!r}; sweep again, or restore the file"
        ) from error
    return found, failed


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number or null, got {value!r}")
    return float(value)
