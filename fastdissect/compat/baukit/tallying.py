"""`tally`, as baukit has it: a loop over a data set that a cache file can make empty."""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from fastdissect.compat.baukit.stat import Stat
from fastdissect.compat.running.cache_files import changed_arguments, plain, read_cache, remedied, write_cache
from fastdissect.compat.running.state_files import State, read_state
from fastdissect.errors import SettingError

__all__ = ["cache_load_enabled", "make_loader", "tally"]

Cache = str | Path | MutableMapping[str, Any] | None

_loading: ContextVar[bool] = ContextVar("loading", default=True)


@contextlib.contextmanager
def cache_load_enabled(enabled: bool = True) -> Iterator[None]:
    """Within it, with False, `tally` computes again what is cached (and replaces it)."""
    token = _loading.set(enabled)
    try:
        yield
    finally:
        _loading.reset(token)


def tally(stat: Stat, dataset: Any, cache: Cache = None, quiet: bool = False, **kwargs: Any) -> Iterator[Any]:
    """Batches to add to a statistic; none, and the statistic filled, if the cache has it.

    After the last batch the statistic is moved to the CPU and written to the cache.

    Args:
        stat: an empty statistic; a CombinedStat for several.
        dataset: what `torch.utils.data.DataLoader` takes, a tensor whose rows are the items, or a function that
            returns one of these (called only if needed).
        cache: an `.npz` file, or a dictionary, to read the statistic from or write it to.
        quiet: do not say that the cache was made otherwise.
        **kwargs: sample_size= for the first so many items, random_sample= (a seed) for so many random ones, and
            what DataLoader has (batch_size, num_workers, ...).

    Raises:
        SettingError: no Stat.
        OutputError: the cache is damaged, or another statistic's (baukit: computed again, or fails within).

    Warns:
        UserWarning: the cache was made with another sample_size or random_sample; it is computed again. (baukit
            looks at sample_size alone, and only where it is given.)

    >>> import torch
    >>> from fastdissect.compat.baukit import Mean
    >>> mean = Mean()
    >>> for [batch] in tally(mean, torch.arange(6.0)[:, None], batch_size=4):
    ...     mean.add(batch)
    >>> mean.mean().item()
    2.5
    """
    if not isinstance(stat, Stat):
        raise SettingError(f"expected a Stat to tally; got {type(stat).__name__}; derive it from Stat")
    arguments = {
        name: kwargs[name] for name in ("sample_size", "random_sample") if kwargs.get(name) is not None
    }
    state = _read(cache, arguments, quiet) if _loading.get() else None
    if state is not None:
        with remedied() if isinstance(cache, (str, Path)) else contextlib.nullcontext():
            stat.load_state_dict(state)
        return iter(())
    return _run(stat, make_loader(dataset, **kwargs), cache, arguments)


def _run(stat: Stat, loader: DataLoader[Any], cache: Cache, arguments: dict[str, Any]) -> Iterator[Any]:
    yield from loader
    stat.to_("cpu")
    if isinstance(cache, MutableMapping):
        cache.clear()
        cache.update(stat.state_dict() | arguments)
    elif cache is not None:
        write_cache(cache, stat.state_dict(), arguments, boxed=True)


def _read(cache: Cache, arguments: dict[str, Any], quiet: bool) -> State | None:
    """The cached state; None if there is none, or one of other arguments."""
    if isinstance(cache, MutableMapping):
        state = read_state(cache, cls_name=None) if cache else None
    else:
        state = read_cache(cache, {}, None)
    if state is None:
        return None
    wanted: dict[str, Any] = dict.fromkeys(("sample_size", "random_sample")) | arguments
    recorded = {name: plain(state.get(name)) for name in wanted}
    changed = changed_arguments(recorded, wanted)
    if changed and not quiet:
        name = cache if isinstance(cache, (str, Path)) else "the given cache"
        message = f"{name} was made with {changed}; it is computed again and replaced"
        warnings.warn(message, UserWarning, stacklevel=3)
    return None if changed else state


def make_loader(
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 1,
    sampler: Any = None,
    random_sample: int | None = None,
    **kwargs: Any,
) -> DataLoader[Any]:
    """A DataLoader over a data set, or the first `sample_size` items of it, or so many at random.

    The random items are baukit's for the same seed: `random.Random(seed)` shuffles all, the first are taken.

    Raises:
        SettingError: sample_size together with a sampler.

    Warns:
        UserWarning: sample_size is more than there are.
    """
    if callable(dataset):
        dataset = dataset()
    if isinstance(dataset, Tensor):
        dataset = TensorDataset(dataset)
    if sample_size is not None:
        if sampler is not None:
            raise SettingError("expected sample_size or a sampler; got both; leave one out")
        items = list(range(len(dataset)))
        if sample_size > len(items):
            message = f"expected sample_size to be at most the data set's {len(items)} items; got {sample_size}; all are read"
            warnings.warn(message, UserWarning, stacklevel=3)
        if random_sample is not None:
            random.Random(random_sample).shuffle(items)
        sampler = items[:sample_size]
    return DataLoader(dataset, sampler=sampler, batch_size=batch_size, **kwargs)
