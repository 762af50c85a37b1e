"""RunningBincount and RunningAllIntersectionAndUnion, as netdissect.runningstats has them, counted in int64."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

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
from fastdissect.errors import ActivationError

__all__ = ["RunningAllIntersectionAndUnion", "RunningBincount"]


class RunningBincount:
    """How often each whole number from 0 occurs.

    Args:
        state: a file or dictionary that this class or the peer's wrote.

    >>> counts = RunningBincount()
    >>> counts.add(torch.tensor([[0, 2], [2, 2]]))
    >>> counts.bincount().tolist(), counts.size()
    ([1, 0, 3], 4)
    """

    def __init__(self, state: Any = None) -> None:
        self._counts = Bincounts()
        if state is not None:
            self.set_state_dict(state)

    @property
    def count(self) -> int:
        return self._counts.count

    def add(self, a: Tensor, size: int | None = None) -> None:
        """Take integers of any shape; `size` replaces the number of them in `size()` and `mean()`.

        Raises:
            ActivationError: no integers, or negative ones.
        """
        self._counts.add(require_tensor(a, "RunningBincount.add"), size, "RunningBincount.add")

    def size(self) -> int:
        """Samples seen."""
        return self.count

    def bincount(self) -> Tensor:
        """int64 [largest number + 1]."""
        return self._counts.result()

    def mean(self) -> Tensor:
        """float32 [largest number + 1]: counts over `size()`."""
        return (self.bincount().double() / self.count).float()

    def cpu_(self) -> None:
        """Move the counts to the CPU."""
        self.to_("cpu")

    def cuda_(self) -> None:
        """Move the counts to the default CUDA device."""
        self.to_("cuda")

    def to_(self, device: torch.device | str) -> None:
        """Move the counts to a device."""
        self._counts.to_(device)

    def state_dict(self) -> dict[str, Any]:
        """The peer's fields."""
        return {"constructor": "netdissect.runningstats.RunningBincount()", **bincount_fields(self._counts)}

    def set_state_dict(self, dic: Any) -> None:
        """Go on from a state: a path, an open `.npz`, or a dictionary."""
        self._counts = read_bincounts(Fields(dic, ("RunningBincount", "Bincount")))


class RunningAllIntersectionAndUnion:
    """Intersection and union of each binary feature of one signal with each of another.

    Counts are int64 underneath (the peer's float32 sums drop ones from 2^24 on) and read out as float32.

    Args:
        state: a file or dictionary that this class or the peer's wrote.
    """

    def __init__(self, state: Any = None) -> None:
        self._pairs = CoOccurrence()
        if state is not None:
            self.set_state_dict(state)

    @property
    def count(self) -> int:
        return self._pairs.count

    @property
    def intersection(self) -> Tensor:
        """float32 [features a, features b]."""
        return self._pairs.counts()[0].float()

    @property
    def total_a(self) -> Tensor:
        """float32 [features a]."""
        return self._pairs.counts()[1].float()

    @property
    def total_b(self) -> Tensor:
        """float32 [features b]."""
        return self._pairs.counts()[2].float()

    def add(self, S: Tensor, G: Tensor) -> None:
        """Take two batches, bool [samples, features a] and [samples, features b].

        Raises:
            ActivationError: no bool tensors, or other numbers of samples or features.
        """
        name = "RunningAllIntersectionAndUnion.add"
        a, b = require_tensor(S, name), require_tensor(G, name)
        if a.dtype != torch.bool or b.dtype != torch.bool:
            raise ActivationError(
                f"{name}: expected bool; got {a.dtype} and {b.dtype}; compare with a threshold"
            )
        self._pairs.add(a, b, name)

    def size(self) -> int:
        """Samples seen."""
        return self.count

    def iou(self) -> Tensor:
        """float32 [features a, features b]; 0 where both are never true."""
        return self._pairs.iou()

    def to_(self, device: torch.device | str) -> None:
        """Move the counts to a device."""
        self._pairs.to_(device)

    def state_dict(self) -> dict[str, Any]:
        """The peer's fields, and the int64 counts in fields of our own."""
        name = "netdissect.runningstats.RunningAllIntersectionAndUnion()"
        return {"constructor": name, **co_occurrence_fields(self._pairs, totals=True)}

    def set_state_dict(self, dic: Any) -> None:
        """Go on from a state: a path, an open `.npz`, or a dictionary."""
        self._pairs = read_co_occurrence(Fields(dic, "RunningAllIntersectionAndUnion"), totals=True)
