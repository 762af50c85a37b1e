"""sift in Numba. Two reads: what each map keeps is counted first, then written at its place in the canonical
order; the second read touches only maps that keep something (a few per cent once there is a bound)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdissect.kernels.jit_numbers import (
    CODE,
    HUGE,
    LOWEST_KEY,
    ZERO,
    ZERO_KEY,
    Array,
    fixed,
    from_key,
    greater,
    index,
    kernel,
    key_of,
    load_map,
    load_row,
    share,
    window,
)
from fastdissect.types import ActivationView, SparseActivations

__all__ = ["NO_FAULT", "sift"]

BLOCK = 32  # units that are looked at together
NO_FAULT = np.iinfo(np.int64).max
NAN_BITS = {"float32": 0x7FC00000, "float16": 0x7E00, "bfloat16": 0x7FC0}
NAN = np.float32(np.nan)
LEAST = np.float32(-np.inf)
TAME_TOP = np.float32(1e30)
TAME_SUM = np.float32(1e35)
TAME_CELLS = 2**26


@kernel
def lane_sum(x: Array, cells: int, lanes: Array, tops: Array) -> Any:
    """Sum in the stated order, and maximum."""
    if cells == 1:
        return ZERO + x[0], greater(x[0], LEAST)
    for lane in range(16):
        lanes[lane] = ZERO
        tops[lane] = LEAST
    whole = cells - cells % 16
    for p in range(0, whole, 16):
        for lane in range(16):
            v = x[index(p + lane)]
            lanes[lane] += v
            tops[lane] = greater(v, tops[lane])
    for lane in range(cells - whole):
        v = x[whole + lane]
        lanes[lane] += v
        tops[lane] = greater(v, tops[lane])
    half = 8
    while half:
        for lane in range(half):
            lanes[lane] += lanes[lane + half]
            tops[lane] = max(tops[lane], tops[lane + half])
        half //= 2
    return lanes[0], tops[0]


@kernel
def clean(x: Array, cells: int) -> Any:
    """Set unusable cells to 0; returns their number, the first one's, and the maximum of the others."""
    bad, first, top = 0, 0, LEAST
    for p in range(cells):
        if not (x[p] <= HUGE and x[p] >= -HUGE):
            first = first if bad else p
            bad += 1
            x[p] = ZERO
        elif x[p] > top:
            top = x[p]
    return bad, first, top


@kernel
def keep(x: Array, height: int, width: int, bound: Any, reach: int, ring: bool, kept: Array) -> int:
    """Mark the cells within `reach` of one above; returns how many."""
    floor = LEAST if bound < LOWEST_KEY else from_key(bound)  # -inf itself is not usable
    n = 0
    kept[: height * width] = 0
    for y in range(height):
        low, high = max(y - reach, 0), min(y + reach, height - 1)
        marked = -1  # the last column that this row has marked
        for column in range(width):
            v = x[index(y * width + column)]
            if not (v > floor and v <= HUGE and v >= -HUGE):
                continue
            left, right = max(column - reach, marked + 1), min(column + reach, width - 1)
            marked = right
            for row in range(low, high + 1):
                for c in range(left, right + 1):
                    n += 1 - kept[index(row * width + c)]
                    kept[index(row * width + c)] = 1
    if ring and bound < ZERO_KEY:
        for y in range(height):
            for column in range(width):
                if y < reach or column < reach or y >= height - reach or column >= width - reach:
                    n += 1 - kept[y * width + column]
                    kept[y * width + column] = 1
    return n


@kernel
def is_tame(total: Any, top: Any, cells: int) -> bool:
    """All cells are usable, by the sum: positive ones add up to less than 1e38, so one of -2**127 would show."""
    return cells <= TAME_CELLS and top <= TAME_TOP and total >= -TAME_SUM and total <= TAME_SUM


@kernel
def count_block(
    flat: Array, steps: Any, shape: Any, code: int, bounds: Array, reach: int, ring: bool, omit: bool,
    image: int, first: int, last: int, means: Array, maxima: Array, counts: Array, missing: Array,
    x: Array, kept: Array, lanes: Array, tops: Array,
) -> Any:  # fmt: skip
    """Units first ... last - 1 of one image; returns the first fault's number."""
    height, width = shape[2], shape[3]
    cells = height * width
    base = steps[0] + image * steps[1]
    side_by_side = steps[2] == 1 and last - first > 1 and cells > 1
    if side_by_side:  # channels last: one position of all the block's units at a time
        n = last - first
        values = np.empty(BLOCK, np.float32)
        lanes[:] = ZERO
        tops[:] = LEAST
        for p in range(cells):
            at = base + first + p // width * steps[3] + p % width * steps[4]
            lane = p % 16 * BLOCK
            load_row(flat, at, n, code, values)
            for u in range(n):
                v = values[u]
                lanes[index(lane + u)] += v
                tops[u] = greater(v, tops[u])
        half = 8 * BLOCK
        while half >= BLOCK:
            for i in range(half):
                lanes[i] += lanes[index(i + half)]
            half //= 2
    for unit in range(first, last):
        bound = bounds[unit]
        loaded = not side_by_side
        if loaded:
            load_map(flat, base + unit * steps[2], steps[3], steps[4], height, width, code, x)
            total, top = lane_sum(x, cells, lanes, tops)
        else:
            total, top = lanes[unit - first], tops[unit - first]
        bad = 0
        if not is_tame(total, top, cells):
            if not loaded:
                load_map(flat, base + unit * steps[2], steps[3], steps[4], height, width, code, x)
                loaded = True
            bad, where, top = clean(x, cells)
            if bad and not omit:
                return (image * shape[1] + unit) * cells + where
            scratch = np.empty(32, np.float32)
            total, _ = lane_sum(x, cells, scratch[:16], scratch[16:])
            if bad:  # what was unusable is not above, whatever the bound
                load_map(flat, base + unit * steps[2], steps[3], steps[4], height, width, code, x)
        missing[unit] += bad
        none = bad == cells
        means[image, unit] = NAN if none else total / np.float32(cells - bad)
        maxima[image, unit] = NAN if none else top + ZERO
        around = ring and bound < ZERO_KEY
        if around or (not none and key_of(top) > bound):
            if not loaded:
                load_map(flat, base + unit * steps[2], steps[3], steps[4], height, width, code, x)
            counts[unit, image] = keep(x, height, width, bound, reach, ring, kept)
    return NO_FAULT


