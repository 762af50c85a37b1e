"""The CUDA backend for tests that hold NumPy arrays: everything goes to the device, runs there, and comes back."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from . import build

WRITTEN = (
    "bins",
    "cursor",
    "intersection",
    "unit_area",
    "mask_area",
)  # arguments that a kernel adds to, in place


@functools.cache
def has_gpu() -> bool:
    """The CUDA kernels can run on a device of this machine."""
    from fastdissect.kernels.cuda.problem import kernels_problem

    return kernels_problem() is None


def can_run() -> bool:
    """The CUDA kernels run here: on a GPU, or on the CPU by way of the shim."""
    return has_gpu() or build.can_build()


@functools.cache
def cupy_module() -> ModuleType:
    """CuPy where there is a GPU, else its stand-in."""
    return importlib.import_module("cupy" if has_gpu() else "cuda_on_host.cupy")


@contextlib.contextmanager
def as_cupy() -> Iterator[ModuleType]:
    """`import cupy` gives `cupy_module()`."""
    before, module = sys.modules.get("cupy"), cupy_module()
    sys.modules["cupy"] = module
    try:
        yield module
    finally:
        if before is None:
            del sys.modules["cupy"]
        else:
            sys.modules["cupy"] = before


@functools.cache
def cuda_backend() -> Any:
    """The CUDA backend itself: device arrays in, device arrays out."""
    with as_cupy():
        from fastdissect.kernels.cuda.backend import Cuda

        return Cuda()


def moved(value: Any, to_device: bool, memo: dict[int, Any]) -> Any:
    """Arrays to the device or back, inside tuples, lists and dataclasses too; strides stay as they are."""
    cupy = cupy_module()
    if to_device and isinstance(value, np.ndarray):
        if id(value) not in memo:
            memo[id(value)] = uploaded(value), value
        return memo[id(value)][0]
    if not to_device and isinstance(value, cupy.ndarray):
        return value.get()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(moved(v, to_device, memo) for v in value))
    if isinstance(value, tuple | list):
        return type(value)(moved(v, to_device, memo) for v in value)
    if dataclasses.is_dataclass(value) and type(value).__name__ in ("SparseActivations",):
        return dataclasses.replace(
            value,
            **{f.name: moved(getattr(value, f.name), to_device, memo) for f in dataclasses.fields(value)},
        )
    return value


def uploaded(array: np.ndarray[Any, Any]) -> Any:
    """A device array of the same strides: the whole stretch of memory behind it travels."""
    cupy = cupy_module()
    if not array.size or array.flags.c_contiguous:
        return cupy.asarray(np.ascontiguousarray(array)).reshape(array.shape)
    low, high = np.lib.array_utils.byte_bounds(array)
    start = array.__array_interface__["data"][0]
    count = (high - low) // array.itemsize
    import ctypes

    raw = (ctypes.c_char * (high - low)).from_address(low)
    flat = cupy.asarray(np.frombuffer(raw, array.dtype, count).copy())
    pointer = cupy.cuda.MemoryPointer(
        cupy.cuda.UnownedMemory(flat.data.ptr, flat.nbytes, flat, flat.device.id), start - low
    )
    return cupy.ndarray(array.shape, array.dtype, pointer, array.strides)


class Facing:
    """A backend like all others to look at; `name` is "cuda"."""

    name = "cuda"

    def __getattr__(self, method: str) -> Any:
        inner = getattr(cuda_backend(), method)

        def call(*args: Any, **kwargs: Any) -> Any:
            memo: dict[int, Any] = {}
            with as_cupy():
                result = inner(
                    *(moved(a, True, memo) for a in args),
                    **{name: moved(a, True, memo) for name, a in kwargs.items()},
                )
                result = moved(result, False, memo)
                if method in ("count", "histogram"):
                    for device, host in memo.values():
                        if host.dtype == np.int64 and host.flags.writeable:
                            host[...] = device.get()
            return result

        return call
