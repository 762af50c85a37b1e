"""Covariances: means and products of all pairs of features over any number of batches, in float64 underneath."""

from __future__ import annotations

import torch
from torch import Tensor

from fastdissect.compat.running.batches import require_match
from fastdissect.errors import ActivationError

__all__ = ["Covariances"]

PIECE = 1 << 20  # values converted to float64 at once: 8 MB


class Covariances:
    """Count, sum and products of deviations; pieces of rows are combined by Chan, Golub and LeVeque's formula."""

    def __init__(self) -> None:
        self.count = 0
        self.dtype = torch.get_default_dtype()
        self.total: Tensor | None = None  # float64 [features]
        self.products: Tensor | None = None  # float64 [features, features], of deviations from the means

    def add(self, data: Tensor, caller: str) -> None:
        """Take [samples, features] of any real dtype.

        Raises:
            ActivationError: other features or another device than before.
        """
        features = data.shape[1]
        if self.total is None or self.products is None:
            self.dtype = data.dtype if data.dtype.is_floating_point else torch.get_default_dtype()
            self.total = torch.zeros(features, dtype=torch.float64, device=data.device)
            self.products = self.total.new_zeros(features, features)
        require_match(data, len(self.total), self.total.device, caller)
        rows = max(1, PIECE // max(1, features))
        for first in range(0, len(data), rows):
            wide = data[first : first + rows].to(torch.float64)
            total, count = wide.sum(0), len(wide)
            wide = wide - total / count
            self.products = self.products + wide.t() @ wide
            if self.count:
                apart = total / count - self.total / self.count
                both = self.count + count
                self.products += torch.outer(apart, apart) * (self.count / both * count)
            self.total = self.total + total
            self.count += count

    def mean(self) -> Tensor:
        """[features], in the dtype of the data.

        Raises:
            ActivationError: nothing was added.
        """
        if self.total is None or not self.count:
            raise ActivationError("expected at least one batch before a result; add() some data first")
        return (self.total / self.count).to(self.dtype)

    def covariance(self, unbiased: bool) -> Tensor:
        """float64 [features, features].

        Raises:
            ActivationError: nothing was added.
        """
        if self.products is None or not self.count:
            raise ActivationError("expected at least one batch before a result; add() some data first")
        return self.products / (self.count - int(unbiased))

    def to_(self, device: torch.device | str) -> None:
        """Move the sums."""
        if self.total is not None and self.products is not None:
            self.total, self.products = self.total.to(device), self.products.to(device)
