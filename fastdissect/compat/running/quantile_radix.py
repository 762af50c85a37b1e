"""Sorting rows of floats by their bits: least significant digits first, 11 bits (or 8) at a time.

Its time depends on neither the values nor the processor's vector instructions: about 4.5 ns a float32 and 3 ns a
16-bit float on one core, where numpy's vectorised quicksort takes 3 to 23, by the processor. Compiled at first use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels.jit_numbers import kernel, share

__all__ = ["sort_bits", "sort_plain"]

Array = NDArray[Any]


def sort_bits(rows: Array, threads: int) -> None:
    """Sort each row of a contiguous array, in place: float32 as uint32, 16-bit floats as uint16; no NaN."""
    work = _sort_words if rows.dtype == np.uint32 else _sort_halves
    share(threads, len(rows), lambda first, last, _: work(rows[first:last]))


def sort_plain(rows: Array, threads: int) -> None:
    """Sort each row of other types, by numpy."""
    share(threads, len(rows), lambda first, last, _: rows[first:last].sort(axis=1))


@kernel
def _sort_words(rows: Array) -> None:
    n = rows.shape[1]
    for row in range(rows.shape[0]):
        keys = rows[row]
        other = np.empty(n, np.uint32)
        counts = np.zeros((3, 2048), np.int64)
        for i in range(n):
            bits = keys[i]
            key = ~bits if bits >> np.uint32(31) else bits | np.uint32(0x80000000)
            keys[i] = key
            counts[0, key & np.uint32(0x7FF)] += 1
            counts[1, (key >> np.uint32(11)) & np.uint32(0x7FF)] += 1
            counts[2, key >> np.uint32(22)] += 1
        for digit in range(3):
            total = 0
            for value in range(2048):
                own = counts[digit, value]
                counts[digit, value] = total
                total += own
        for i in range(n):
            key = keys[i]
            at = key & np.uint32(0x7FF)
            other[counts[0, at]] = key
            counts[0, at] += 1
        for i in range(n):
            key = other[i]
            at = (key >> np.uint32(11)) & np.uint32(0x7FF)
            keys[counts[1, at]] = key
            counts[1, at] += 1
        for i in range(n):
            key = keys[i]
            at = key >> np.uint32(22)
            other[counts[2, at]] = key
            counts[2, at] += 1
        for i in range(n):
            key = other[i]
            keys[i] = key & np.uint32(0x7FFFFFFF) if key >> np.uint32(31) else ~key


@kernel
def _sort_halves(rows: Array) -> None:
    n = rows.shape[1]
    for row in range(rows.shape[0]):
        keys = rows[row]
        other = np.empty(n, np.uint16)
        counts = np.zeros((2, 256), np.int64)
        for i in range(n):
            bits = keys[i]
            key = np.uint16(~bits if bits >> np.uint16(15) else bits | np.uint16(0x8000))
            keys[i] = key
            counts[0, key & np.uint16(0xFF)] += 1
            counts[1, key >> np.uint16(8)] += 1
        for digit in range(2):
            total = 0
            for value in range(256):
                own = counts[digit, value]
                counts[digit, value] = total
                total += own
        for i in range(n):
            key = keys[i]
            at = key & np.uint16(0xFF)
            other[counts[0, at]] = key
            counts[0, at] += 1
        for i in range(n):
            key = other[i]
            at = key >> np.uint16(8)
            keys[counts[1, at]] = np.uint16(key & np.uint16(0x7FFF) if key >> np.uint16(15) else ~key)
            counts[1, at] += 1
