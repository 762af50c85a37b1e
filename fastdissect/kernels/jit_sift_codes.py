"""sift_codes in Numba: entries in order of unit, image, cell; then as in jit_sift.py, two reads a unit."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdissect.kernels.jit_numbers import (
    HUGE,
    ZERO,
    ZERO_KEY,
    Array,
    fixed,
    greater,
    kernel,
    key_of,
    share,
)
from fastdissect.kernels.jit_sift import LEAST, NAN, NO_FAULT, keep
from fastdissect.kernels.views import CodesView
from fastdissect.types import SparseActivations

__all__ = ["sift_codes"]


@kernel
def count_entries(indices: Array, values: Array, starts: Array) -> None:
    """starts [units + 1]: where each unit's entries begin, of those that are not 0."""
    for i in range(len(values)):
        if values[i] != ZERO:
            starts[indices[i] + 1] += 1
    for unit in range(1, len(starts)):
        starts[unit] += starts[unit - 1]


@kernel
def place_entries(indices: Array, values: Array, k: int, at: Array, places: Array, entries: Array) -> None:
    """Put the entries in order; `places` are numbered through the batch, `at` is a copy of the starts."""
    for i in range(len(values)):
        if values[i] != ZERO:
            unit = indices[i]
            places[at[unit]] = i // k
            entries[at[unit]] = values[i]
            at[unit] += 1


@kernel
def read_entries(cell: Array, value: Array, first: int, last: int, cells: int, lanes: Array) -> Any:
    """Of one map: unusable cells, the first one's number, sum in the stated order, maximum.

    Absent cells are 0 and change no sum: a lane begins at +0 and is never -0, so that lane + 0 is the lane.
    """
    lanes[:] = ZERO
    bad, where, top = 0, -1, LEAST
    for i in range(first, last):
        v = value[i]
        if not (v <= HUGE and v >= -HUGE):
            where = where if bad else cell[i] % cells
            bad += 1
            continue
        lanes[cell[i] % cells % 16] += v
        top = greater(v, top)
    if last - first < cells:
        top = greater(ZERO, top)
    half = 8
    while half:
        for lane in range(half):
            lanes[lane] += lanes[lane + half]
        half //= 2
    return bad, where, lanes[0], top


@kernel
def sift_units(
    places: Array, entries: Array, starts: Array, shape: Any, bounds: Array, reach: int, ring: bool, omit: bool,
    begin: int, end: int, means: Array, maxima: Array, missing: Array, records: Array, lengths: Array, write: bool,
    images: Array, cell_start: Array, cells: Array, values: Array,
) -> Any:  # fmt: skip
    """Units begin ... end - 1: count what is kept of each, or write it down; returns the first fault's number."""
    height, width = shape[2], shape[3]
    size = height * width
    x, kept, lanes = np.zeros(size, np.float32), np.empty(size, np.uint8), np.empty(16, np.float32)
    fault = NO_FAULT
    for unit in range(begin, end):
        bound = bounds[unit]
        everywhere = bound < ZERO_KEY  # a map without entries is above, too
        at, last, image = starts[unit], starts[unit + 1], -1
        record, cell = records[unit], lengths[unit]
        while True:
            image = image + 1 if everywhere else (places[at] // size if at < last else shape[0])
            if image >= shape[0]:
                break
            first = at
            while at < last and places[at] // size == image:
                at += 1
            bad, where, total, top = read_entries(places, entries, first, at, size, lanes)
            if bad and not omit:
                number = (image * shape[1] + unit) * size + where
                fault = number if number < fault else fault  # noqa: FURB136
                continue
            none = bad == size
            if not write:
                missing[unit] += bad
                means[image, unit] = NAN if none else total / np.float32(size - bad)
                maxima[image, unit] = NAN if none else top + ZERO
            if not (ring and everywhere) and (none or key_of(top) <= bound):
                continue
            for i in range(first, at):
                x[places[i] % size] = entries[i]
            n = keep(x, height, width, bound, reach, ring, kept)
            if n and write:
                images[record], cell_start[record] = image, cell
                for p in range(size):
                    if kept[p]:
                        cells[cell] = p
                        values[cell] = x[p] if x[p] <= HUGE and x[p] >= -HUGE else NAN
                        cell += 1
                record += 1
            elif n:
                records[unit + 1] += 1
                lengths[unit + 1] += n
            for i in range(first, at):
                x[places[i] % size] = ZERO
    return fault


def sift_codes(
    view: CodesView, bounds: Array, reach: int, ring: bool, omit: bool, threads: int
) -> tuple[SparseActivations, Array, Array, Array, int]:
    """Retained cells, means, maxima, unusable cells a unit, number of the first fault."""
    n, units, h, w = shape = view.shape
    indices, given = fixed(view.indices.reshape(-1)), fixed(view.values.reshape(-1))
    starts = np.zeros(units + 1, np.int64)
    count_entries(indices, given, starts)
    places, entries = np.empty(starts[-1], np.int64), np.empty(starts[-1], np.float32)
    place_entries(indices, given, view.indices.shape[2], starts.copy(), places, entries)
    means, maxima = np.zeros((n, units), np.float32), np.zeros((n, units), np.float32)
    missing = np.zeros(units, np.int64)
    records, lengths = np.zeros(units + 1, np.int64), np.zeros(units + 1, np.int64)
    own, own_starts, own_bounds = fixed(places), fixed(starts), fixed(bounds)
    entries = fixed(entries)

    def sift(write: bool, images: Array, cell_start: Array, cells: Array, values: Array) -> int:
        def work(begin: int, end: int, _: int) -> Any:
            return sift_units(
                own, entries, own_starts, shape, own_bounds, reach, ring, omit, begin, end, means, maxima, missing,
                records, lengths, write, images, cell_start, cells, values,
            )  # fmt: skip

        return int(min(share(threads, units, work)))

    cell_type = np.uint16 if h * w <= 65536 else np.uint32
    nothing = np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, cell_type), np.empty(0, np.float32)
    fault = sift(False, *nothing)
    if fault != NO_FAULT:
        records[:], lengths[:] = 0, 0
    records, lengths = records.cumsum(), lengths.cumsum()
    images, cell_start = np.empty(records[-1], np.uint32), np.empty(records[-1] + 1, np.int64)
    cells, values = np.empty(lengths[-1], cell_type), np.empty(lengths[-1], np.float32)
    cell_start[-1] = lengths[-1]
    if fault == NO_FAULT:
        sift(True, images, cell_start, cells, values)
    sparse = SparseActivations(shape, "float32", records, images, cell_start, cells, values)
    return sparse, means, maxima, missing, fault