@kernel
def count_share(
    flat: Array, steps: Any, shape: Any, code: int, bounds: Array, reach: int, ring: bool, omit: bool,
    begin: int, end: int, means: Array, maxima: Array, counts: Array, missing: Array,
) -> Any:  # fmt: skip
    cells = shape[2] * shape[3]
    x, kept = np.empty(cells, np.float32), np.empty(cells, np.uint8)
    lanes, tops = np.empty(16 * BLOCK, np.float32), np.empty(BLOCK, np.float32)
    blocks = (shape[1] + BLOCK - 1) // BLOCK
    for item in range(begin, end):
        first = item % blocks * BLOCK
        fault = count_block(
            flat, steps, shape, code, bounds, reach, ring, omit, item // blocks, first, min(first + BLOCK, shape[1]),
            means, maxima, counts, missing, x, kept, lanes, tops,
        )  # fmt: skip
        if fault != NO_FAULT:
            return fault
    return NO_FAULT


@kernel
def write_share(
    flat: Array, steps: Any, shape: Any, code: int, nan: Any, bounds: Array, reach: int, ring: bool,
    begin: int, end: int, counts: Array, starts: Array, cells: Array, values: Array,
) -> None:  # fmt: skip
    height, width = shape[2], shape[3]
    x, kept = np.empty(height * width, np.float32), np.empty(height * width, np.uint8)
    for item in range(begin, end):
        image, unit = item // shape[1], item % shape[1]
        if not counts[unit, image]:
            continue
        origin = steps[0] + image * steps[1] + unit * steps[2]
        load_map(flat, origin, steps[3], steps[4], height, width, code, x)
        keep(x, height, width, bounds[unit], reach, ring, kept)
        at = starts[unit, image]
        for p in range(height * width):
            if kept[p]:
                usable = x[p] <= HUGE and x[p] >= -HUGE
                cells[at] = p
                values[at] = flat[origin + p // width * steps[3] + p % width * steps[4]] if usable else nan
                at += 1


def sift(
    view: ActivationView, bounds: Array, reach: int, ring: bool, omit: bool, threads: int
) -> tuple[SparseActivations, Array, Array, Array, int]:
    """Retained cells, means, maxima, unusable cells a unit, number of the first fault."""
    n, k, h, w = shape = tuple(int(s) for s in view.data.shape)
    (flat, steps), code, bounds = window(view.data), CODE[view.kind], fixed(bounds)
    means, maxima = np.empty((n, k), np.float32), np.empty((n, k), np.float32)
    counts = np.zeros((k, n), np.int64)
    missing = np.zeros((max(1, threads), k), np.int64)

    def count(begin: int, end: int, thread: int) -> Any:
        return count_share(
            flat,
            steps,
            shape,
            code,
            bounds,
            reach,
            ring,
            omit,
            begin,
            end,
            means,
            maxima,
            counts,
            missing[thread],
        )

    fault = min(share(threads, n * -(-k // BLOCK), count))
    if fault != NO_FAULT:
        counts[:] = 0
    ends = np.cumsum(counts, dtype=np.int64).reshape(k, n)
    starts = ends - counts
    cells = np.empty(counts.sum(), np.uint16 if h * w <= 65536 else np.uint32)
    values = np.empty(counts.sum(), view.data.dtype)
    out, nan = values.view(flat.dtype), flat.dtype.type(NAN_BITS[view.kind])

    def write(begin: int, end: int, _: int) -> None:
        write_share(
            flat, steps, shape, code, nan, bounds, reach, ring, begin, end, counts, starts, cells, out
        )

    share(threads, n * k, write)
    unit, image = np.nonzero(counts)
    sparse = SparseActivations(
        shape=(n, k, h, w),
        kind=view.kind,
        unit_start=np.searchsorted(unit, np.arange(k + 1)).astype(np.int64),
        images=image.astype(np.uint32),
        cell_start=np.append(starts[unit, image], len(cells)).astype(np.int64),
        cells=cells,
        values=values,
    )
    return sparse, means, maxima, missing.sum(0), fault
