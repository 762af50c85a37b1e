"""Cache files: a statistic's state with the arguments it was made with, read only when they are the same."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastdissect.compat.running.state_files import State, read_state, write_state
from fastdissect.errors import FastdissectError, OutputError

__all__ = ["cached_path", "changed_arguments", "plain", "read_cache", "remedied", "write_cache"]


def cached_path(cachefile: str | Path) -> Path:
    """Where a cache file is: numpy puts `.npz` behind names without it."""
    path = Path(cachefile)
    return path if path.name.endswith(".npz") else path.with_name(f"{path.name}.npz")


def read_cache(
    cachefile: str | Path | None, arguments: Mapping[str, Any], cls_name: str | tuple[str, ...] | None
) -> State | None:
    """The state in a cache file; None if there is none, or one of other arguments.

    Raises:
        OutputError: the file is damaged, or another class's (the peers compute again and overwrite it).

    Warns:
        UserWarning: it was made with other arguments and will be computed again.
    """
    if cachefile is None or not cached_path(cachefile).exists():
        return None
    path = cached_path(cachefile)
    with remedied():
        state = read_state(path, cls_name=cls_name)
    changed = changed_arguments(state, arguments)
    if changed:
        message = f"{path} was made with {changed}; it is computed again and replaced"
        warnings.warn(message, UserWarning, stacklevel=4)
        return None
    return state


def write_cache(
    cachefile: str | Path | None, state: Mapping[str, Any], arguments: Mapping[str, Any], *, boxed: bool
) -> None:
    """Write a state and its arguments beside and renamed; without a name, nothing."""
    if cachefile is not None:
        write_state(cached_path(cachefile), {**state, **arguments}, boxed=boxed)


def changed_arguments(state: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """What differs, as "k = 5 instead of 10"; "" if nothing does."""
    changed = []
    for name, wanted in arguments.items():
        found = plain(state[name]) if name in state else "not recorded"
        if found != wanted:
            changed.append(f"{name} = {found} instead of {wanted}")
    return ", ".join(changed)


def plain(value: Any) -> Any:
    """A number, string or None out of the array that a file keeps it in."""
    return value.item() if isinstance(value, (np.ndarray, np.generic)) and value.size == 1 else value


@contextlib.contextmanager
def remedied() -> Iterator[None]:
    """Let an error about a cache file, which names it, also say what to do."""
    try:
        yield
    except FastdissectError as error:
        raise OutputError(f"{error}; delete the file to have it computed again, or name another") from error
