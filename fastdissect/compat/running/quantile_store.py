"""All values of each unit, as they come; read out by rank.

add       copied into chunks [samples, units], nothing else
ranks     a few ranks: selected by the kernels, from the chunks in place where they are near the top
sorted    all ranks: turned into [units, samples] and sorted once, until the next add
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.compat.running.quantile_sort import sort_rows_, transposed_into
from fastdissect.compat.running.quantile_tail import KERNEL_DTYPES, bits_of, kind_of, top_values
from fastdissect.kernels import get_num_threads
from fastdissect.kernels.keys import from_keys
from fastdissect.kernels.selection import host_backend

__all__ = ["ValueStore"]

LARGEST = 1 << 25  # bytes of a chunk at most
FEW = 6  # ranks that are selected rather than sorted for
READS = 4  # read-outs after which a sort has paid
TOP = 32  # a rank within the top 1/32 is selected without the rest


class ValueStore:
    """All values of each unit.

    Args:
        like: an empty tensor [0, units] of the dtype and on the device.
    """

    def __init__(self, like: Tensor) -> None:
        self.depth = like.shape[1]
        self.count = 0
        self._like = like
        self._chunks: list[Tensor] = []  # [rows, units], all full but the last
        self._filled = 0  # rows of the last chunk
        self._matrix = like.new_empty((self.depth, 0))  # [units, samples], of those not in chunks
        self._sorted = True
        self._reads = 0  # read-outs by selection since the last add

    @property
    def nbytes(self) -> int:
        """Bytes of the values kept."""
        return self.count * self.depth * self._like.element_size()

    def add(self, rows: Tensor) -> None:
        """Copy rows [n, units]; -0 becomes +0, so that equal values are equal bits."""
        self.count += len(rows)
        self._reads = 0
        while len(rows):
            room = len(self._chunks[-1]) - self._filled if self._chunks else 0
            if not room:
                most = max(1, LARGEST // max(1, self.depth * self._like.element_size()))
                room = min(max(len(rows), self.count), max(most, len(rows)))
                self._chunks.append(self._like.new_empty((room, self.depth)))
                self._filled = 0
            taken = rows[:room]
            torch.add(taken, 0, out=self._chunks[-1][self._filled : self._filled + len(taken)])
            self._filled += len(taken)
            rows = rows[room:]

    def extremes(self) -> Tensor:
        """[units, 2], least and greatest; at least one row was added."""
        ends = [rows.aminmax(dim=0) for rows in (self._matrix.t(), *self._rows()) if len(rows)]
        low = torch.stack([end.min for end in ends]).amin(0)
        return torch.stack([low, torch.stack([end.max for end in ends]).amax(0)], dim=1)

    def sorted(self) -> Tensor:
        """[units, samples], rising. Takes the place of what was stored; its memory is needed twice meanwhile."""
        matrix = self._as_matrix()
        if not self._sorted:
            sort_rows_(matrix)
            self._sorted = True
        return matrix

    def at(self, places: NDArray[np.int64]) -> Tensor:
        """[units, len(places)]: the values at these places of the rising order, counted from 0."""
        if self._selects(places):
            self._reads += 1
            ranks = np.tile(self.count - places, (self.depth, 1))
            chosen = from_keys(self._select(ranks))
            return torch.from_numpy(chosen).to(self._like.dtype)
        return self.sorted()[:, torch.from_numpy(places).to(self._like.device)]

    def _selects(self, places: NDArray[np.int64]) -> bool:
        if (self._sorted and not self._chunks) or self._like.dtype not in KERNEL_DTYPES:
            return False
        return self._like.device.type == "cpu" and len(places) <= FEW and self._reads < READS

    def _select(self, ranks: NDArray[np.int64]) -> NDArray[np.uint32]:
        deepest = int(ranks.max())
        if deepest * TOP <= self.count:
            top = top_values(self.depth, deepest, self._like.dtype)
            for rows in (self._matrix.t(), *self._rows()):
                top.take(rows)
            return top.select(ranks)
        matrix = self._as_matrix()
        starts = np.arange(self.depth + 1, dtype=np.int64) * self.count
        kind, bounds = kind_of(matrix.dtype), np.zeros(self.depth, np.uint32)
        values = bits_of(matrix).reshape(-1)
        return host_backend().select([starts], [values], kind, bounds, ranks, get_num_threads())

    def _rows(self) -> list[Tensor]:
        return [*self._chunks[:-1], self._chunks[-1][: self._filled]] if self._chunks else []

    def _as_matrix(self) -> Tensor:
        """Everything as [units, samples]; each chunk goes when it has been turned."""
        if self._chunks:
            matrix = self._like.new_empty((self.depth, self.count))
            filled = self._matrix.shape[1]
            matrix[:, :filled] = self._matrix
            self._matrix = matrix
            rows, self._chunks = self._rows(), []
            rows.reverse()
            while rows:
                chunk = rows.pop()
                transposed_into(matrix[:, filled : filled + len(chunk)], chunk)
                filled += len(chunk)
            self._sorted = False
        return self._matrix

    def to_(self, device: torch.device | str) -> None:
        """Move the values."""
        self._like = self._like.to(device)
        self._chunks = [chunk.to(device) for chunk in self._chunks]
        self._matrix = self._matrix.to(device)
