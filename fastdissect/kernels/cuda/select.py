"""select and raise_bounds on the device (csrc/cuda/select.cu, raise.cu): exact ranks, and bounds that rise cheaply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels.cuda.launching import blocks, launch, on_device
from fastdissect.kernels.cuda.parts import Parts, parts_of
from fastdissect.types import Kind

__all__ = ["raise_bounds", "select"]

BLOCKS = (
    528  # fewer do not fill a GPU (four for each of 132 multiprocessors): more threads each, or more of them
)
SHARE = 1 << 16  # values that are worth a block of their own
DIGITS = {"float32": (24, 16, 8, 0), "float16": (24, 16, 8), "bfloat16": (24, 16)}
RAISING = 2 * 8 + (128 + 2) * 4  # counts, samples and candidates of raise.cu


def shared_bytes(ranks: int) -> int:
    """Of `Selecting` in radix.cuh: what is wanted, totals, and 16 copies of the counts."""
    return 2 * 16 + ranks * 256 * (8 + 16 * 4)


def _threads(blocks: int, values: int) -> int:
    """Threads of a block that reads so many values; 1024 where blocks are few and have enough to read."""
    return 1024 if blocks < BLOCKS and values >= 1 << 14 else 256


def select(
    starts: Sequence[Any], values: Sequence[Any], kind: Kind, bounds: Any, ranks: NDArray[np.int64]
) -> Any:
    """Keys of ranks [units, j], a device array uint32 [units, j]; see protocol.py."""
    units, columns = ranks.shape
    chosen = cupy.empty((units, columns), np.uint32)
    if not chosen.size:
        return chosen
    parts = parts_of(starts, values)
    bounds, ranks = on_device(bounds, np.uint32), on_device(ranks, np.int64)
    pairs = blocks(columns, 2)
    shares = min(blocks(BLOCKS, units * pairs), blocks(parts.total, units * SHARE))
    if shares > 1:
        _select_shared_out(parts, kind, bounds, ranks, shares, chosen)
        return chosen
    arguments = (*parts.arguments, bounds, ranks, columns, chosen)
    threads = _threads(units * pairs, parts.total // units)
    launch(
        "select", f"fd_select_block_{kind}", (units, pairs), threads, arguments, shared_bytes(min(columns, 2))
    )
    return chosen


def _select_shared_out(parts: Parts, kind: Kind, bounds: Any, ranks: Any, shares: int, chosen: Any) -> None:
    """Several blocks a unit: a digit is counted in global memory, then chosen."""
    units, columns = chosen.shape
    pairs, shared = blocks(columns, 2), shared_bytes(min(columns, 2))
    wanted = cupy.empty((chosen.size, 2), np.int64)  # Wanted of radix.cuh: 16 bytes
    totals = cupy.zeros((chosen.size, 256), np.int64)
    launch("select", "fd_select_begin", (blocks(chosen.size, 256),), 256, (ranks, chosen.size, wanted))
    for shift in DIGITS[kind]:
        arguments = (*parts.arguments, bounds, wanted, columns, shares, shift, totals)
        launch("select", f"fd_select_count_{kind}", (units * shares, pairs), 256, arguments, shared)
        rest = (bounds, wanted, columns, shift, totals, chosen)
        launch("select", f"fd_select_choose_{kind}", (units, pairs), 256, rest, shared)


def raise_bounds(starts: Sequence[Any], values: Sequence[Any], kind: Kind, bounds: Any, rank: int) -> Any:
    """Bounds risen towards the rank-th largest, a device array uint32 [units]; see protocol.py."""
    units = len(bounds)
    risen = cupy.empty(units, np.uint32)
    if units:
        parts = parts_of(starts, values)
        arguments = (*parts.arguments, on_device(bounds, np.uint32), rank, risen)
        threads = _threads(units, parts.total // units)
        launch("raise", f"fd_raise_{kind}", (units,), threads, arguments, shared_bytes(1) + RAISING)
    return risen
