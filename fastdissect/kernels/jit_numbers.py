"""What the Numba kernels share: bits of floats, strided reads, shares of the work for threads.

Numba computes float32 (op) integer and float32 (op) Python number in float64: every constant here has a dtype,
and floating point is never contracted or reordered (no `fastmath`), so that results equal the reference's.

Floats travel as their bits (uint32, or uint16 for both 16-bit types) with a code for the type: one compiled
kernel a width, not one a type. Inputs are handed over read-only for the same reason. Numba's cache looks at
the file of the kernel alone: after a change here, delete __pycache__.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numba
import numpy as np
from numpy.typing import NDArray

from fastdissect.types import Kind

Array = NDArray[Any]

FLOAT32, FLOAT16, BFLOAT16 = 0, 1, 2
CODE: dict[Kind, int] = {"float32": FLOAT32, "float16": FLOAT16, "bfloat16": BFLOAT16}
LOWEST_KEY = np.uint32(0x007FFFFF)  # -inf; a bound below it has no float: everything is above
ZERO_KEY = np.uint32(0x80000000)
HUGE = np.float32(2.0**127 * (1 - 2.0**-24))
SIGN = np.uint32(0x80000000)
ZERO = np.float32(0)
HALF_UNIT = np.float32(2.0**-24)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call, keep the result on disk, run without the interpreter's lock."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder that can hold the cache: read-only installation, no home
        compiled = numba.njit(**options)(function)
    return cast(Callable[..., Any], compiled)


def share(threads: int, items: int, work: Callable[[int, int, int], Any]) -> list[Any]:
    """[work(first, last, thread)] over contiguous shares of `items`, in order. Threads live for one call, so
    that a forked child never inherits a pool without its threads."""
    threads = max(1, min(threads, items))
    if threads == 1:
        return [work(0, items, 0)]
    edges = [items * t // threads for t in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, edges[:-1], edges[1:], range(threads)))


def fixed(array: Array) -> Array:
    """The array, contiguous and read-only."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def bits(values: Array) -> Array:
    """float32, float16 or uint16 values as their bits, read-only."""
    return fixed(np.ascontiguousarray(values).view(f"u{values.itemsize}"))


def window(data: Array) -> tuple[Array, tuple[int, ...]]:
    """A strided view as the flat memory it lies in and (first element, *strides), counted in elements."""
    size = data.itemsize
    strides = [s // size if n > 1 else 0 for s, n in zip(data.strides, data.shape, strict=True)]
    if not data.size:
        return fixed(np.zeros(0, f"u{size}")), (0, *strides)
    spans = [(n - 1) * s for n, s in zip(data.shape, strides, strict=True)]
    lowest = data[tuple(slice(None, None, -1 if span < 0 else 1) for span in spans)]
    extent = 1 + sum(abs(span) for span in spans)
    flat = np.lib.stride_tricks.as_strided(lowest.view(f"u{size}"), (extent,), (size,), writeable=False)
    return flat, (sum(-span for span in spans if span < 0), *strides)


@kernel
def index(i: Any) -> Any:
    """An index that is not negative, said so: Numba then leaves out counting from the end, and loops vectorise."""
    return np.uint64(i)


@kernel
def key_of(x: np.float32) -> np.uint32:
    u = np.float32(x + ZERO).view(np.uint32)
    return np.uint32(~u) if u & SIGN else np.uint32(u | SIGN)


@kernel
def from_key(key: np.uint32) -> np.float32:
    u = np.uint32(key ^ SIGN) if key & SIGN else np.uint32(~key)
    return np.uint32(u).view(np.float32)


@kernel
def widen(value: Any, code: int) -> np.float32:
    """The exact float32 of a value's bits."""
    u = np.uint32(value)
    if code == FLOAT32:
        return np.uint32(u).view(np.float32)
    if code == BFLOAT16:
        return np.uint32(u << np.uint32(16)).view(np.float32)
    # sign | 5 exponent bits | 10 mantissa bits; a subnormal is a whole number of 2**-24
    body = np.uint32(u & np.uint32(0x7FFF))
    shifted = np.uint32(body << np.uint32(13))
    normal = np.uint32(shifted + np.uint32(0x38000000))
    special = np.uint32(shifted | np.uint32(0x7F800000))
    tiny = np.float32(np.float32(body) * HALF_UNIT).view(np.uint32)
    magnitude = special if body >= np.uint32(0x7C00) else (normal if body >= np.uint32(0x400) else tiny)
    return np.uint32(magnitude | np.uint32(np.uint32(u & np.uint32(0x8000)) << np.uint32(16))).view(
        np.float32
    )


@kernel
def greater(x: Any, top: Any) -> Any:
    """The maximum, NaN in `x` passed over."""
    return x if x > top else top  # noqa: FURB136


@kernel
def row_column(cell: Any, width: int) -> Any:
    return np.int64(cell) // width, np.int64(cell) % width


@kernel
def load_row(flat: Array, at: int, n: int, code: int, to: Array) -> None:
    """Widen n values that lie side by side; one loop a type, so that each becomes vector instructions."""
    own = flat[at : at + n]
    if code == FLOAT32:
        for p in range(n):
            to[p] = np.uint32(own[p]).view(np.float32)
    elif code == BFLOAT16:
        for p in range(n):
            to[p] = widen(own[p], BFLOAT16)
    else:
        for p in range(n):
            to[p] = widen(own[p], FLOAT16)


@kernel
def load_map(
    flat: Array, at: int, row: int, column: int, height: int, width: int, code: int, to: Array
) -> None:
    """Copy one map into `to`, as float32; `row` and `column` are strides."""
    if (column == 1 or width == 1) and (row == width or height == 1):
        load_row(flat, at, height * width, code, to)
        return
    for y in range(height):
        for x in range(width):
            to[index(y * width + x)] = widen(flat[index(at + y * row + x * column)], code)


@kernel
def popcount(x: np.uint64) -> np.int64:
    """Bits that are set; compilers know this pattern and use the processor's instruction."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))
