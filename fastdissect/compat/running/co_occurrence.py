"""Co-occurrence: how often two binary features are true together, counted in int64."""

from __future__ import annotations

import torch
from torch import Tensor

from fastdissect.compat.running.batches import require_match
from fastdissect.errors import ActivationError

__all__ = ["CoOccurrence", "binary"]

EXACT_ROWS = 1 << 23  # float32 adds ones exactly up to 2^24


def binary(data: Tensor) -> Tensor:
    """True where a value is above 0 (a NaN is not), of any real dtype."""
    return data if data.dtype == torch.bool else data > 0


class CoOccurrence:
    """Intersections of each feature of one signal with each of another, and how often each is true.

    A batch is one float32 matrix product of zeros and ones, exact below 2^24 rows (TF32 and bfloat16 products
    hold 0 and 1 as well); batches are added as int64, so counts never stall at 2^24 as sums of float32 do.
    Read-outs are float32, or float64 for float64 data; half types would overflow at 65,504.
    """

    def __init__(self) -> None:
        self.count = 0
        self.dtype = torch.float32  # of what is read out
        self.intersection: Tensor | None = None  # int64 [features a, features b]
        self.total_a: Tensor | None = None  # int64 [features a]
        self.total_b: Tensor | None = None  # int64 [features b]

    def add(self, a: Tensor, b: Tensor, caller: str) -> None:
        """Take two batches, [samples, features a] and [samples, features b]; true is above 0.

        Raises:
            ActivationError: other numbers of samples, features, or another device than before.
        """
        if a.dim() != 2 or b.dim() != 2 or len(a) != len(b):
            raise ActivationError(
                f"{caller}: expected [samples, features] of as many samples each; got {tuple(a.shape)} and "
                f"{tuple(b.shape)}"
            )
        if self.intersection is None:
            wide = torch.promote_types(a.dtype, b.dtype)
            self.dtype = wide if wide == torch.float64 else torch.float32
            self.intersection = torch.zeros(a.shape[1], b.shape[1], dtype=torch.int64, device=a.device)
            self.total_a = self.intersection.new_zeros(a.shape[1])
            self.total_b = self.intersection.new_zeros(b.shape[1])
        assert self.total_a is not None
        assert self.total_b is not None
        for data, total in ((a, self.total_a), (b, self.total_b)):
            require_match(data, len(total), total.device, caller)
        same = a is b
        for first in range(0, len(a), EXACT_ROWS):
            rows = slice(first, first + EXACT_ROWS)
            ones = binary(a[rows]).to(torch.float32)
            others = ones if same else binary(b[rows]).to(torch.float32)
            both = (ones.t() @ others).to(torch.int64)
            self.intersection += both
            self.total_a += both.diagonal() if same else ones.sum(0).to(torch.int64)
            self.total_b += both.diagonal() if same else others.sum(0).to(torch.int64)
        self.count += len(a)

    def union(self) -> Tensor:
        """int64 [features a, features b]: |a| + |b| - |a and b|.

        Raises:
            ActivationError: nothing was added.
        """
        intersection, total_a, total_b = self.counts()
        return total_a[:, None] + total_b[None, :] - intersection

    def iou(self) -> Tensor:
        """[features a, features b]: intersection over union, rounded once to the data's dtype; 0 for empty unions."""
        union = self.union()
        assert self.intersection is not None
        return (self.intersection.to(torch.float64) / union.clamp(min=1)).to(self.dtype)

    def counts(self) -> tuple[Tensor, Tensor, Tensor]:
        """(intersection, total a, total b), int64.

        Raises:
            ActivationError: nothing was added.
        """
        if self.intersection is None or self.total_a is None or self.total_b is None:
            raise ActivationError("expected at least one batch before a result; add() some data first")
        return self.intersection, self.total_a, self.total_b

    def to_(self, device: torch.device | str) -> None:
        """Move the counts."""
        if self.intersection is not None:
            self.intersection, self.total_a, self.total_b = (t.to(device) for t in self.counts())
