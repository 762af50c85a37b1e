"""select_pixels and raise_pixels on the GPU; see csrc/cuda/pixels.cu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels.cuda.launching import launch, on_device
from fastdissect.kernels.cuda.tables import cell_arrays, room, tables
from fastdissect.types import SparseActivations, Upsampling

__all__ = ["raise_pixels", "select_pixels"]

THREADS = 256
HEAD = 2048 * 12 + 48  # PixelState of pixels.cu
MOST = 2**32 - 1  # keys that its bins can count before they are emptied


def select_pixels(
    parts: Sequence[SparseActivations], bounds: Any, ranks: NDArray[np.int64], upsampling: Upsampling
) -> Any:
    """See protocol.Backend.select_pixels; device uint32 [units, ranks]."""
    chosen = cupy.empty(ranks.shape, np.uint32)
    if chosen.size:
        _launch("select", parts, upsampling, bounds, ranks.shape, (on_device(ranks, np.int64), chosen))
    return chosen


def raise_pixels(parts: Sequence[SparseActivations], bounds: Any, rank: int, upsampling: Upsampling) -> Any:
    """See protocol.Backend.raise_pixels; device uint32 [units]."""
    units, height, width = parts[0].shape[1:]
    risen = cupy.empty(units, np.uint32)
    place = 13 * rank * height * width // (10 * upsampling.size[0] * upsampling.size[1])
    if units:
        _launch("raise", parts, upsampling, bounds, (units, 1), (place, rank, risen))
    return risen


def _launch(
    what: str,
    parts: Sequence[SparseActivations],
    upsampling: Upsampling,
    bounds: Any,
    grid: tuple[int, int],
    own: tuple[Any, ...],
) -> None:
    arrays = [cell_arrays(part) for part in parts]  # alive until the launch is queued
    pointers = np.array([[a.data.ptr for a in part] for part in arrays], np.uint64)
    rows, pitch = (n + 2 * upsampling.ring for n in upsampling.cells)
    at = room(HEAD, (THREADS // 32 * pitch * 4, rows * pitch * 4), grid)
    lines_place, map_place = at.places
    launch(
        "pixels",
        f"fd_pixels_{what}_{parts[0].kind}",
        at.blocks,
        THREADS,
        (
            tables(upsampling),
            cupy.asarray(pointers),
            len(parts),
            arrays[0][3].dtype.itemsize == 4,
            grid[0],
            on_device(bounds, np.uint32),
            *own,
            at.scratch,
            at.scratch_bytes,
            map_place,
            lines_place,
            MOST,
        ),
        at.shared,
    )
