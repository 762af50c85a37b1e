"""select in Numba: keys above the bounds are collected for some units at a time, then ranked by three counting
passes (11 + 11 + 10 bits)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastdissect.kernels.jit_count import axes, blend
from fastdissect.kernels.jit_numbers import (
    CODE,
    HUGE,
    LOWEST_KEY,
    ZERO,
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
from fastdissect.kernels.jit_prune import count_above
from fastdissect.types import Kind, SparseActivations, Upsampling

__all__ = ["raise_bounds", "raise_pixels", "select", "select_pixels"]

MOST_SAMPLES, FEW_SAMPLES, FEW = 128, 32, 4096

GROUP = 1 << 22  # keys that are held at a time, unless one unit has more


@kernel
def ranked(keys: Array, rank: int, bins: Array) -> Any:
    """The rank-th largest key (1 = largest); rank <= len(keys)."""
    prefix, below = np.int64(0), 32
    for step in range(3):
        size = 11 if step < 2 else 10
        above, below = below, below - size
        last = (1 << size) - 1
        bins[:] = 0
        for i in range(len(keys)):
            key = np.int64(keys[i])
            if key >> above == prefix:
                bins[key >> below & last] += 1
        bin_ = last
        while bins[bin_] < rank:
            rank -= bins[bin_]
            bin_ -= 1
        prefix = prefix << size | bin_
    return np.uint32(prefix)


@kernel
def choose(
    keys: Array,
    start: Array,
    first_unit: int,
    bounds: Array,
    ranks: Array,
    first: int,
    last: int,
    chosen: Array,
) -> None:
    """Unit u's keys are keys[start[u] - start[first_unit] : ...]."""
    bins = np.empty(2048, np.int64)
    base = start[first_unit]
    for unit in range(first, last):
        own = keys[start[unit] - base : start[unit + 1] - base]
        for j in range(ranks.shape[1]):
            chosen[unit, j] = (
                ranked(own, ranks[unit, j], bins) if ranks[unit, j] <= len(own) else bounds[unit]
            )


@kernel
def write_keys(
    start: Array,
    values: Array,
    code: int,
    bounds: Array,
    first: int,
    last: int,
    places: Array,
    base: int,
    to: Array,
) -> None:
    """Advances places[unit]."""
    for unit in range(first, last):
        at = places[unit] - base
        for j in range(start[unit], start[unit + 1]):
            v = widen(values[j], code)
            if not np.isnan(v) and key_of(v) > bounds[unit]:
                to[at] = key_of(v)
                at += 1
        places[unit] = at + base


def _rank(
    counts: Array,
    write: Callable[[int, int, Array, int, Array], None],
    bounds: Array,
    ranks: Array,
    threads: int,
) -> Array:
    """Group by group: `write(first, last, places, base, keys)` puts the units' keys at their places."""
    k = len(bounds)
    start = np.append(0, np.cumsum(counts)).astype(np.int64)
    places, ranks = start[:-1].copy(), fixed(ranks)
    chosen = np.empty(ranks.shape, np.uint32)
    first = 0
    while first < k:
        last = max(first + 1, int(np.searchsorted(start, start[first] + GROUP, "right")) - 1)
        keys = np.empty(start[last] - start[first], np.uint32)

        def work(begin: int, end: int, _: int, first: int = first, keys: Array = keys) -> None:
            write(first + begin, first + end, places, int(start[first]), keys)
            choose(keys, start, first, bounds, ranks, first + begin, first + end, chosen)

        share(threads, last - first, work)
        first = last
    return chosen


def select(
    starts: Sequence[Array], values: Sequence[Array], kind: Kind, bounds: Array, ranks: Array, threads: int
) -> Array:
    code, bounds = CODE[kind], fixed(bounds)
    inputs = [(fixed(s), bits(v)) for s, v in zip(starts, values, strict=True)]
    counts = np.zeros((len(inputs), len(bounds)), np.int64)

    def count(first: int, last: int, _: int) -> None:
        for i, own in enumerate(inputs):
            count_above(*own, code, bounds, first, last, counts[i])

    def write(first: int, last: int, places: Array, base: int, keys: Array) -> None:
        for own in inputs:
            write_keys(*own, code, bounds, first, last, places, base, keys)

    share(threads, len(bounds), count)
    return _rank(counts.sum(0), write, bounds, ranks, threads)


@kernel
def pixel_keys(
    unit_start: Array, cell_start: Array, cells: Array, values: Array, code: int, height: int, width: int,
    rows: Any, columns: Any, ring: bool, fills: Array, bounds: Array, first: int, last: int, places: Array, base: int,
    to: Array,
) -> None:  # fmt: skip
    """Advances places[unit] by the pixels above the bound; writes their keys if `to` is not empty."""
    row_start, row_weights, row_lerp, row_cells = rows
    column_start, column_weights, column_lerp, pitch = columns
    border = 1 if ring else 0
    x, row = np.empty(row_cells * pitch, np.float32), np.empty(pitch, np.float32)
    for unit in range(first, last):
        bound = bounds[unit]
        fill = -HUGE if fills[unit] < LOWEST_KEY else from_key(fills[unit])  # what absent cells read as
        at = places[unit] - base
        for r in range(unit_start[unit], unit_start[unit + 1]):
            x[:] = ZERO
            for y in range(height):
                for c in range(width):
                    x[(y + border) * pitch + c + border] = fill
            for j in range(cell_start[r], cell_start[r + 1]):
                y, c = row_column(cells[j], width)
                x[(y + border) * pitch + c + border] = widen(values[j], code)
            for y in range(len(row_start)):
                for c in range(pitch):
                    row[c] = blend(row_start, row_weights, row_lerp, row_cells, y, x, c, pitch)
                for c in range(len(column_start)):
                    v = blend(column_start, column_weights, column_lerp, pitch, c, row, 0, 1)
                    if not np.isnan(v) and key_of(v) > bound:
                        if len(to):
                            to[at] = key_of(v)
                        at += 1
        places[unit] = at + base


