"""Bincount, IoU and CrossIoU, as baukit has them: counted in int64."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastdissect.compat.baukit.stat import Stat
from fastdissect.compat.running.batches import require_tensor
from fastdissect.compat.running.bincounts import Bincounts
from fastdissect.compat.running.co_occurrence import CoOccurrence
from fastdissect.compat.running.fields import Fields
from fastdissect.compat.running.states import (
    bincount_fields,
    co_occurrence_fields,
    read_bincounts,
    read_co_occurrence,
)

__all__ = ["Bincount", "CrossIoU", "IoU"]


class Bincount(Stat):
    """How often each whole number from 0 occurs.

    Args:
        state: a file or dictionary that this class or baukit's wrote.
    """

    def __init__(self, state: Any = None) -> None:
        self._counts = Bincounts()
        if state is not None:
            self.load_state_dict(state)

    @property
    def count(self) -> int:
        return self._counts.count

    def add(self, x: Any, size: int | None = None) -> None:
        """Take integers of any shape; `size` replaces the number of them in `size()`.

        Raises:
            ActivationError: no integers, or negative ones.
        """
        self._counts.add(require_tensor(x, "Bincount.add"), size, "Bincount.add")

    def size(self) -> int:
        """Numbers seen."""
        return self.count

    def bincount(self) -> Tensor:
        """int64 [largest number + 1]."""
        return self._counts.result()

    def to_(self, device: torch.device | str) -> None:
        self._counts.to_(device)

    def state_dict(self) -> dict[str, Any]:
        """baukit's fields."""
        return {"constructor": "baukit.runningstats.Bincount()", **bincount_fields(self._counts)}

    def load_state_dict(self, state: Any) -> None:
        self._counts = read_bincounts(Fields(state, ("Bincount", "RunningBincount")))


class _Pairs(Stat):
    """Read-outs that IoU and CrossIoU have in common."""

    def __init__(self, state: Any = None) -> None:
        self._pairs = CoOccurrence()
        if state is not None:
            self.load_state_dict(state)

    @property
    def count(self) -> int:
        return self._pairs.count

    def size(self) -> int:
        """Samples seen."""
        return self.count

    def intersection(self) -> Tensor:
        """[features, features]: samples in which both are true; float32, or float64 for such data."""
        return self._pairs.counts()[0].to(self._pairs.dtype)

    def union(self) -> Tensor:
        """[features, features]: samples in which at least one is true."""
        return self._pairs.union().to(self._pairs.dtype)

    def iou(self) -> Tensor:
        """[features, features]: intersection over union, rounded once; 0 where both are never true."""
        return self._pairs.iou()

    def to_(self, device: torch.device | str) -> None:
        self._pairs.to_(device)


class IoU(_Pairs):
    """How often two features are true together; true is above 0.

    Counts are int64 underneath (baukit's float32 sums drop ones from 2^24 on).

    Args:
        state: a file or dictionary that this class or baukit's wrote.

    >>> iou = IoU()
    >>> iou.add(torch.tensor([[1.0, -1.0], [2.0, 3.0]]))
    >>> iou.iou().tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """

    def add(self, x: Any) -> None:
        """Take a batch [samples, features] of any real dtype."""
        data = require_tensor(x, "IoU.add")
        self._pairs.add(data, data, "IoU.add")

    def state_dict(self) -> dict[str, Any]:
        """baukit's fields, and the int64 counts in a field of our own."""
        return {"constructor": "baukit.runningstats.IoU()", **co_occurrence_fields(self._pairs, totals=False)}

    def load_state_dict(self, state: Any) -> None:
        self._pairs = read_co_occurrence(Fields(state, "IoU"), totals=False)


class CrossIoU(_Pairs):
    """How often a feature of one signal and one of another are true together; true is above 0.

    Args:
        state: a file or dictionary that this class or baukit's wrote.
    """

    @property
    def total_a(self) -> Tensor:
        """[features a]: samples in which each is true."""
        return self._pairs.counts()[1].to(self._pairs.dtype)

    @property
    def total_b(self) -> Tensor:
        """[features b]."""
        return self._pairs.counts()[2].to(self._pairs.dtype)

    def add(self, a: Any, b: Any) -> None:
        """Take two batches, [samples, features a] and [samples, features b]."""
        self._pairs.add(require_tensor(a, "CrossIoU.add"), require_tensor(b, "CrossIoU.add"), "CrossIoU.add")

    def state_dict(self) -> dict[str, Any]:
        """baukit's fields, and the int64 counts in fields of our own."""
        name = "baukit.runningstats.CrossIoU()"
        return {"constructor": name, **co_occurrence_fields(self._pairs, totals=True)}

    def load_state_dict(self, state: Any) -> None:
        self._pairs = read_co_occurrence(Fields(state, "CrossIoU"), totals=True)
