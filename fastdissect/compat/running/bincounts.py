"""Bincounts: how often each whole number occurs."""

from __future__ import annotations

import torch
from torch import Tensor

from fastdissect.errors import ActivationError

__all__ = ["Bincounts"]


class Bincounts:
    """int64 counts of the numbers 0, 1, 2, ... in data of any integer type and shape."""

    def __init__(self) -> None:
        self.count = 0
        self.counts: Tensor | None = None  # int64 [largest number + 1]

    def add(self, data: Tensor, size: int | None, caller: str) -> None:
        """Take numbers of any shape; `size` is what counts as the number of samples, by default the numbers'.

        Raises:
            ActivationError: no integers, or negative ones.
        """
        if data.dtype.is_floating_point or data.dtype == torch.bool:
            raise ActivationError(f"{caller}: expected integers; got {data.dtype}; convert with .long()")
        numbers = data.reshape(-1)
        if numbers.numel() and int(numbers.min()) < 0:
            raise ActivationError(f"{caller}: expected numbers from 0; got {int(numbers.min())}")
        counts = torch.bincount(numbers)
        if self.counts is not None:
            if len(counts) < len(self.counts):
                counts, self.counts = self.counts.clone(), counts
            counts[: len(self.counts)] += self.counts
        self.counts = counts
        self.count += len(numbers) if size is None else int(size)

    def result(self) -> Tensor:
        """int64 [largest number + 1].

        Raises:
            ActivationError: nothing was added.
        """
        if self.counts is None:
            raise ActivationError("expected at least one batch before a result; add() some data first")
        return self.counts

    def to_(self, device: torch.device | str) -> None:
        """Move the counts."""
        if self.counts is not None:
            self.counts = self.counts.to(device)
