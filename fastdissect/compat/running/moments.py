"""Moments: mean and variance of each feature over any number of batches, in float64 underneath."""

from __future__ import annotations

import torch
from torch import Tensor

from fastdissect.compat.running.batches import require_match
from fastdissect.errors import ActivationError

__all__ = ["Moments"]

PIECE = 1 << 16  # values converted to float64 at once: half a megabyte stays in the cache


class Moments:
    """Count, sum and squared deviations of each feature; what is read out has the dtype that was given.

    Order of addition: pieces of rows in the order in which they came; inside a piece torch adds in float64; the
    pieces' deviations are combined by Chan, Golub and LeVeque's formula. Whole numbers (indicators, counts) add
    without any rounding below 2^53, whatever the batches, so means of indicators are exact counts over n.
    Other means depend on the batches by about 1e-16 of the mean magnitude, which float32 results do not show but
    in their last bit. Data of an integer type reads out as torch's default dtype.
    """

    def __init__(self) -> None:
        self.count = 0
        self.batches = 0
        self.dtype = torch.get_default_dtype()
        self.total: Tensor | None = None  # float64 [features]
        self.deviation: Tensor | None = None  # float64 [features], sum of squared deviations from the mean

    def add(self, data: Tensor, caller: str) -> None:
        """Take [samples, features] of any real dtype.

        Raises:
            ActivationError: other features or another device than before.
        """
        features = data.shape[1]
        if self.total is None:
            self.dtype = _read_out(data.dtype)
        else:
            require_match(data, len(self.total), self.total.device, caller)
        if not len(data):
            return
        self.batches += 1
        rows = max(1, PIECE // max(1, features))
        for first in range(0, len(data), rows):
            wide = data[first : first + rows].to(torch.float64)
            total = wide.sum(0)
            self.combine(len(wide), total, (wide - total / len(wide)).square_().sum(0))

    def combine(self, count: int, total: Tensor, deviation: Tensor) -> None:
        """Take the sum and the squared deviations, float64 [features] each, of `count` more samples."""
        if self.total is None or self.deviation is None:
            self.count, self.total, self.deviation = count, total, deviation
            return
        apart = total / count - self.total / self.count
        both = self.count + count
        self.deviation = self.deviation + deviation + apart.square() * (self.count / both * count)
        self.total = self.total + total
        self.count = both

    def combine_counts(self, count: int, ones: Tensor, dtype: torch.dtype) -> None:
        """Take `count` samples of indicators of which ones[k] (whole numbers) are 1: exact."""
        if self.total is None:
            self.dtype = _read_out(dtype)
        self.batches += 1
        total = ones.to(torch.float64)
        self.combine(count, total, total * (count - total) / count)

    def mean(self) -> Tensor:
        """[features], in the dtype of the data.

        Raises:
            ActivationError: nothing was added.
        """
        return (self.sum() / self.count).to(self.dtype)

    def sum(self) -> Tensor:
        """float64 [features].

        Raises:
            ActivationError: nothing was added.
        """
        return self._given(self.total)

    def variance(self, unbiased: bool = True) -> Tensor:
        """[features]; NaN for one sample when unbiased."""
        return (self._given(self.deviation) / (self.count - int(unbiased))).to(self.dtype)

    def to_(self, device: torch.device | str) -> None:
        """Move the sums."""
        if self.total is not None and self.deviation is not None:
            self.total, self.deviation = self.total.to(device), self.deviation.to(device)

    def _given(self, sums: Tensor | None) -> Tensor:
        if sums is None:
            raise ActivationError("expected at least one batch before a result; add() some data first")
        return sums


def _read_out(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype.is_floating_point else torch.get_default_dtype()
