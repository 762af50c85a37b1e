"""Order-preserving keys: a float as an unsigned integer of the same order.

Flip the sign bit of a positive number, all bits of a negative one; `x + 0` first, so that -0 and +0 share a
key:

     1.0  0x3F800000 -> 0xBF800000        -1.0  0xBF800000 -> 0x407FFFFF
     0.0  0x00000000 -> 0x80000000        -inf  0xFF800000 -> 0x007FFFFF

Keys below 0x007FFFFF are NaNs and never occur: key 0 means "no bound yet". 16-bit types are widened to
float32 first, which is exact and keeps their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.types import Kind

__all__ = ["LOWEST", "NO_BOUND", "ZERO", "from_keys", "keys", "widen"]

NO_BOUND = np.uint32(0)
LOWEST = np.uint32(0x007FFFFF)  # -inf
ZERO = np.uint32(0x80000000)


def widen(values: NDArray[Any], kind: Kind) -> NDArray[np.float32]:
    """Exact float32 values of float32, float16, or bfloat16 bits (uint16)."""
    if kind == "bfloat16":
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values.astype(np.float32, copy=False)


def keys(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Keys of float32 values; NaN has no key.

    >>> [hex(k) for k in keys(np.array([1, -1, 0.0, -0.0], np.float32))]
    ['0xbf800000', '0x407fffff', '0x80000000', '0x80000000']
    """
    bits = np.ascontiguousarray(values + np.float32(0)).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000)).astype(np.uint32)


def from_keys(key: NDArray[np.uint32]) -> NDArray[np.float32]:
    """The float32 values that have these keys.

    >>> from_keys(keys(np.array([1.5, -2.0, 0.0], np.float32))).tolist()
    [1.5, -2.0, 0.0]
    """
    key = np.asarray(key, np.uint32)
    bits = np.where(key >> 31, key & np.uint32(0x7FFFFFFF), ~key).astype(np.uint32)
    return bits.view(np.float32)
