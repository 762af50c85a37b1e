"""Arrays in a GPU's memory: seen in place as CuPy arrays, whichever library holds them.

A device array is a `cupy.ndarray`; only its own methods are used here, and CuPy is imported only when an array of
another library lies on a GPU.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import ActivationError

__all__ = ["foreign_to_device", "is_on_device", "to_host", "torch_to_device", "where"]

CUDA = (2, 13)  # DLPack's device types: memory of a CUDA device, managed CUDA memory


def is_on_device(array: Any) -> bool:
    """True for a CuPy array."""
    return type(array).__module__.partition(".")[0] == "cupy"


def where(array: Any) -> str:
    """Where an array lies, for messages and comparisons: "cpu", "cuda:0", ...

    >>> where(np.zeros(3))
    'cpu'
    """
    return f"cuda:{array.device.id}" if is_on_device(array) else "cpu"


def to_host(array: Any) -> NDArray[Any]:
    """The array as a NumPy array: itself if it is one; from a device a copy, which waits for the kernels before it.

    It is made in CuPy's current stream, which the streams of the kernels are joined to.
    """
    if not is_on_device(array):
        own: NDArray[Any] = array
        return own
    host: NDArray[Any] = array.get() if array.flags.c_contiguous else _stretch(array)
    return host


def _stretch(array: Any) -> NDArray[Any]:
    """A copy of a strided array, by way of the whole stretch of memory behind it: CuPy would compile a kernel of its
    own to gather it."""
    cupy = sys.modules["cupy"]
    if not array.size:
        return np.empty(array.shape, array.dtype)
    ends = [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
    low, high = sum(min(0, end) for end in ends), sum(max(0, end) for end in ends) + array.dtype.itemsize
    memory = cupy.cuda.UnownedMemory(array.data.ptr + low, high - low, array, array.device.id)
    stretch = cupy.ndarray((high - low,), np.uint8, cupy.cuda.MemoryPointer(memory, 0)).get()
    return np.ascontiguousarray(np.ndarray(array.shape, array.dtype, stretch, -low, array.strides))


def _cupy(what: str) -> Any:
    try:
        import cupy
    except ImportError as error:
        torch = sys.modules.get("torch")
        version = str(getattr(getattr(torch, "version", None), "cuda", None) or "13")
        raise ActivationError(
            f"expected CuPy, through which the CUDA kernels read {what} in place; it is not to be had here ({error}); "
            f'pip install "fastdissect[cuda{version.partition(".")[0]}]", or pass the array on the CPU (tensor.cpu())'
        ) from error
    return cupy


def torch_to_device(tensor: Any) -> Any:
    """A CUDA tensor (any strides, float32, float16; bfloat16 and others by their bits) as a CuPy array, in place.

    The array keeps the tensor alive.
    """
    cupy = _cupy(f"a tensor on {tensor.device}")
    torch = sys.modules["torch"]
    dtypes = {
        torch.float32: np.float32,
        torch.float16: np.float16,
        torch.bfloat16: np.uint16,
        torch.int32: np.int32,
    }
    dtype = np.dtype(dtypes[tensor.dtype])
    last = (
        sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True)) if tensor.numel() else -1
    )
    memory = cupy.cuda.UnownedMemory(
        tensor.data_ptr(), (last + 1) * dtype.itemsize, tensor, tensor.device.index
    )
    strides = tuple(s * dtype.itemsize for s in tensor.stride())
    return cupy.ndarray(tuple(tensor.shape), dtype, cupy.cuda.MemoryPointer(memory, 0), strides=strides)


def foreign_to_device(array: Any) -> Any | None:
    """An array of any library that lies on a GPU as a CuPy array, in place; None if it does not say that it does.

    By DLPack (jax, ...) or `__cuda_array_interface__` (Numba's device arrays, ...).
    """
    if hasattr(array, "__dlpack_device__") and array.__dlpack_device__()[0] in CUDA:
        cupy = _cupy(f"a {type(array).__name__}")
        try:
            return cupy.from_dlpack(array)
        except (BufferError, TypeError, ValueError, RuntimeError) as error:
            raise ActivationError(
                f"expected an array that CuPy reads by DLPack; got a {type(array).__name__} that it does not "
                f"({error}); pass a CuPy array or a torch tensor"
            ) from error
    if getattr(array, "__cuda_array_interface__", None) is not None:
        return _cupy(f"a {type(array).__name__}").asarray(array)
    return None
