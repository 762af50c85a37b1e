"""Run folders, and the folder of a sweep, which stands for its runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from fastdissect.errors import SettingError
from fastdissect.methods.comparison.naming import tell_apart
from fastdissect.methods.sweeps.record import FILE, read_record

__all__ = ["FoundRun", "find_runs", "run_names"]


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
        if (folder / FILE).is_file():
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
    names = (
        run.name if own.count(run.name) == 1 else f"{run.folder}{f'@{run.layer}' if run.layer else ''}"
        for run in found
    )
    return tell_apart(name.encode(errors="backslashreplace").decode() for name in names)  # of any bytes


def _split(text: str) -> tuple[Path, str | None]:
    """The folder and the layer of FOLDER@LAYER; the longest folder that exists wins."""
    if "@" not in text or Path(text).exists():
        return Path(text), None
    for at in (i for i in range(len(text) - 1, 0, -1) if text[i] == "@"):
        if Path(text[:at]).is_dir() and text[at + 1 :]:
            return Path(text[:at]), text[at + 1 :]
    return Path(text), None


def _of_sweep(folder: Path, layer: str | None) -> tuple[list[FoundRun], list[str]]:
    runs = read_record(folder)
    found = [
        FoundRun(
            run.name if layer is None else f"{run.name}@{layer}",
            folder / run.folder,
            layer,
            run.step,
            run.accuracy,
        )
        for run in runs
        if run.error is None
    ]
    failed = [f"{run.name} of the sweep failed: {run.error}" for run in runs if run.error is not None]
    return found, failed if runs else [f"{folder / FILE} lists no run yet"]
