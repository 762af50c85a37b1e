"""sift on the device (csrc/cuda/sift.cu, gather.cu): begun without waiting, settled when its results are needed."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from fastdissect.errors import ActivationError
from fastdissect.kernels.cuda.launching import (
    beginning,
    blocks,
    in_stream,
    launch,
    on_device,
    scan_records,
    view_arguments,
)
from fastdissect.kernels.protocol import Fault, Sifted
from fastdissect.types import ActivationView, SparseActivations

__all__ = ["Sifting", "begin_sift"]

SCRATCH = 1 << 30  # bytes; a batch whose cells would need more if all were kept waits for their number
SMALL = 256  # cells; 4 threads share a map of up to this many, 16 a larger one,
TINY, MANY = 64, 1 << 16  # and one thread has a map of up to TINY cells to itself if there are MANY maps
SHARED = 48 * 1024  # bytes a block
MOST = 1 << 30  # cells of a map: the kernels number them with 32 bits
ROWS = 65535  # of a grid; a block takes every so manieth image


def begin_sift(view: ActivationView, bounds: Any, reach: int, ring: bool, omit: bool) -> Sifting:
    """Queue everything and return; waits for the device only where SCRATCH bytes could not hold all cells.

    Raises:
        ActivationError: maps of more than MOST cells.
    """
    n, k, h, w = view.data.shape
    if h * w > MOST:
        raise ActivationError(
            f"expected maps of at most {MOST:,} cells on the GPU; got {h} x {w}: pass the activations on the CPU"
        )
    data = on_device(view.data)
    arguments = view_arguments(data)
    words = h * -(-w // 32)  # of a map's bits
    # fault, its value, records, cells | missing [k] | means, maxima [n, k]; then, for the device alone, lengths [k, n]
    ends = np.cumsum([32, 8 * k, 4 * n * k, 4 * n * k, 4 * n * k]).tolist()
    memory = cupy.zeros(ends[-1], np.uint8)
    header, missing = memory[:32].view(np.uint64), memory[32 : ends[1]].view(np.int64)
    means, maxima = (memory[a:b].view(np.float32) for a, b in (ends[1:3], ends[2:4]))
    lengths = memory[ends[3] :].view(np.uint32)
    kept = cupy.empty(n * k * words, np.uint32)
    if n * k:
        name, threads, across, shared = _mapping(data, words)
        spare = 0
        if shared > SHARED:  # larger maps: their bits lie in global memory
            spare, shared = cupy.zeros(n * k * words, np.uint32), shared - 4 * across * words
        row_step, column_step = arguments[-2:]
        even = h == 1 or w == 1 or row_step == w * column_step
        step = row_step if w == 1 else column_step
        settings = (even, step, on_device(bounds, np.uint32), min(reach, h + w), ring, omit)
        outputs = (spare, kept, lengths, header, missing, means, maxima)
        grid = blocks(k, across), min(n, ROWS)
        launch(
            "sift", f"fd_sift_{name}_{view.kind}", grid, threads, (*arguments, *settings, *outputs), shared
        )
    records, starts = scan_records(lengths)
    unit_start = cupy.empty(k + 1, np.int64)
    totals = (*arguments, records, starts, unit_start, header)
    launch("gather", f"fd_gather_totals_{view.kind}", (blocks(k + 1, 256),), 256, totals)
    wide = h * w > 65536
    most = n * k, n * k * h * w  # records and cells
    if most[1] * ((4 if wide else 2) + data.itemsize) > SCRATCH:
        most = tuple(header[2:].get().tolist())  # the one wait, and only for batches of this size
    images, cell_start = cupy.empty(most[0], np.uint32), cupy.empty(most[0] + 1, np.int64)
    cells, values = cupy.empty(most[1], np.uint32 if wide else np.uint16), cupy.empty(most[1], data.dtype)
    gathered = (images, cell_start, cells, values)
    queue = (*arguments, lengths, records, starts, kept, wide, *gathered)
    launch("gather", f"fd_gather_{view.kind}", (blocks(n * k, 256),), 256, queue)
    return Sifting(ActivationView(data, view.kind), unit_start, gathered, memory[: ends[3]])


def _mapping(data: Any, words: int) -> tuple[str, int, int, int]:
    """(kernel, threads, maps a block, bytes of shared memory): what lies side by side is read side by side."""
    n, k, h, w = data.shape
    unit_step, row_step, column_step = (s // data.itemsize for s in data.strides[1:])
    cells = h * w
    share = 16 if cells > SMALL else 4
    if cells == 1 or abs(unit_step) < abs(column_step if w > 1 else row_step):
        if cells <= TINY and n * k >= MANY:
            return "units1", 128, 128, 4 * 128 * words
        return f"units{share}", 32 * share, 32, 4 * (32 * words + 2 * share * 33)
    packed = (column_step == 1 or w == 1) and (row_step == w or h == 1) and unit_step == cells
    staged = 128 * (4 * words + cells * data.itemsize)
    if packed and cells <= TINY and cells % 2 and n * k >= MANY and staged <= SHARED:
        return "cells1", 128, 128, staged
    return f"cells{share}", 128, 128 // share, 4 * words * (128 // share)


class Sifting:
    """A sift under way. What comes later in the same stream may overwrite the activations, or be lent their memory:
    they are not held."""

    _under_way = False  # the copy to the host

    def __init__(self, view: ActivationView, unit_start: Any, gathered: tuple[Any, ...], told: Any) -> None:
        self._shape, self._kind = view.data.shape, view.kind
        self._unit_start, self._gathered = unit_start, gathered
        self._device, self._stream = cupy.cuda.Device().id, cupy.cuda.get_current_stream()
        self._ready = cupy.cuda.Event(disable_timing=True)
        pinned = cupy.cuda.alloc_pinned_memory(told.nbytes)
        self._told = np.frombuffer(pinned, np.uint8, told.nbytes)
        told.get(out=self._told, blocking=False)
        self._ready.record()
        self._under_way = True

    def __del__(self) -> None:
        # dropped unsettled: CuPy lends the pinned memory again, but not while the copy may write to it
        if self._under_way:
            self._ready.synchronize()

    def settle(self) -> Sifted:
        """Wait for the device, once; the arrays are as large as their contents, the scratch is given back."""
        n, k, h, w = self._shape
        self._ready.synchronize()
        self._under_way = False
        header = self._told[:32].view(np.int64)
        missing = self._told[32 : 32 + 8 * k].view(np.int64).copy()
        means, maxima = self._told[32 + 8 * k :].view(np.float32).reshape(2, n, k).copy()
        records, cells = header[2:].tolist()
        sizes = (records, records + 1, cells, cells)
        with in_stream(self._device, self._stream):
            arrays = [
                a if a.size == s else beginning(a, s) for a, s in zip(self._gathered, sizes, strict=True)
            ]
        fault = None
        if header[0]:
            image, rest = divmod(int(~header[0]), k * h * w)
            unit, cell = divmod(rest, h * w)
            fault = Fault(image, unit, cell, float(self._told[8:12].view(np.float32)[0]))
        kept = SparseActivations((n, k, h, w), self._kind, self._unit_start, *arrays)
        return Sifted(kept, means, maxima, missing, fault)
