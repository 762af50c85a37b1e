"""What the upsampling kernels work with: the tables on the device, and where their working memory lies."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import cupy
import numpy as np

from fastdissect.errors import SettingError
from fastdissect.kernels.cuda.launching import on_device
from fastdissect.types import AxisTable, SparseActivations, Upsampling

__all__ = ["Room", "cell_arrays", "kept_on_device", "room", "tables"]

SHARED = 48 * 1024  # bytes that a block gets without asking
SCRATCH = 64 * 1024 * 1024  # bytes of scratch a launch; fewer blocks run at a time where this is too little


class _Held(NamedTuple):
    of: weakref.ref[Any]
    arrays: Any


_held: dict[tuple[str, int, int], dict[int, _Held]] = {}  # by kind, device and stream; then by identity


def kept_on_device(kind: str, owner: Any, most: int, upload: Any) -> Any:
    """`upload()` of an object that never changes, kept while it lives; `most` objects of a kind, the oldest leave.

    By device and by stream: a copy is ordered with the kernels of its own stream alone.
    """
    place = kind, cupy.cuda.Device().id, int(cupy.cuda.get_current_stream().ptr)
    shelf = _held.setdefault(place, {})
    found = shelf.get(id(owner))
    if found is not None and found.of() is owner:
        return found.arrays
    shelf.pop(id(owner), None)
    while len(shelf) >= most:
        shelf.pop(next(iter(shelf)))
    arrays = upload()
    key = id(owner)

    def forget(gone: Any) -> None:
        if key in shelf and shelf[key].of is gone:
            del shelf[key]

    shelf[key] = _Held(weakref.ref(owner, forget), arrays)
    return arrays


def tables(upsampling: Upsampling) -> Any:
    """The tables as upsample.cuh reads them: int64 [16], 7 words an axis (three pointers among them), ring, width.

    Raises:
        SettingError: a mask of 2**32 pixels, which the kernels' 32-bit pixel numbers do not reach.
    """
    height, width = upsampling.size
    if height * width >= 2**32:
        raise SettingError(
            f"expected masks of fewer than 2**32 pixels on the GPU; got {height} x {width}: "
            "choose a smaller mask size, or a CPU backend by FASTDISSECT_BACKEND"
        )
    return kept_on_device("upsampling", upsampling, 64, lambda: _upload(upsampling))[0]


def _upload(upsampling: Upsampling) -> tuple[Any, ...]:
    kept, words = [], []
    for axis, n in zip((upsampling.rows, upsampling.columns), upsampling.cells, strict=True):
        cells = n + 2 * upsampling.ring
        arrays = [cupy.asarray(a) for a in _axis(axis, cells)]
        kept += arrays
        words += [*(a.data.ptr for a in arrays), len(axis.start), cells, axis.taps, int(axis.lerp)]
    words += [int(upsampling.ring), upsampling.cells[1]]
    return cupy.asarray(np.array(words, np.int64)), *kept


def _axis(axis: AxisTable, cells: int) -> tuple[Any, ...]:
    """First cells, weights, and for each cell the first pixel that starts there or later (starts never fall)."""
    weights = axis.weights[:, 1] if axis.lerp else axis.weights
    first = np.searchsorted(axis.start, np.arange(cells + 1)).astype(np.int32)
    return np.ascontiguousarray(axis.start, np.int32), np.ascontiguousarray(weights, np.float32), first


def cell_arrays(cells: SparseActivations) -> tuple[Any, ...]:
    """The five arrays on the device, in the order of Records in maps.cuh."""
    arrays = cells.unit_start, cells.images, cells.cell_start, cells.cells, cells.values
    return tuple(on_device(a) for a in arrays)


class Room(NamedTuple):
    """Where the pieces of a block's working memory lie: in shared memory while they fit, else in scratch memory."""

    shared: int  # bytes a block
    scratch: Any  # device bytes, of all blocks
    scratch_bytes: int  # a block
    places: tuple[int, ...]  # >= 0: bytes into the shared memory; below: -1 - bytes into the block's scratch
    blocks: tuple[int, int]  # the grid: the one asked for, or fewer along its first side


def room(head: int, pieces: tuple[int, ...], grid: tuple[int, int]) -> Room:
    """Lay out `pieces` (bytes, dearest first) behind `head` bytes of shared memory that every block has."""
    shared, scratch, places = -(-head // 16) * 16, 0, []
    for size in pieces:
        size = -(-size // 16) * 16
        if shared + size <= SHARED:
            places.append(shared)
            shared += size
        else:
            places.append(-1 - scratch)
            scratch += size
    first = grid[0]
    if scratch:
        first = max(1, min(first, SCRATCH // (scratch * grid[1])))
    memory = cupy.empty(scratch * first * grid[1], np.uint8)
    return Room(shared, memory, scratch, tuple(places), (first, grid[1]))
