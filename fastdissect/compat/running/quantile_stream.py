"""The values of a stream of samples, as exactly as the memory allows, and what is read out of them.

everything fits       all values are kept; every read-out is exact
then                  the top ranks that fit are kept exactly, a sketch stands for the rest
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fastdissect.compat.running import quantile_readout as readout
from fastdissect.compat.running.quantile_body import body_knots, body_of
from fastdissect.compat.running.quantile_readout import Floats, wide
from fastdissect.compat.running.quantile_sketch import Sketch
from fastdissect.compat.running.quantile_store import ValueStore
from fastdissect.compat.running.quantile_tail import BYTES, Tail, tail_from

__all__ = ["QuantileStream"]

PIECE = 1 << 22  # values given to a function at once


class QuantileStream:
    """A stream of rows [n, units], read out by unit.

    While `ValueStore` holds everything, `sketch` is None; afterwards `sketch` has seen every value and `tail`, if
    there is one, holds the largest. The moment of the change depends on the number of rows alone, and the values
    change over in sorted order: neither batches nor earlier read-outs nor the order of the first rows matter.

    Args:
        like: an empty tensor [0, units] of the dtype and on the device.
        memory: bytes of values kept exactly.
        rank: top ranks to keep afterwards; None: what fits into `memory`.
        resolution, narrowest, seed: of the sketch.
    """

    def __init__(
        self, like: Tensor, memory: int, rank: int | None, resolution: int, narrowest: int, seed: int
    ) -> None:
        self.like = like
        self.memory, self.rank = memory, rank
        self.resolution, self.narrowest, self.seed = resolution, narrowest, seed
        self.store: ValueStore | None = ValueStore(like)
        self.sketch: Sketch | None = None
        self.tail: Tail | None = None
        self._body: tuple[Tensor, Tensor] | None = None  # samples [units, n], rising, and weights float64

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return max(1, self.like.shape[1] * self.like.element_size())

    @property
    def count(self) -> int:
        """Rows seen."""
        return self.store.count if self.store is not None else self.held.count

    @property
    def held(self) -> Sketch:
        """The sketch, once there is one."""
        assert self.sketch is not None
        return self.sketch

    def add(self, rows: Tensor) -> None:
        """Take rows [n, units], without NaN, of the dtype and on the device of `like`."""
        if self.store is not None:
            room = max(0, self.memory // self.row_bytes - self.store.count)
            self.store.add(rows[:room])
            rows = rows[room:]
            if len(rows):
                self.change_over(self.memory)
        if self.sketch is not None and len(rows):
            self._body = None
            self.sketch.take(rows)
            if self.tail is not None:
                self.tail.take(rows)

    def change_over(self, memory: int) -> None:
        """From all values to a sketch, and a tail of at most `memory` bytes."""
        assert self.store is not None
        values = self.store.sorted()
        self.store = None
        fits = int(memory / BYTES) // self.row_bytes
        rank = min(fits if self.rank is None else self.rank, values.shape[1])
        self.sketch = self._new_sketch(0)
        if values.shape[1]:
            self.sketch.take_sorted(values)
        self.tail = tail_from(values[:, values.shape[1] - rank :]) if rank else None

    def restore(
        self, count: int, levels: list[Tensor], extremes: Tensor, variance: float, largest: Tensor | None
    ) -> None:
        """Go on from a sketch's samples, and the largest values [units, rank] where they are known."""
        self.store, self._body = None, None
        self.sketch = self._new_sketch(count)
        self.sketch.restore(count, levels, extremes, variance)
        self.tail = None if largest is None else tail_from(largest)

    def _new_sketch(self, count: int) -> Sketch:
        return Sketch(self.like, self.resolution, self.narrowest, (self.seed, count))

    def to_(self, device: torch.device | str) -> None:
        """Move what is kept."""
        self.like, self._body = self.like.to(device), None
        if self.store is not None:
            self.store.to_(device)
        if self.sketch is not None:
            self.sketch.to_(device)
        if self.tail is not None:
            self.tail = self.tail.to_(device)

    def extremes(self) -> Tensor:
        """[units, 2], least and greatest; (inf, -inf) before any row."""
        if self.store is None:
            return self.held.extremes.clone()
        if self.store.count:
            return self.store.extremes()
        low = self.like.new_full((self.like.shape[1], 1), float("inf"))
        return torch.cat([low, -low], dim=1)

    def exact_from(self) -> float:
        """The level from which upward quantiles are exact; 1 where only the greatest value is."""
        if self.store is not None:
            return 0.0
        if self.tail is None:
            return 1.0
        return float(readout.level_of(np.array([self.count - self.tail.rank + 1]), self.count)[0])

    def quantiles(self, levels: Floats) -> Floats:
        """[units, levels], float64, at levels of [0, 1]; at least one row seen."""
        if self.store is not None:
            store = self.store
            return readout.quantiles_of_ranks(levels, store.count, lambda at: wide(store.at(at)))
        found = self._from_body(levels)
        if self.tail is not None:
            top = levels >= self.exact_from()
            if top.any():
                largest, first = self.tail.largest(), self.count - self.tail.rank
                found[:, top] = readout.quantiles_of_ranks(
                    levels[top], self.count, lambda at: wide(largest[:, torch.from_numpy(at - first)])
                )
        return found

    def _from_body(self, levels: Floats) -> Floats:
        knots, values = self._body_knots()
        return np.stack([np.interp(levels, knots[k], values[k]) for k in range(len(values))])

    def levels_of(self, x: Floats) -> Floats:
        """[units, n]: levels of values x [units, n]; at least one row seen."""
        values = self.store.sorted() if self.store is not None else self._largest()
        found = np.empty(x.shape)
        knots = None if self.store is not None else self._body_knots()
        for unit in range(len(x)):
            above = np.ones(x.shape[1], bool)
            if knots is not None:
                found[unit] = np.interp(x[unit], knots[1][unit], knots[0][unit])
                above &= False if values is None else x[unit] >= float(values[unit, 0])
            if values is not None and above.any():
                found[unit, above] = self._from_top(x[unit, above], values[unit])
        found[np.isnan(x)] = np.nan
        return found

    def _from_top(self, x: Floats, values: Tensor) -> Floats:
        """Levels of x among one unit's largest values, rising; of all where all are kept."""
        own, first = wide(values), self.count - len(values)
        above = np.searchsorted(own, x, side="right") + first
        return readout.interpolated(x, above, self.count, first, lambda at: own[at - first])

    def _largest(self) -> Tensor | None:
        return None if self.tail is None else self.tail.largest()

    def _sampled(self) -> tuple[Tensor, Tensor]:
        if self._body is None:
            self._body = body_of(self.held.parts(), self._largest(), self.count)
        return self._body

    def _body_knots(self) -> tuple[Floats, Floats]:
        return body_knots(self._sampled(), self.held.extremes, self._largest(), self.count, self.exact_from())

    def pieces(self) -> Iterator[tuple[Tensor, float | Tensor]]:
        """(values [units, n], weight: a number, or [units, n]) that together stand for everything seen."""
        step = max(1, PIECE // max(1, self.like.shape[1]))
        if self.store is not None:
            for piece in torch.split(self.store.sorted(), step, dim=1):
                yield piece, 1.0
            return
        if self.tail is None:
            yield from ((values, float(weight)) for values, weight in self.held.parts())
            return
        yield self._sampled()
        for piece in torch.split(self.tail.largest(), step, dim=1):
            yield piece, 1.0
