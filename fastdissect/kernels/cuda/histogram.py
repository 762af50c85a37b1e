"""histogram on the device (csrc/cuda/histogram.cu): counts of keys by their leading or trailing bits."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels.cuda.launching import launch, on_device
from fastdissect.kernels.cuda.positions import fault_of, lists_of
from fastdissect.kernels.protocol import Fault
from fastdissect.types import ActivationView

__all__ = ["histogram"]

BLOCK = 256


def histogram(
    view: ActivationView, shift: int, prefix: Any, bins: Any, omit: bool
) -> tuple[NDArray[np.int64], Fault | None]:
    """See protocol.py. `bins` may lie on either side; the host's are counted on the device, then added to."""
    data = on_device(view.data)
    units = data.shape[1]
    if not data.size:
        return np.zeros(units, np.int64), None
    lists = lists_of(data)
    here = isinstance(bins, cupy.ndarray)
    counts = bins if here else cupy.zeros(bins.shape, np.int64)
    prefixes = 0 if prefix is None else on_device(prefix, np.uint32)
    outcome = cupy.zeros(units + 1, np.int64)  # NaNs by unit, the first one's number
    row = counts.strides[0] // 8  # bins may be some rows of a larger array
    arguments = (*lists.arguments, lists.lanes, shift, prefixes, counts, row, outcome)
    launch("histogram", f"fd_histogram_{view.kind}", lists.grid(BLOCK), BLOCK, arguments)
    told = outcome.get()  # the one wait: what the host is told
    if not here:
        bins += counts.get()
    return told[:units].copy(), None if omit else fault_of(told, lists)
