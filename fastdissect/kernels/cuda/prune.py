"""prune on the device (csrc/cuda/prune.cu): parts joined, and what the risen bounds leave of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np

from fastdissect.kernels.cuda.launching import blocks, launch, on_device, scan, scan_records
from fastdissect.types import SparseActivations

__all__ = ["prune", "starts"]

THREADS = 128
SHARED = 48 * 1024  # bytes a block
BLOCKS = 1024  # where the bits of larger maps lie in global memory, a map a warp


def prune(parts: Sequence[SparseActivations], bounds: Any, reach: int, ring: bool) -> SparseActivations:
    """Waits for the device once, for how much is left. See protocol.py."""
    first = parts[0]
    _, units, height, width = first.shape
    arrays = [
        [on_device(getattr(p, name)) for p in parts]
        for name in ("unit_start", "images", "cell_start", "cells", "values")
    ]
    first_image = np.cumsum([0, *(p.shape[0] for p in parts)])
    room = np.cumsum([0, *(p.values.size // 32 + p.images.size + 1 for p in parts)])  # marks, see first_mark
    pointers = [[a.data.ptr for a in row] for row in arrays]
    table = on_device(np.array([*pointers, first_image[:-1], room[:-1]], np.uint64))

    counts = cupy.empty(units * len(parts), np.uint32)
    launch("prune", "fd_prune_counts", (blocks(counts.size, 256),), 256, (table, len(parts), units, counts))
    slots = sum(p.images.size for p in parts)
    store = (table, len(parts), units, slots, scan(counts))
    marks, lengths = cupy.empty(int(room[-1]), np.uint32), cupy.empty(slots, np.uint32)
    wide = first.cells.dtype == np.uint32
    words = height * -(-width // 32) * THREADS // 32  # of bits, a block
    grid, spare = blocks(slots, THREADS), 0
    if 4 * words > SHARED:
        grid = min(grid, BLOCKS)
        spare, words = cupy.empty(grid * words, np.uint32), 0
    sizes = (height, width, min(reach, height + width), ring, wide)
    marked = (*store, on_device(bounds, np.uint32), *sizes, spare, marks, lengths)
    launch("prune", f"fd_prune_mark_{first.kind}", (grid,), THREADS, marked, 4 * words)

    records, cell_starts = scan_records(lengths)
    unit_start, totals = cupy.empty(units + 1, np.int64), cupy.empty(2, np.int64)
    summed = (*store, records, cell_starts, unit_start, totals)
    launch("prune", "fd_prune_totals", (blocks(units + 1, 256),), 256, summed)
    left, cells_left = totals.get().tolist()  # the one wait
    images, cell_start = cupy.empty(left, np.uint32), cupy.empty(left + 1, np.int64)
    cells, values = cupy.empty(cells_left, first.cells.dtype), cupy.empty(cells_left, first.values.dtype)
    gathered = (images, cell_start, cells, values)
    widths = wide, values.itemsize == 4
    written = (*store, lengths, records, cell_starts, marks, *widths, *gathered)
    launch("prune", "fd_prune_write", (blocks(slots, THREADS),), THREADS, written)
    shape = (int(first_image[-1]), units, height, width)
    return SparseActivations(shape, first.kind, unit_start, *gathered)


def starts(cells: SparseActivations) -> Any:
    """Where each unit's cells begin, int64 [units + 1] on the device: cell_start[unit_start]."""
    unit_start, cell_start = on_device(cells.unit_start), on_device(cells.cell_start)
    units = cells.shape[1]
    found = cupy.empty(units + 1, np.int64)
    arguments = (unit_start, cell_start, units, found)
    launch("prune", "fd_prune_starts", (blocks(units + 1, 256),), 256, arguments)
    return found
