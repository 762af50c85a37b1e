"""Key bins: counts of values by the leading bits of their keys, where the values themselves do not fit.

A key's leading 16 bits are sign, exponent and seven bits of the mantissa: the bin that holds a rank brackets the
threshold within a part in 128.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.device_arrays import to_host
from fastdissect.kernels import Fault, backend_for, get_num_threads
from fastdissect.kernels.keys import LOWEST
from fastdissect.kernels.selection import host_backend
from fastdissect.top_values import TopValues
from fastdissect.types import ActivationView

__all__ = ["KeyBins", "bin_of_rank"]

_HIGHEST = np.uint64(0xFF800000)  # key of +inf
BITS = (8, 16)  # fewest and most leading bits


class KeyBins(NamedTuple):
    """Counts [units, 2 ** bits] of the keys' leading bits; complete above `bounds`, too low at and below them."""

    counts: NDArray[np.int64]
    bounds: NDArray[np.uint32]  # [units]; no order statistic that may be asked for is below

    @property
    def bits(self) -> int:
        return int(self.counts.shape[1]).bit_length() - 1

    @staticmethod
    def of(top: TopValues, memory: int) -> KeyBins:
        """Count what a store retains, by as many leading bits as fit into `memory` bytes, at least eight."""
        bits = BITS[1]
        while bits > BITS[0] and top.units * 8 << bits > memory:
            bits -= 1
        counts = np.zeros((top.units, 1 << bits), np.int64)
        start, values = top.by_unit()
        for unit in range(top.units):
            own = values[start[unit] : start[unit + 1]].reshape(1, 1, 1, -1)
            if own.size:
                view = ActivationView(own, top.kind)
                host_backend().histogram(view, 32 - bits, None, counts[unit : unit + 1], True, 1)
        return KeyBins(counts, to_host(top.bounds))

    def added(self, view: ActivationView, omit: bool) -> tuple[KeyBins, NDArray[np.int64], Fault | None]:
        """With one more view [N, K, h, w]; the NaNs a unit [K], and the first of them unless they are omitted."""
        counts = self.counts.copy()
        kernels = backend_for(view.data)
        missing, fault = kernels.histogram(view, 32 - self.bits, None, counts, omit, get_num_threads())
        return KeyBins(counts, self.bounds), missing, fault

    def merged(self, other: KeyBins) -> KeyBins:
        """Both together, by the fewer bits of the two."""
        bits = min(self.bits, other.bits)
        counts = sum(b.counts.reshape(len(b.counts), 1 << bits, -1).sum(2) for b in (self, other))
        return KeyBins(np.asarray(counts), np.maximum(self.bounds, other.bounds))

    def bracket(self, ranks: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Keys (low, high), [units] each, between which lies the value of each unit's rank from the top."""
        shift = np.uint64(32 - self.bits)
        chosen, _ = bin_of_rank(self.counts, ranks[:, None])
        # where the counts do not reach the rank, its value is at the bound or little above it
        bin_ = np.maximum(chosen[:, 0], self.bounds.astype(np.int64) >> int(shift)).astype(np.uint64)
        low = np.maximum(bin_ << shift, np.maximum(self.bounds, LOWEST).astype(np.uint64))
        high = np.minimum(((bin_ + np.uint64(1)) << shift) - np.uint64(1), _HIGHEST)
        return low.astype(np.uint32), np.maximum(high, low).astype(np.uint32)


def bin_of_rank(
    counts: NDArray[np.int64], ranks: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bin that holds each rank from the top, [units, j], and the rank inside it; -1 where counts end before.

    >>> bin_of_rank(np.array([[5, 0, 2, 1]]), np.array([[1, 2, 4]]))
    (array([[3, 2, 0]]), array([[1, 1, 1]]))
    """
    chosen, inner = np.empty(ranks.shape, np.int64), np.empty(ranks.shape, np.int64)
    for unit, own in enumerate(counts):
        from_top = own[::-1].cumsum()
        at = np.searchsorted(from_top, ranks[unit])
        chosen[unit] = len(own) - 1 - at
        inner[unit] = ranks[unit] - np.where(at > 0, from_top[at - 1], 0)
    return chosen, inner
