"""filter and histogram in Numba: values above the bounds in two reads (count, then write), counts of keys in one."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdissect.kernels.jit_numbers import (
    CODE,
    LOWEST_KEY,
    Array,
    fixed,
    from_key,
    index,
    kernel,
    key_of,
    load_map,
    load_row,
    share,
    widen,
    window,
)
from fastdissect.kernels.jit_sift import BLOCK, NO_FAULT
from fastdissect.types import ActivationView

__all__ = ["filter_values", "histogram"]

LEAST = np.float32(-np.inf)


@kernel
def floor_of(bound: Any) -> Any:
    """Values above the bound: x > floor, or, with no bound yet, x >= -inf."""
    return LEAST if bound < LOWEST_KEY else from_key(bound)


@kernel
def count_share(
    flat: Array,
    steps: Any,
    shape: Any,
    code: int,
    bounds: Array,
    begin: int,
    end: int,
    counts: Array,
    nans: Array,
) -> None:
    """counts, nans [units, images]: values above, and NaNs."""
    units, height, width = shape[1], shape[2], shape[3]
    cells = height * width
    x = np.empty(max(cells, BLOCK), np.float32)
    floors = np.empty(units, np.float32)
    everything = np.empty(units, np.bool_)
    for unit in range(units):
        floors[unit] = floor_of(bounds[unit])
        everything[unit] = bounds[unit] < LOWEST_KEY
    above, nan = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.int32)
    blocks = (units + BLOCK - 1) // BLOCK
    for item in range(begin, end):
        image, first = item // blocks, item % blocks * BLOCK
        n = min(BLOCK, units - first)
        base = steps[0] + image * steps[1]
        if steps[2] == 1 and n > 1:  # channels last, or fully connected
            above[:] = 0
            nan[:] = 0
            for p in range(cells):
                at = base + first + p // width * steps[3] + p % width * steps[4]
                load_row(flat, at, n, code, x)
                for u in range(n):
                    nan[u] += np.isnan(x[u])
                    above[u] += x[u] > floors[index(first + u)]
            for u in range(n):
                counts[first + u, image] = cells - nan[u] if everything[first + u] else above[u]
                nans[first + u, image] = nan[u]
            continue
        for unit in range(first, first + n):
            load_map(flat, base + unit * steps[2], steps[3], steps[4], height, width, code, x)
            floor = floors[unit]
            found, bad = 0, 0
            for p in range(cells):
                found += x[p] > floor
                bad += np.isnan(x[p])
            counts[unit, image] = cells - bad if everything[unit] else found
            nans[unit, image] = bad


@kernel
def write_share(
    flat: Array, steps: Any, shape: Any, code: int, bounds: Array, begin: int, end: int, counts: Array,
    starts: Array, values: Array,
) -> None:  # fmt: skip
    units, height, width = shape[1], shape[2], shape[3]
    for item in range(begin, end):
        image, unit = item // units, item % units
        if not counts[unit, image]:
            continue
        floor, everything = floor_of(bounds[unit]), bounds[unit] < LOWEST_KEY
        origin = steps[0] + image * steps[1] + unit * steps[2]
        at = starts[unit, image]
        for y in range(height):
            for column in range(width):
                value = flat[origin + y * steps[3] + column * steps[4]]
                v = widen(value, code)
                if v > floor or (everything and v == LEAST):
                    values[at] = value
                    at += 1


@kernel
def first_nan(flat: Array, steps: Any, shape: Any, code: int, image: int, unit: int) -> Any:
    height, width = shape[2], shape[3]
    for p in range(height * width):
        at = steps[0] + image * steps[1] + unit * steps[2] + p // width * steps[3] + p % width * steps[4]
        v = widen(flat[at], code)
        if np.isnan(v):
            return (image * shape[1] + unit) * height * width + p
    return NO_FAULT


def filter_values(view: ActivationView, bounds: Array, threads: int) -> tuple[Array, Array, Array, int]:
    """Start of each unit, values, NaNs a unit, number of the first NaN."""
    n, k, _, _ = shape = tuple(int(s) for s in view.data.shape)
    (flat, steps), code, bounds = window(view.data), CODE[view.kind], fixed(bounds)
    counts, nans = np.zeros((k, n), np.int64), np.zeros((k, n), np.int64)

    def count(begin: int, end: int, _: int) -> None:
        count_share(flat, steps, shape, code, bounds, begin, end, counts, nans)

    share(threads, n * -(-k // BLOCK), count)
    ends = np.cumsum(counts, dtype=np.int64).reshape(k, n)
    values = np.empty(counts.sum(), view.data.dtype)
    out = values.view(flat.dtype)

    def write(begin: int, end: int, _: int) -> None:
        write_share(flat, steps, shape, code, bounds, begin, end, counts, ends - counts, out)

    share(threads, n * k, write)
    fault = NO_FAULT
    if nans.any():
        image, unit = (int(i[0]) for i in np.nonzero(nans.T))
        fault = int(first_nan(flat, steps, shape, code, image, unit))
    start = np.append(0, np.cumsum(counts.sum(1))).astype(np.int64)
    return start, values, nans.sum(1), fault


@kernel
def histogram_share(
    flat: Array, steps: Any, shape: Any, code: int, shift: int, prefix: Array, bins: Array, missing: Array,
    first: int, last: int,
) -> Any:  # fmt: skip
    """Units first ... last - 1; `prefix` is empty if there is none."""
    units, height, width = shape[1], shape[2], shape[3]
    fault = NO_FAULT
    for image in range(shape[0]):
        for unit in range(first, last):
            origin = steps[0] + image * steps[1] + unit * steps[2]
            for p in range(height * width):
                v = widen(flat[origin + p // width * steps[3] + p % width * steps[4]], code)
                if np.isnan(v):
                    missing[unit] += 1
                    fault = min(fault, (image * units + unit) * height * width + p)
                    continue
                key = key_of(v)
                if not len(prefix):
                    bins[unit, np.int64(key) >> shift] += 1
                elif np.int64(key) >> 16 == np.int64(prefix[unit]):
                    bins[unit, np.int64(key) & 0xFFFF] += 1
    return fault


def histogram(
    view: ActivationView, shift: int, prefix: Array | None, bins: Array, threads: int
) -> tuple[Array, int]:
    """NaNs a unit, number of the first; adds to `bins`."""
    shape = tuple(int(s) for s in view.data.shape)
    flat, steps = window(view.data)
    chosen = fixed(np.zeros(0, np.uint32) if prefix is None else prefix)
    missing = np.zeros(shape[1], np.int64)

    def work(first: int, last: int, _: int) -> Any:
        return histogram_share(flat, steps, shape, CODE[view.kind], shift, chosen, bins, missing, first, last)

    return missing, min(share(threads, shape[1], work))
