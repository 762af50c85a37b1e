"""The top ranks of each unit exactly, where all values do not fit: a bound that rises (DESIGN section 2).

    take      rows; what is at or below the r-th largest so far is forgotten for ever
    largest   the r largest, in rising order

On a CPU by the kernels, in place and below a nanosecond a value on a free core; on other devices, and for
float64, by torch.topk.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.compat.running.quantile_sort import sort_rows_
from fastdissect.kernels import backend, get_num_threads
from fastdissect.kernels.keys import from_keys
from fastdissect.top_values import TopValues
from fastdissect.types import ActivationView, Kind

__all__ = ["BYTES", "KERNEL_DTYPES", "Tail", "bits_of", "kind_of", "tail_from", "top_values"]

KERNEL_DTYPES: dict[torch.dtype, Kind] = {
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}
BYTES = (
    3  # times a tail's values: what is kept until a prune (GROWTH and a little), and the copy while it runs
)
SMALLEST = 1 << 18  # bytes below which pruning is not worth a call
PIECE = 1 << 20  # values read between two looks at the store


def kind_of(dtype: torch.dtype) -> Kind:
    """The kernels' name of a dtype."""
    return KERNEL_DTYPES[dtype]


def bits_of(values: Tensor) -> NDArray[Any]:
    """A CPU tensor as the kernels see it: bfloat16 as its bits."""
    if values.dtype == torch.bfloat16:
        return values.view(torch.int16).numpy().view(np.uint16)
    return values.numpy()


class Tail(Protocol):
    """The `rank` largest values of each unit."""

    rank: int

    def take(self, rows: Tensor) -> None:
        """Rows [n, units] without NaN."""

    def largest(self) -> Tensor:
        """[units, rank], rising."""

    def to_(self, device: torch.device | str) -> Tail:
        """The same on another device."""


class KernelTail:
    """By the kernels. Ranks between the last value above the bound and `rank` are ties: the bound itself."""

    def __init__(self, units: int, rank: int, dtype: torch.dtype) -> None:
        self.rank = rank
        self._dtype = dtype
        self._top = TopValues(units, rank)
        self._top.kind = kind_of(dtype)
        self._largest: Tensor | None = None  # until more is taken

    def take(self, rows: Tensor) -> None:
        self._largest = None
        step = max(1, PIECE // max(1, rows.shape[1]))
        for first in range(0, len(rows), step):
            piece = bits_of(rows[first : first + step])
            view = ActivationView(piece.T[None, :, None, :], self._top.kind)  # a unit's values side by side
            threads = get_num_threads() if piece.size > 1 << 18 else 1
            start, values, missing, _ = backend().filter(view, self._top.bounds, False, threads)
            self._top.append(start, values, len(piece), missing)
            self._top.rise(SMALLEST)

    def select(self, ranks: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Keys of the ranks[k, j]-th largest of unit k."""
        return self._top.select(ranks)

    def largest(self) -> Tensor:
        if self._largest is not None:
            return self._largest
        state = self._top.state()
        bounds = torch.from_numpy(from_keys(state["bounds"])).to(self._dtype)
        matrix = bounds[:, None].repeat(1, self.rank)
        bits = bits_of(matrix)
        if "values" in state:
            start, values = state["value_start"], state["values"]
            for unit in range(len(bits)):
                own = values[start[unit] : start[unit + 1]]
                bits[unit, self.rank - len(own) :] = own
        self._largest = sort_rows_(matrix)
        return self._largest

    def to_(self, device: torch.device | str) -> Tail:
        return self if torch.device(device).type == "cpu" else tail_from(self.largest().to(device))


class TorchTail:
    """By torch.topk, of as many new rows at once as are kept."""

    def __init__(self, largest: Tensor) -> None:
        self.rank = largest.shape[1]
        self._kept, self._rises = largest, False
        self._waiting: list[Tensor] = []
        self._rows = 0

    def take(self, rows: Tensor) -> None:
        self._waiting.append(rows.t().clone())
        self._rows += len(rows)
        if self._rows >= max(self.rank, 1 << 12):
            self._merge()

    def _merge(self) -> None:
        both = torch.cat([self._kept, *self._waiting], dim=1)
        self._kept = both.topk(self.rank, dim=1, sorted=False).values
        self._waiting, self._rows, self._rises = [], 0, False

    def largest(self) -> Tensor:
        if self._waiting:
            self._merge()
        if not self._rises:
            self._kept, self._rises = self._kept.sort(dim=1).values, True
        return self._kept

    def to_(self, device: torch.device | str) -> Tail:
        return tail_from(self.largest().to(device))


def tail_from(largest: Tensor) -> Tail:
    """Go on from the largest values so far, [units, rank]."""
    units, rank = largest.shape
    if largest.device.type != "cpu" or largest.dtype not in KERNEL_DTYPES:
        return TorchTail(largest.clone())
    tail = KernelTail(units, rank, largest.dtype)
    tail.take(largest.t())
    return tail


def top_values(units: int, rank: int, dtype: torch.dtype) -> KernelTail:
    """An empty tail on the CPU."""
    return KernelTail(units, rank, dtype)
