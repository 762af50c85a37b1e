"""Resuming: checkpoints in OUT/unfinished, and what must be equal for a run to go on.

    unfinished/checkpoint-7.npz    arrays of every layer's state
    unfinished/checkpoint-7.json   the key, where the run stood, streams' rows; written last: it makes 7 whole
    unfinished/...                 streams and planes, appended to between checkpoints

Of a run in groups of layers these lie in unfinished/group-1, group-2, ... (group_progress.py).

A process may be killed at any moment: the newest whole checkpoint is what the next one goes on from.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastdissect.arrays_file import read_arrays, write_arrays
from fastdissect.errors import OutputError
from fastdissect.files import write_bytes

__all__ = ["Checkpoint", "Checkpoints", "differing", "refuse_other"]

FORMAT = 1


class Checkpoint(NamedTuple):
    state: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class Checkpoints:
    """The checkpoints of one unfinished run in a folder."""

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self.folder, self.key = folder, dict(key)
        self._number = max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        stems = (path.stem.rpartition("-")[2] for path in self.folder.glob("checkpoint-*.json"))
        return sorted(int(stem) for stem in stems if stem.isdigit())

    @property
    def begun(self) -> bool:
        """True if there is a checkpoint to go on from."""
        return bool(self._numbers())

    def clear(self) -> None:
        """Remove everything from the folder but the lock: nothing in it can be gone on from."""
        self._number = 0
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != "lock":
                path.unlink(missing_ok=True)

    def save(self, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the next checkpoint; the older ones go once it is whole."""
        number = self._number + 1
        write_arrays(self.folder / f"checkpoint-{number}.npz", arrays)
        record = {"format": FORMAT, "key": self.key, "state": dict(state)}
        write_bytes(self.folder / f"checkpoint-{number}.json", json.dumps(record).encode())
        self._number = number
        for old in self.folder.glob("checkpoint-*"):
            if old.stem.rpartition("-")[2].isdigit() and int(old.stem.rpartition("-")[2]) < number:
                old.unlink()

    def load(self) -> Checkpoint | None:
        """The newest whole checkpoint; None if there is none.

        Raises:
            OutputError: it belongs to a run with other settings (each difference is named), is from a newer
                version, or is damaged.
        """
        numbers = self._numbers()
        if not numbers:
            return None
        path = self.folder / f"checkpoint-{numbers[-1]}.json"
        try:
            record = json.loads(path.read_bytes())
            if record["format"] > FORMAT:
                raise OutputError(
                    f"{path}: written by a newer version of fastdissect; update, or use --fresh"
                )
            refuse_other(self.folder.parent, record["key"], self.key)
            state = record["state"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(
                f"{path}: the checkpoint is damaged ({error}); begin again with --fresh"
            ) from error
        try:
            return Checkpoint(state, read_arrays(path.with_suffix(".npz")))
        except OutputError as error:
            raise OutputError(f"{error}; or begin again with --fresh") from error


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Names of the keys that differ, with both values."""
    names = sorted({*old, *new})
    return [f"{n}: {old.get(n)!r} then, {new.get(n)!r} now" for n in names if old.get(n) != new.get(n)]


def refuse_other(out: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raise OutputError if the folder belongs to a run with another key."""
    new = json.loads(json.dumps(dict(new)))  # as JSON gives it back
    different = differing(old, new)
    if different:
        raise OutputError(
            f"{out} belongs to another run; it differs in "
            + "; ".join(different)
            + ". Choose another folder, or --fresh to move it aside and begin again"
        )
