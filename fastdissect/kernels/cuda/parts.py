"""Values in parts, as the kernels take them: a table of addresses on the device (csrc/cuda/parts.cuh)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastdissect.kernels.cuda.launching import on_device

__all__ = ["Parts", "parts_of"]


class Parts(NamedTuple):
    arguments: tuple[Any, ...]  # FD_PARTS_PARAMETERS
    total: int  # values of all units
    kept: list[Any]  # arrays that must live until the launch


def parts_of(starts: Sequence[Any], values: Sequence[Any]) -> Parts:
    """Part i holds values[i][starts[i][k] : starts[i][k + 1]] of unit k; arrays of either side, one upload of addresses."""
    kept = [on_device(s, np.int64) for s in starts] + [on_device(v) for v in values]
    table = on_device(np.array([a.data.ptr for a in kept], np.uint64))
    return Parts((table, len(values)), sum(int(v.size) for v in values), [*kept, table])
