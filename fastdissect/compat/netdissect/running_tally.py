"""What every tally does: read the cache, or run over the batches, bring the result to the CPU, write the cache."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor

from fastdissect.compat.netdissect.loading import Batches, items_in
from fastdissect.compat.netdissect.quantile import RunningQuantile
from fastdissect.compat.running.cache_files import read_cache, remedied, write_cache
from fastdissect.compat.running.fields import prefixed
from fastdissect.compat.running.quantile_settings import require_rows
from fastdissect.compat.running.state_files import State
from fastdissect.errors import ActivationError

__all__ = [
    "QuantileFeed",
    "RowsDifferError",
    "cached",
    "feed_quantile",
    "save",
    "tallied",
    "tallied_together",
]


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
    empty: dict[str, Statistic],
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


class RowsDifferError(ActivationError):
    """A batch has more rows an item than the first: the total taken from that one is too small."""


class QuantileFeed:
    """A RunningQuantile that is told its total where the first batch gives it away.

    The first batch's rows an item, times the items in all, are the rows in all. A later batch with more rows an
    item shows that this was wrong, and is an error here: `feed_quantile` then begins again without a total.
    """

    def __init__(self, batches: Batches, total: int | None, guess: bool, options: Mapping[str, Any]) -> None:
        self._items, self._total, self._guess, self._options = batches.items, total, guess, options
        self._each: int | None = None  # rows an item
        self.quantile: RunningQuantile | None = None

    def add(self, batch: Any, rows: Tensor) -> None:
        """Take what compute made of a batch, [samples, units]."""
        items, rows = items_in(batch), require_rows(rows, None)
        if self.quantile is None:
            total = self._total
            if (
                total is None
                and self._guess
                and self._items
                and items
                and len(rows)
                and len(rows) % items == 0
            ):
                self._each = len(rows) // items
                total = self._each * self._items
            self.quantile = RunningQuantile(total=total, **self._options)
        if self._each is not None and (items is None or len(rows) > self._each * items):
            raise RowsDifferError("rows an item differ between batches")
        self.quantile.add(rows)

    def done(self) -> RunningQuantile:
        """The quantile; an empty one of an empty data set."""
        return (
            self.quantile
            if self.quantile is not None
            else RunningQuantile(total=self._total, **self._options)
        )


def feed_quantile(
    batches: Batches, total: int | None, options: Mapping[str, Any], take: Callable[[QuantileFeed], None]
) -> RunningQuantile:
    """Let `take` run over all batches; once more, without a total, if the guessed one was wrong."""
    feed = QuantileFeed(batches, total, True, options)
    try:
        take(feed)
    except RowsDifferError:
        warnings.warn(
            "the batches have different numbers of rows an item, so the total is not known beforehand; beginning "
            "again without one: give total= (an upper bound of the rows in all) to have it exact in one run",
            UserWarning,
            stacklevel=5,
        )
        feed = QuantileFeed(batches, None, False, options)
        take(feed)
    return feed.done()
