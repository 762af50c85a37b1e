"""Loading: a data set as batches, and what a computation makes of each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from fastdissect.progress import progress_bar

__all__ = ["Batches", "call_compute", "items_in", "make_loader"]


def call_compute(compute: Callable[..., Any], batch: Any) -> Any:
    """Call with a batch: a list as arguments, a dictionary as keyword arguments, anything else as the one argument."""
    if isinstance(batch, list):
        return compute(*batch)
    if isinstance(batch, dict):
        return compute(**batch)
    return compute(batch)


def make_loader(
    dataset: Any, sample_size: int | None = None, batch_size: int = 10, sampler: Any = None, **kwargs: Any
) -> DataLoader[Any]:
    """A DataLoader over a data set, or a tensor, or the first `sample_size` items of one.

    Args:
        dataset: anything DataLoader takes, or a tensor, whose rows are then the items.
        sample_size: items to read; None for all.
        batch_size: items a batch.
        sampler: which items instead; `sample_size` is then ignored.
        **kwargs: as DataLoader has them (num_workers, pin_memory, ...).

    Warns:
        UserWarning: sample_size is more than there are.
    """
    if isinstance(dataset, Tensor):
        dataset = TensorDataset(dataset)
    if sampler is None and sample_size is not None:
        if sample_size > len(dataset):
            warnings.warn(
                f"expected sample_size to be at most the data set's {len(dataset)} items; got {sample_size}; all are read",
                UserWarning,
                stacklevel=2,
            )
        sampler = range(min(sample_size, len(dataset)))
    return DataLoader(dataset, sampler=sampler, batch_size=batch_size, **kwargs)


class Batches:
    """The batches of one tally, with a progress bar where standard error is a terminal.

    Args:
        what: what the bar says.
        compute: gets each batch, as `call_compute` passes it.
        dataset, sample_size, batch_size, **kwargs: as `make_loader` has them.
    """

    def __init__(
        self,
        what: str,
        compute: Callable[..., Any],
        dataset: Any,
        sample_size: int | None,
        batch_size: int,
        **kwargs: Any,
    ) -> None:
        self._what, self._compute = what, compute
        self.loader = make_loader(dataset, sample_size, batch_size, **kwargs)

    def __iter__(self) -> Iterator[Any]:
        """What compute made of each batch."""
        try:
            total = len(self.loader)
        except TypeError:  # an iterable data set
            total = 0
        with progress_bar(self._what, total, show=None if total else False) as advance:
            for batch in self.loader:
                yield call_compute(self._compute, batch)
                advance(1)


def items_in(batch: Any) -> int | None:
    """How many items a batch has; None if it does not say."""
    if isinstance(batch, dict):
        batch = next(iter(batch.values()), None)
    elif isinstance(batch, (list, tuple)):
        batch = batch[0] if batch else None
    if isinstance(batch, torch.Tensor):
        return len(batch) if batch.dim() else None
    return len(batch) if isinstance(batch, (list, tuple)) else None
