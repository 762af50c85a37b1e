"""prune and join in Numba: what each part keeps is counted first, then all parts write into one result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastdissect.kernels.jit_numbers import (
    CODE,
    LOWEST_KEY,
    ZERO,
    ZERO_KEY,
    Array,
    bits,
    fixed,
    from_key,
    kernel,
    key_of,
    row_column,
    share,
    widen,
)
from fastdissect.types import Kind, SparseActivations

__all__ = ["join", "prune"]


@kernel
def mark(
    cells: Array, values: Array, begin: int, end: int, code: int, height: int, width: int, bound: Any, reach: int,
    ring: bool, near: Array, stamp: int,
) -> int:  # fmt: skip
    """near[cell] = stamp within `reach` of a cell above; returns how many cells of the record are kept."""
    everything = bound < LOWEST_KEY
    threshold = ZERO if everything else from_key(bound)
    around = ring and bound < ZERO_KEY
    any_above = around
    for j in range(begin, end):
        v = widen(values[j], code)
        if not (not np.isnan(v) if everything else v > threshold):
            continue
        any_above = True
        y, x = row_column(cells[j], width)
        for row in range(max(y - reach, 0), min(y + reach, height - 1) + 1):
            for column in range(max(x - reach, 0), min(x + reach, width - 1) + 1):
                near[row * width + column] = stamp
    if not any_above:
        return 0
    n = 0
    for j in range(begin, end):
        y, x = row_column(cells[j], width)
        if around and (y < reach or x < reach or y >= height - reach or x >= width - reach):
            near[cells[j]] = stamp
        n += near[cells[j]] == stamp
    return n


@kernel
def count_units(
    unit_start: Array, cell_start: Array, cells: Array, values: Array, code: int, height: int,
    width: int, bounds: Array, reach: int, ring: bool, first: int, last: int, lengths: Array,
) -> None:  # fmt: skip
    near = np.zeros(height * width, np.int64)
    for unit in range(first, last):
        for r in range(unit_start[unit], unit_start[unit + 1]):
            lengths[r] = mark(
                cells, values, cell_start[r], cell_start[r + 1], code, height, width, bounds[unit], reach, ring,
                near, r + 1,
            )  # fmt: skip


@kernel
def write_units(
    unit_start: Array, images: Array, cell_start: Array, cells: Array, values: Array, code: int, height: int,
    width: int, bounds: Array, reach: int, ring: bool, first: int, last: int, lengths: Array, first_image: int,
    records: Array, starts: Array, to_images: Array, to_cell_start: Array, to_cells: Array, to_values: Array,
) -> None:  # fmt: skip
    """records[unit], starts[unit]: where this part's records and cells of the unit go."""
    near = np.zeros(height * width, np.int64)
    for unit in range(first, last):
        record, at = records[unit], starts[unit]
        for r in range(unit_start[unit], unit_start[unit + 1]):
            if not lengths[r]:
                continue
            begin, end = cell_start[r], cell_start[r + 1]
            to_images[record] = images[r] + first_image
            to_cell_start[record] = at
            record += 1
            every = lengths[r] == end - begin
            if not every:
                mark(cells, values, begin, end, code, height, width, bounds[unit], reach, ring, near, r + 1)
            for j in range(begin, end):
                if every or near[cells[j]] == r + 1:
                    to_cells[at] = cells[j]
                    to_values[at] = values[j]
                    at += 1


def prune(
    parts: Sequence[SparseActivations], bounds: Array, reach: int, ring: bool, threads: int
) -> SparseActivations:
    _, k, h, w = parts[0].shape
    code, bounds = CODE[parts[0].kind], fixed(bounds)
    inputs = [
        (fixed(p.unit_start), fixed(p.images), fixed(p.cell_start), fixed(p.cells), bits(p.values))
        for p in parts
    ]
    lengths = [np.zeros(len(p.images), np.int64) for p in parts]
    records, cells = np.zeros((len(parts), k), np.int64), np.zeros((len(parts), k), np.int64)
    for i in range(len(parts)):

        def count(first: int, last: int, _: int, i: int = i) -> None:
            unit_start, _images, *rest = inputs[i]
            count_units(unit_start, *rest, code, h, w, bounds, reach, ring, first, last, lengths[i])

        share(threads, k, count)
        records[i] = _per_unit(lengths[i] > 0, parts[i].unit_start)
        cells[i] = _per_unit(lengths[i], parts[i].unit_start)
    record_at, cell_at = _places(records), _places(cells)
    images = np.empty(records.sum(), np.uint32)
    cell_start = np.empty(records.sum() + 1, np.int64)
    cell_start[-1] = cells.sum()
    kept = np.empty(cells.sum(), parts[0].cells.dtype)
    values = np.empty(cells.sum(), parts[0].values.dtype)
    to_values = values.view(inputs[0][4].dtype)
    first_image = 0
    for i, part in enumerate(parts):

        def write(first: int, last: int, _: int, i: int = i, first_image: int = first_image) -> None:
            write_units(
                *inputs[i], code, h, w, bounds, reach, ring, first, last, lengths[i], first_image,
                record_at[i], cell_at[i], images, cell_start, kept, to_values,
            )  # fmt: skip

        share(threads, k, write)
        first_image += part.shape[0]
    unit_start = np.append(0, np.cumsum(records.sum(0))).astype(np.int64)
    return SparseActivations(
        (first_image, k, h, w), parts[0].kind, unit_start, images, cell_start, kept, values
    )


def _per_unit(counts: Array, unit_start: Array) -> Array:
    total = np.append(0, np.cumsum(counts))
    return np.diff(total[unit_start])


def _places(counts: Array) -> Array:
    """[parts, units] counts -> where each begins, in order unit, part."""
    by_unit = np.ascontiguousarray(counts.T)
    ends = np.cumsum(by_unit).reshape(by_unit.shape)
    return np.ascontiguousarray((ends - by_unit).T)


@kernel
def count_above(
    start: Array, values: Array, code: int, bounds: Array, first: int, last: int, counts: Array
) -> None:
    for unit in range(first, last):
        n = 0
        for j in range(start[unit], start[unit + 1]):
            v = widen(values[j], code)
            n += not np.isnan(v) and key_of(v) > bounds[unit]
        counts[unit] = n


@kernel
def write_above(
    start: Array, values: Array, code: int, bounds: Array, first: int, last: int, places: Array, to: Array
) -> None:
    for unit in range(first, last):
        at = places[unit]
        for j in range(start[unit], start[unit + 1]):
            v = widen(values[j], code)
            if not np.isnan(v) and key_of(v) > bounds[unit]:
                to[at] = values[j]
                at += 1


def join(
    starts: Sequence[Array], values: Sequence[Array], kind: Kind, bounds: Array, threads: int
) -> tuple[Array, Array]:
    k, code, bounds = len(bounds), CODE[kind], fixed(bounds)
    inputs = [(fixed(s), bits(v)) for s, v in zip(starts, values, strict=True)]
    counts = np.zeros((len(inputs), k), np.int64)
    for i in range(len(inputs)):

        def count(first: int, last: int, _: int, i: int = i) -> None:
            count_above(*inputs[i], code, bounds, first, last, counts[i])

        share(threads, k, count)
    places = _places(counts)
    joined = np.empty(counts.sum(), values[0].dtype)
    to = joined.view(inputs[0][1].dtype)
    for i in range(len(inputs)):

        def write(first: int, last: int, _: int, i: int = i) -> None:
            write_above(*inputs[i], code, bounds, first, last, places[i], to)

        share(threads, k, write)
    return np.append(0, np.cumsum(counts.sum(0))).astype(np.int64), joined
