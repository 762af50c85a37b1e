"""Launching: devices, streams, and the way of arrays between host and device.

CuPy allocates, copies, clears and launches; every computation is a kernel of ours.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import cupy
import numpy as np

from fastdissect.errors import DeviceMemoryError
from fastdissect.kernels.cuda.sources import function

__all__ = [
    "beginning",
    "blocks",
    "in_stream",
    "launch",
    "on_device",
    "on_device_of",
    "scan",
    "scan_records",
    "view_arguments",
]

TILE = 1024  # of scan.cu


@contextlib.contextmanager
def on_device_of(array: Any) -> Iterator[None]:
    """Work on the array's device, in torch's current stream there (CuPy's where torch does not use CUDA).

    Raises:
        DeviceMemoryError: the device's memory does not suffice; what was allocated for the call is free again.
    """
    device = array.device.id if isinstance(array, cupy.ndarray) else cupy.cuda.Device().id
    torch = sys.modules.get("torch")
    with cupy.cuda.Device(device):
        if torch is not None and torch.cuda.is_initialized():
            stream = cupy.cuda.ExternalStream(torch.cuda.current_stream(device).cuda_stream, device)
        else:
            stream = cupy.cuda.get_current_stream()
    with in_stream(device, stream):
        yield


@contextlib.contextmanager
def in_stream(device: int, stream: Any) -> Iterator[None]:
    """Work in a stream of a device, in the order of CuPy's current stream there: after what lies in that, before what
    comes.

    So what a stream has written is there for kernels of the next one (torch's current stream changes), and what it
    reads may be freed: CuPy lends freed memory again at once, to the stream that asked for it first.

    Raises:
        DeviceMemoryError: as above.
    """
    with cupy.cuda.Device(device):
        outer = cupy.cuda.get_current_stream()
        apart = stream.ptr != outer.ptr
        if apart:
            stream.wait_event(outer.record())
        with stream:
            try:
                yield
            except cupy.cuda.memory.OutOfMemoryError as error:
                free, total = cupy.cuda.Device(device).mem_info
                raise DeviceMemoryError(
                    f"cuda:{device}: expected memory for a kernel's arrays; {error}; {free:,} of {total:,} bytes are "
                    "free; use a smaller batch, fewer layers at a time, or less for retained cells (--gpu-memory)"
                ) from error
            finally:
                if apart:
                    outer.wait_event(stream.record())


def on_device(array: Any, dtype: Any = None) -> Any:
    """The array on the current device: as it is if it lies there, else uploaded."""
    if isinstance(array, cupy.ndarray):
        return array
    return cupy.asarray(np.ascontiguousarray(array, dtype))


def beginning(array: Any, size: int) -> Any:
    """The first elements of a contiguous array as an array of its own.

    Copied as bytes: for `copy` CuPy compiles a kernel, for which it needs CUDA's headers.
    """
    own = cupy.empty(size, array.dtype)
    own.data.copy_from_device_async(array.data, own.nbytes)
    return own


def blocks(count: int, each: int) -> int:
    """How many blocks of `each` hold `count`, one at least."""
    return max(1, -(-count // each))


def launch(
    stem: str, name: str, grid: tuple[int, ...], threads: int, arguments: tuple[Any, ...], shared: int = 0
) -> None:
    """Launch kernel `name` of STEM.cu. Arguments: device arrays (their pointers) and whole numbers (int64)."""
    words = tuple(a if isinstance(a, cupy.ndarray) else np.int64(a) for a in arguments)
    function(stem, name, cupy.cuda.Device().id)(grid, (threads,), words, shared_mem=shared)


def view_arguments(data: Any) -> tuple[Any, ...]:
    """FD_VIEW_PARAMETERS of view.cuh for a strided array [images, units, height, width]."""
    return (data, *data.shape, *(s // data.itemsize for s in data.strides))


def scan(lengths: Any) -> Any:
    """Starts int64 [n + 1] of lists, from their lengths uint32 [n]; the last one is the total."""
    return _scan(lengths, None)


def scan_records(lengths: Any) -> tuple[Any, Any]:
    """(records, starts), int64 [n + 1] each: beside `scan`, how many lists before each one are not empty."""
    records = cupy.empty(lengths.size + 1, np.int64)
    return records, _scan(lengths, records)


def _scan(lengths: Any, records: Any) -> Any:
    count = lengths.size
    tiles = blocks(count, TILE)
    sums, starts = cupy.empty(2 * (tiles + 1), np.int64), cupy.empty(count + 1, np.int64)
    shared = 33 * 8
    launch("scan", "fd_scan_tiles", (tiles,), TILE, (lengths, count, sums), shared)
    launch("scan", "fd_scan_sums", (1 if records is None else 2,), TILE, (sums, tiles), shared)
    launch(
        "scan",
        "fd_scan_starts",
        (tiles,),
        TILE,
        (lengths, count, sums, starts, 0 if records is None else records),
        shared,
    )
    return starts
