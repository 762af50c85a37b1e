"""How a view's positions are shared out among threads (csrc/cuda/positions.cuh): axes merged, layout and chunks chosen."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastdissect.kernels.cuda.launching import blocks
from fastdissect.kernels.protocol import Fault

__all__ = ["Lists", "fault_of", "lists_of", "merged"]

SPAN = 1024  # positions of a warp's list
THREADS = 1 << 18  # lists, where each is one thread's: as many as keep a GPU busy
NAN = float("nan")


class Lists(NamedTuple):
    """A list is one unit's values of one chunk of consecutive positions."""

    view: tuple[Any, ...]  # FD_VIEW_PARAMETERS, axes merged
    units: int
    cells: int  # of one map
    positions: int  # of all images
    chunks: int
    span: int  # positions of a chunk
    lanes: int  # threads a list: 32 where cells lie side by side, 1 where units do

    @property
    def arguments(self) -> tuple[Any, ...]:
        """FD_VIEW_PARAMETERS, FD_LISTS_PARAMETERS."""
        return (*self.view, self.positions, self.cells, self.chunks, self.span)

    @property
    def words(self) -> int:
        """Words of 32 bits that hold a bit for every value."""
        return self.units * self.chunks * self.span // 32

    def grid(self, threads: int) -> tuple[int]:
        return (blocks(self.units * self.chunks * self.lanes, threads),)


def merged(axes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same elements in the same order, (length, step) of as few axes as can be, outermost first.

    >>> merged([(4, 490), (7, 7), (7, 1)])
    [(4, 490), (49, 1)]
    """
    fewest: list[tuple[int, int]] = []
    for length, step in axes:
        if fewest and fewest[-1][1] == step * length:
            fewest[-1] = fewest[-1][0] * length, step
        elif length != 1:
            fewest.append((length, step))
    return fewest


def lists_of(data: Any) -> Lists:
    """For a device array [images, units, height, width] of any strides, not empty."""
    images, units, height, width = data.shape
    image_step, unit_step, row_step, column_step = (s // data.itemsize for s in data.strides)
    axes = merged([(images, image_step), (height, row_step), (width, column_step)])
    positions = images * height * width
    units_lie_closer = units > 1 and (not axes or abs(unit_step) < abs(axes[-1][1]))
    if units_lie_closer:
        chunks = blocks(THREADS, units)
        span = min(SPAN, 32 * blocks(positions, 32 * chunks))
    else:
        span = SPAN
    (n, ns), (h, hs), (w, ws) = [(1, 0)] * (3 - len(axes)) + axes
    return Lists(
        (data, n, units, h, w, ns, unit_step, hs, ws),
        units,
        height * width,
        positions,
        blocks(positions, span),
        span,
        1 if units_lie_closer else 32,
    )


def fault_of(outcome: Any, lists: Lists) -> Fault | None:
    """The first NaN, from the outcome [units + 2] that `Nans` of positions.cuh fills."""
    number = ~int(outcome[lists.units])
    if number == -1:
        return None
    image, rest = divmod(number & (1 << 64) - 1, lists.units * lists.cells)
    unit, cell = divmod(rest, lists.cells)
    return Fault(image, unit, cell, NAN)
