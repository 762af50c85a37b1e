"""Top k: the k extreme values of each feature and where they were seen, over any number of batches."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fastdissect.compat.running.batches import require_match
from fastdissect.errors import ActivationError, SettingError

__all__ = ["TopK"]

PIECE = 1 << 22  # values compared with the bound at once: a mask of 4 MB
FEWEST = 64  # waiting candidates of a feature below which merging is not worth a sort


class TopK:
    """The k largest (or smallest) values of each feature with their indices; ties go to the lowest index.

    Only values beyond the k-th so far can enter, so after the first rows a batch costs one comparison a value; what
    passes waits until some feature has k candidates, then all are merged by one stable sort. NaN counts as the
    greatest value, as in `torch.topk`. The result does not depend on the batches. Source: our formulation.

    Args:
        k: how many values a feature; at least 1.
        largest: False for the smallest.

    Raises:
        SettingError: k is no whole number of at least 1.
    """

    def __init__(self, k: int, largest: bool = True) -> None:
        if not _is_whole(k) or k < 1:
            raise SettingError(f"expected k, the number of values to keep, to be at least 1; got {k!r}")
        self.k = int(k)
        self.largest = bool(largest)
        self.count = 0
        self._values: Tensor | None = None  # [features, <= k], best first
        self._index: Tensor | None = None  # int64, likewise
        self._ordered = True  # every index is above those before it, so position decides ties
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []  # (feature, value, index) of candidates
        self._pending: Tensor | None = None  # int64 [features], candidates that wait

    def add(self, data: Tensor, index: Tensor | None = None) -> None:
        """Take a batch.

        Args:
            data: [samples, features], any real dtype, any device.
            index: int64 [samples]; default: the number of the sample in the stream.

        Raises:
            ActivationError: other features, dtype or device than before; an index of another length, or of floats.
        """
        if self._values is not None:
            require_match(data, len(self._values), self._values.device, "TopK.add", self._values.dtype)
        if index is not None and (tuple(index.shape) != (len(data),) or not _holds_integers(index)):
            raise ActivationError(
                f"expected one index a sample, whole numbers of shape ({len(data)},); got shape "
                f"{tuple(index.shape)}, {index.dtype}"
            )
        if self._values is None:
            self._values = data.new_empty((data.shape[1], 0))
            self._index = torch.empty((data.shape[1], 0), dtype=torch.int64, device=data.device)
            self._pending = torch.zeros(data.shape[1], dtype=torch.int64, device=data.device)
        if not data.numel():
            self.count += len(data)
            return
        own = torch.arange(self.count, self.count + len(data), device=data.device)
        self._ordered = self._ordered and index is None
        where = own if index is None else index.to(data.device, torch.int64)
        first = 0
        while first < len(data):
            # As many rows again as were seen: k candidates a feature are then expected, in any order of the data.
            rows = min(max(self.count, 2 * self.k, FEWEST), max(1, PIECE // data.shape[1]))
            piece = data[first : first + rows]
            self._take(piece, where[first : first + rows])
            self.count += len(piece)
            first += rows

    def _take(self, data: Tensor, where: Tensor) -> None:
        assert self._values is not None
        assert self._pending is not None
        if self._values.shape[1] < self.k:  # no bound yet
            at = torch.arange(data.numel(), device=data.device)
        else:
            at = _positions(self._can_enter(data, where))
        if not len(at):
            return
        feature, row = at % data.shape[1], at // data.shape[1]
        self._waiting.append((feature, data[row, feature], where[row]))
        self._pending += torch.bincount(feature, minlength=data.shape[1])
        if int(self._pending.max()) >= max(self.k, FEWEST):
            self._merge()

    def _can_enter(self, data: Tensor, where: Tensor) -> Tensor:
        """[samples, features]: beyond the k-th so far; a NaN always passes, the sort decides."""
        assert self._values is not None
        assert self._index is not None
        bound = self._values[:, -1]
        inside = ~((data <= bound) if self.largest else (data >= bound))
        if self._ordered:
            return inside
        return inside | ((data == bound) & (where[:, None] < self._index[:, -1]))

    def _merge(self) -> None:
        """Sort what waits into the kept values."""
        if not self._waiting:
            return
        assert self._values is not None
        assert self._index is not None
        assert self._pending is not None
        feature, value, where = (torch.cat(part) for part in zip(*self._waiting, strict=True))
        self._waiting = []
        order = feature.argsort(stable=True)
        feature, value, where = feature[order], value[order], where[order]
        kept = self._values.shape[1]
        column = kept + torch.arange(len(feature), device=feature.device)
        column -= (self._pending.cumsum(0) - self._pending)[feature]
        shape = (len(self._values), kept + int(self._pending.max()))
        values = torch.full(shape, _worst(value.dtype, self.largest), dtype=value.dtype, device=value.device)
        index = torch.full(shape, torch.iinfo(torch.int64).max, dtype=torch.int64, device=value.device)
        values[:, :kept], index[:, :kept] = self._values, self._index
        values[feature, column], index[feature, column] = value, where
        self._keep(values, index, kept + int(self._pending.min()))
        self._pending.zero_()

    def _keep(self, values: Tensor, index: Tensor, filled: int) -> None:
        """Keep the best k columns. What fills a row is last among its equals, so it never displaces a value."""
        if not self._ordered:
            index, order = index.sort(dim=1)
            values = values.gather(1, order)
        values, order = values.sort(dim=1, descending=self.largest, stable=True)
        k = min(self.k, filled)
        self._values = values[:, :k].clone()
        self._index = index.gather(1, order[:, :k])

    def result(self) -> tuple[Tensor, Tensor]:
        """(values, indices), [features, min(k, samples)] each, best first.

        Raises:
            ActivationError: nothing was added.
        """
        if self._values is None:
            raise ActivationError("expected at least one batch before a result; add() some data first")
        self._merge()
        assert self._index is not None
        return self._values, self._index

    def restore(self, count: int, values: Tensor, index: Tensor) -> None:
        """Go on from kept values, [features, at most a few k], in any order."""
        self.count = count
        self._ordered = not index.numel() or bool((index.max() < count) & (index.min() >= 0))
        self._pending = torch.zeros(len(values), dtype=torch.int64, device=values.device)
        ordered, self._ordered = self._ordered, False
        self._keep(values, index, values.shape[1])
        self._ordered = ordered

    def to_(self, device: torch.device | str) -> None:
        """Move what is kept."""
        if self._values is None:
            return
        self._merge()
        assert self._index is not None
        assert self._pending is not None
        self._values, self._index = self._values.to(device), self._index.to(device)
        self._pending = self._pending.to(device)


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _holds_integers(index: Tensor) -> bool:
    return not (index.dtype.is_floating_point or index.dtype.is_complex or index.dtype == torch.bool)


def _positions(mask: Tensor) -> Tensor:
    """Flat indices of what is true, int64. numpy finds them several times as fast as torch on a CPU."""
    flat = mask.reshape(-1)
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(flat.numpy()))
    return flat.nonzero()[:, 0]


def _worst(dtype: torch.dtype, largest: bool) -> float | int | bool:
    """What no value of this dtype is sorted behind; NaN counts as the greatest."""
    if dtype == torch.bool:
        return not largest
    if not dtype.is_floating_point:
        return torch.iinfo(dtype).min if largest else torch.iinfo(dtype).max
    return -math.inf if largest else math.nan