def select_pixels(
    parts: Sequence[SparseActivations], bounds: Array, ranks: Array, upsampling: Upsampling, threads: int
) -> Array:
    _, _, h, w = parts[0].shape
    code, bounds = CODE[parts[0].kind], fixed(bounds)
    rows, columns = axes(upsampling)
    inputs = [(fixed(p.unit_start), fixed(p.cell_start), fixed(p.cells), bits(p.values)) for p in parts]

    def write(first: int, last: int, places: Array, base: int, keys: Array) -> None:
        for own in inputs:
            pixel_keys(
                *own,
                code,
                h,
                w,
                rows,
                columns,
                upsampling.ring,
                bounds,
                bounds,
                first,
                last,
                places,
                base,
                keys,
            )

    counts, nothing = np.zeros(len(bounds), np.int64), np.zeros(0, np.uint32)
    share(threads, len(bounds), lambda first, last, _: write(first, last, counts, 0, nothing))
    return _rank(counts, write, bounds, ranks, threads)


@kernel
def raise_units(
    start: Array, values: Array, code: int, bounds: Array, rank: int, first: int, last: int, risen: Array
) -> None:
    samples = np.empty(MOST_SAMPLES, np.uint32)
    for unit in range(first, last):
        own = values[start[unit] : start[unit + 1]]
        risen[unit] = bounds[unit]
        if len(own) < rank:
            continue
        n = FEW_SAMPLES if len(own) < FEW else MOST_SAMPLES
        sample = samples[:n]
        for i in range(n):
            v = widen(own[i * len(own) // n], code)
            sample[i] = np.uint32(0) if np.isnan(v) else key_of(v)
        sample.sort()
        ties = False
        for slack in (n // 20, n // 7):
            j = rank * n // len(own) + slack
            ties = False
            if j >= n or sample[n - 1 - j] <= bounds[unit]:
                break
            ties = True
            pivot = from_key(sample[n - 1 - j])
            above = 0
            for i in range(len(own)):
                above += widen(own[i], code) > pivot
            if above >= rank:
                risen[unit] = sample[n - 1 - j]
                ties = False
                break
        if not ties:
            continue
        keys, found, bins = np.empty(len(own), np.uint32), 0, np.empty(2048, np.int64)
        for i in range(len(own)):
            v = widen(own[i], code)
            if not np.isnan(v) and key_of(v) > bounds[unit]:
                keys[found] = key_of(v)
                found += 1
        if found >= rank:
            risen[unit] = ranked(keys[:found], rank, bins)


def raise_bounds(
    starts: Sequence[Array], values: Sequence[Array], kind: Kind, bounds: Array, rank: int, threads: int
) -> Array:
    k = len(bounds)
    lengths = np.array([np.diff(s) for s in starts], np.int64).reshape(-1, k)
    start = np.append(0, np.cumsum(lengths.sum(0))).astype(np.int64)
    joined = np.empty(start[-1], bits(values[0]).dtype)
    at = start[:-1].copy()
    for part, own in zip(starts, values, strict=True):
        copy_units(fixed(part), bits(own), at, joined)
    bounds, risen = fixed(bounds), np.empty(k, np.uint32)

    def work(first: int, last: int, _: int) -> None:
        raise_units(start, joined, CODE[kind], bounds, rank, first, last, risen)

    share(threads, k, work)
    return risen


def raise_pixels(
    parts: Sequence[SparseActivations], bounds: Array, rank: int, upsampling: Upsampling, threads: int
) -> Array:
    _, _, h, w = parts[0].shape
    place = rank * 13 * h * w // (10 * upsampling.size[0] * upsampling.size[1])
    starts, values = [p.cell_start[p.unit_start] for p in parts], [p.values for p in parts]
    pivots = select(starts, values, parts[0].kind, bounds, np.full((len(bounds), 1), place + 1), threads)[
        :, 0
    ]
    code, (rows, columns) = CODE[parts[0].kind], axes(upsampling)
    counts, nothing = np.zeros(len(bounds), np.int64), np.zeros(0, np.uint32)

    def work(first: int, last: int, _: int) -> None:
        for p in parts:
            pixel_keys(
                fixed(p.unit_start), fixed(p.cell_start), fixed(p.cells), bits(p.values), code, h, w, rows,
                columns, upsampling.ring, fixed(bounds), fixed(pivots), first, last, counts, 0, nothing,
            )  # fmt: skip

    share(threads, len(bounds), work)
    return np.where((pivots > bounds) & (counts >= rank), pivots, bounds)


@kernel
def copy_units(start: Array, values: Array, at: Array, to: Array) -> None:
    """The units' values, side by side in `to`; advances at[unit]."""
    for unit in range(len(at)):
        n = start[unit + 1] - start[unit]
        to[at[unit] : at[unit] + n] = values[start[unit] : start[unit + 1]]
        at[unit] += n
