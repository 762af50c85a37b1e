"""What every tally does: read the cache, or run over the batches, bring the result to the CPU, write the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fastdissect.compat.running.cache_files import read_cache, remedied, write_cache
from fastdissect.compat.running.fields import prefixed
from fastdissect.compat.running.state_files import State

__all__ = ["cached", "save", "tallied", "tallied_together"]


class Statistic(Protocol):
    """A running statistic that can be kept in a file."""

    def to_(self, device: str) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def set_state_dict(self, dic: Any) -> None: ...


S = TypeVar("S", bound=Statistic)


def tallied(
    begin: Callable[[], S],
    run: Callable[[S], S],
    cachefile: str | Path | None,
    arguments: Mapping[str, Any],
) -> S:
    """One statistic from its cache file, or from `run`, which takes an empty one and returns it filled."""
    empty = begin()
    state = read_cache(cachefile, arguments, type(empty).__name__)
    if state is not None:
        with remedied():
            empty.set_state_dict(state)
        return empty
    filled = run(empty)
    filled.to_("cpu")
    write_cache(cachefile, filled.state_dict(), arguments, boxed=False)
    return filled


def tallied_together(
    empty: Mapping[str, Statistic],
    run: Callable[[], Mapping[str, Statistic]],
    cachefile: str | Path | None,
    arguments: Mapping[str, Any],
) -> Mapping[str, Statistic]:
    """Several statistics in one cache file, each one's fields behind its name and a dot."""
    state = cached(cachefile, arguments)
    if state is not None:
        with remedied():
            for name, statistic in empty.items():
                statistic.set_state_dict(state.part(name))
        return empty
    filled = run()
    fields: dict[str, Any] = {}
    for name, statistic in filled.items():
        statistic.to_("cpu")
        fields |= prefixed(name, statistic.state_dict())
    write_cache(cachefile, fields, arguments, boxed=False)
    return filled


def cached(cachefile: str | Path | None, arguments: Mapping[str, Any]) -> State | None:
    """The fields of a cache file that holds no single statistic."""
    return read_cache(cachefile, arguments, None)


def save(cachefile: str | Path | None, fields: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Write such a file."""
    write_cache(cachefile, fields, arguments, boxed=False)
