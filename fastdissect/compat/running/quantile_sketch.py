"""A sketch of each unit's distribution: samples at levels of doubling weight.

Source: Karnin, Lang and Liberty, "Optimal Quantile Approximation in Streams" (FOCS 2016): a level that is full is
sorted and every second value, from a random start, moves up one level at twice the weight. Levels get narrower by
2/3 from the top down. Below the levels that are worth keeping, where the paper samples, whole sorted blocks of the
stream are thinned at once (our formulation: the error of a block is that of one compaction, not of one a level).

The state is that of netdissect's and baukit's sketches: arrays by level, weight 2^level.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fastdissect.compat.running.quantile_sort import sort_rows_, transposed_into

__all__ = ["Sketch"]

RATIO = 2 / 3  # of the capacities of neighbouring levels


class Sketch:
    """Samples of each unit, all units alike in number and weights.

    The weights add up to the number of values seen. Every thinning is unbiased: a unit's rank of any fixed value is
    estimated without bias, with a variance of at most `variance` (each thinning from weight v to w adds at most
    (w/2)^2, or w^2/4 of the coarser weight).

    Args:
        like: an empty tensor [0, units] of the dtype and on the device.
        resolution: samples of the widest level.
        narrowest: samples of the narrowest level.
        seed: of the random starts; the same stream and seed give the same sketch, however the stream is cut.
    """

    def __init__(self, like: Tensor, resolution: int, narrowest: int, seed: tuple[int, ...]) -> None:
        self.resolution, self.narrowest = resolution, max(1, narrowest)
        self.count = 0
        self.variance = 0.0  # of a rank, at most
        self.levels: list[Tensor] = [like.new_empty((like.shape[1], 0))]  # [units, samples]
        low = like.new_full((like.shape[1], 1), math.inf)
        self.extremes = torch.cat([low, -low], dim=1)  # [units, 2]
        self.block = 1 << max(3, resolution.bit_length() - 1)
        self._buffer = like  # [rows, units] of weight 1, in the order of the stream
        self._filled = 0
        self._random = np.random.default_rng(seed)

    def take(self, rows: Tensor) -> None:
        """Rows [n, units] without NaN."""
        self.count += len(rows)
        self._see(rows)
        while len(rows):
            self._grow(self._filled + len(rows))
            taken = rows[: self.block - self._filled]
            torch.add(taken, 0, out=self._buffer[self._filled : self._filled + len(taken)])
            self._filled += len(taken)
            rows = rows[len(taken) :]
            if self._filled == self.block:
                values = self._buffer.new_empty(self._buffer.shape[::-1])
                transposed_into(values, self._buffer)
                self._filled = 0
                self._enter(sort_rows_(values), self._lowest())

    def take_sorted(self, values: Tensor) -> None:
        """Sorted values [units, n] at once, into an empty sketch: one thinning for all of them."""
        count = values.shape[1]
        self.count += count
        self._see(values[:, [0, -1]].t())
        level = max(0, math.ceil(math.log2(count / self.resolution))) if count > self.resolution else 0
        self.levels += [values[:, :0].clone() for _ in range(level + 1 - len(self.levels))]
        even = (count >> level) << level
        if even < count:  # what does not fill a step keeps its own weight: the largest values
            self._put(values[:, even:], 0)
        self._enter(values[:, :even], level)

    def restore(self, count: int, levels: list[Tensor], extremes: Tensor, variance: float) -> None:
        """Go on from samples [units, n] of weight 2^level."""
        self.count, self.levels, self.extremes, self.variance = count, levels, extremes, variance

    @property
    def rank_error(self) -> float:
        """One standard deviation of a read-out's rank at most, and half of the heaviest sample, over the count."""
        heaviest = max((1 << level for level, v in enumerate(self.levels) if v.shape[1]), default=1)
        return (math.sqrt(self.variance) + heaviest / 2) / max(1, self.count)

    def parts(self) -> list[tuple[Tensor, int]]:
        """(values [units, n], weight) of every level with samples, lightest first; sorted where that is known."""
        buffered = [(self._buffer[: self._filled].t(), 1)] if self._filled else []
        levels = [(values, 1 << level) for level, values in enumerate(self.levels) if values.shape[1]]
        return buffered + levels

    def to_(self, device: torch.device | str) -> None:
        """Move the samples."""
        self.levels = [values.to(device) for values in self.levels]
        self._buffer, self.extremes = self._buffer.to(device), self.extremes.to(device)

    def capacity(self, level: int) -> int:
        """Samples that a level should hold at most."""
        below = len(self.levels) - 1 - level
        return max(self.narrowest, math.ceil(self.resolution * RATIO**below))

    def _see(self, rows: Tensor) -> None:
        if len(rows):
            low, high = rows.aminmax(dim=0)
            self.extremes = torch.stack(
                [torch.minimum(self.extremes[:, 0], low), torch.maximum(self.extremes[:, 1], high)], dim=1
            )

    def _grow(self, rows: int) -> None:
        """Room for the buffer's rows: doubled up to a block, so that a short stream takes little."""
        if rows > len(self._buffer) < self.block:
            room = min(self.block, max(rows, 2 * len(self._buffer)))
            buffer = self._buffer.new_empty((room, self._buffer.shape[1]))
            buffer[: self._filled] = self._buffer[: self._filled]
            self._buffer = buffer

    def _lowest(self) -> int:
        """The level that a block enters: the highest of the narrowest ones."""
        depth = math.ceil(math.log(max(1.0, self.resolution / self.narrowest)) / -math.log(RATIO))
        return max(0, len(self.levels) - 1 - depth)

    def _enter(self, values: Tensor, level: int) -> None:
        """Thin sorted values [units, n] of weight 1 to the level's weight and add them to it."""
        units, count = values.shape
        step = 1 << level
        if step > count:  # one value of the block, now and then
            self.variance += float(step) * count
            if self._random.random() < count / step:
                at = torch.from_numpy(self._random.integers(count, size=(units, 1)))
                self._put(values.gather(1, at.to(values.device)), level)
        else:
            self._put(self._thinned(values, step), level)
            self.variance += step * step / 4 if level else 0.0
        self._shrink()

    def _thinned(self, values: Tensor, step: int) -> Tensor:
        """One of every `step` neighbours, at the same random place of each step for a unit."""
        if step == 1:
            return values
        units, count = values.shape
        at = torch.from_numpy(self._random.integers(step, size=(units, 1, 1))).to(values.device)
        return values.reshape(units, count // step, step).gather(2, at.expand(-1, count // step, 1))[..., 0]

    def _put(self, values: Tensor, level: int) -> None:
        self.levels[level] = torch.cat([self.levels[level], values], dim=1)

    def _shrink(self) -> None:
        """Compact the lowest overfull level until all levels together are within their capacities."""
        while True:
            sizes = [values.shape[1] for values in self.levels]
            capacities = [self.capacity(level) for level in range(len(sizes))]
            if sum(sizes) <= sum(capacities):
                return
            self._compact(next(level for level, size in enumerate(sizes) if size > capacities[level]))

    def _compact(self, level: int) -> None:
        """Every second value moves up; of an odd number the largest stays."""
        values = sort_rows_(self.levels[level].contiguous())
        if level + 1 == len(self.levels):
            self.levels.append(values[:, :0].clone())
        even = values.shape[1] & ~1
        self._put(self._thinned(values[:, :even], 2), level + 1)
        self.levels[level] = values[:, even:].clone()
        self.variance += 4.0**level
