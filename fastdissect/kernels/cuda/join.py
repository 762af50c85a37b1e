"""join on the device (csrc/cuda/join.cu): parts of values as one, less what the risen bounds leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np

from fastdissect.kernels.cuda.launching import blocks, launch, on_device, scan
from fastdissect.kernels.cuda.parts import parts_of
from fastdissect.types import Kind

__all__ = ["join"]

BLOCK = 256
SLICE = 1024  # values of a warp's slice, on average
WARPS = 8192  # at least that many slices, for units of very unequal sizes


def join(starts: Sequence[Any], values: Sequence[Any], kind: Kind, bounds: Any) -> tuple[Any, Any]:
    """(start [units + 1], values), device arrays; see protocol.py."""
    units, dtype = len(bounds), values[0].dtype
    if not units:
        return cupy.zeros(1, np.int64), cupy.empty(0, dtype)
    parts = parts_of(starts, values)
    bounds = on_device(bounds, np.uint32)
    slices = max(
        blocks(parts.total, units * SLICE), min(blocks(WARPS, units), blocks(parts.total, units * 32))
    )
    lengths = cupy.empty(units * slices, np.uint32)
    grid = (blocks(units * slices * 32, BLOCK),)
    launch("join", f"fd_join_count_{kind}", grid, BLOCK, (*parts.arguments, bounds, units, slices, lengths))
    lists = scan(lengths)
    total = int(lists[-1:].get()[0])  # the one wait: how many values to make room for
    start, joined = cupy.empty(units + 1, np.int64), cupy.empty(total, dtype)
    arguments = (*parts.arguments, bounds, units, slices, lists, start, joined)
    launch("join", f"fd_join_write_{kind}", grid, BLOCK, arguments)
    return start, joined
