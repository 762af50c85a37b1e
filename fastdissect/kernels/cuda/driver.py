"""NVIDIA's driver, asked directly: no CUDA library is needed, and CUDA is not started (a fork stays possible)."""

from __future__ import annotations

import ctypes
import functools
import os
import sys

__all__ = ["device_count", "driver_version", "hidden", "written"]

_CUDA = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_NVML = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"


@functools.cache
def driver_version() -> int | None:
    """The CUDA version that the driver is made for, as CUDA counts (13000 is 13.0); None without a driver."""
    try:
        library = ctypes.CDLL(_CUDA)
        version = ctypes.c_int()
        failed = library.cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return None if failed or not version.value else version.value  # a toolkit's stub fails


@functools.cache
def device_count() -> int | None:
    """How many GPUs the driver has, hidden ones too; None if it does not say (NVML is missing in some containers)."""
    try:
        library = ctypes.CDLL(_NVML)
        count = ctypes.c_uint()
        if library.nvmlInit_v2():
            return None
        failed = library.nvmlDeviceGetCount_v2(ctypes.byref(count))
        library.nvmlShutdown()
    except (OSError, AttributeError):
        return None
    return None if failed else count.value


def hidden() -> bool:
    """CUDA_VISIBLE_DEVICES hides every GPU: what it names up to the first -1 is nothing."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named is not None and named.split(",")[0].strip() in ("", "-1", "NoDevFiles")


def written(version: int) -> str:
    """A CUDA version as people write it.

    >>> written(12080)
    '12.8'
    """
    return f"{version // 1000}.{version % 1000 // 10}"
