"""filter on the device (csrc/cuda/filter.cu): values above the bounds, by unit."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from fastdissect.kernels.cuda.launching import blocks, launch, on_device, scan
from fastdissect.kernels.cuda.positions import fault_of, lists_of
from fastdissect.kernels.protocol import Values
from fastdissect.types import ActivationView

__all__ = ["filter_values"]

BLOCK = 256


def filter_values(view: ActivationView, bounds: Any, omit: bool) -> Values:
    """See protocol.py. `start` and `values` are device arrays; `missing` and the fault are the host's."""
    data = on_device(view.data)
    units = data.shape[1]
    if not data.size:
        start, values = cupy.zeros(units + 1, np.int64), cupy.empty(0, data.dtype)
        return Values(start, values, np.zeros(units, np.int64), None)
    lists, kind = lists_of(data), view.kind
    layout = "units" if lists.lanes == 1 else "cells"
    bits = cupy.empty(lists.words, np.uint32)
    lengths = cupy.empty(units * lists.chunks, np.uint32)
    outcome = cupy.zeros(units + 2, np.int64)  # NaNs by unit, the first one's number, the values above
    arguments = (*lists.arguments, on_device(bounds, np.uint32), bits, lengths, outcome)
    launch("filter", f"fd_filter_count_{layout}_{kind}", lists.grid(BLOCK), BLOCK, arguments)
    starts = scan(lengths)
    start = cupy.empty(units + 1, np.int64)
    gathered = (starts, units, lists.chunks, start, outcome)
    launch("filter", "fd_filter_units", (blocks(units + 1, BLOCK),), BLOCK, gathered)
    told = outcome.get()  # the one wait: how many values to make room for, and what the host is told
    values = cupy.empty(int(told[-1]), data.dtype)
    if values.size:
        arguments = (*lists.arguments, bits, starts, values)
        launch("filter", f"fd_filter_write_{layout}_{kind}", lists.grid(BLOCK), BLOCK, arguments)
    return Values(start, values, told[:units].copy(), None if omit else fault_of(told, lists))
