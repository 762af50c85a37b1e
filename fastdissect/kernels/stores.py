"""Retained cells and counters on either side: in host memory, or on the GPU that their kernels run on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastdissect.device_arrays import is_on_device, to_host
from fastdissect.errors import DeviceMemoryError
from fastdissect.kernels.protocol import Backend, DeviceBackend, Sifted
from fastdissect.kernels.selection import backend, backend_for, get_num_threads, host_backend
from fastdissect.kernels.unit_blocks import joined_units
from fastdissect.kernels.views import BlockedView, CodesView, View
from fastdissect.types import SparseActivations

__all__ = [
    "begin_sift",
    "beside",
    "cells_beside",
    "cells_on_host",
    "copied",
    "free_memory",
    "value_starts",
    "where_it_fits",
    "with_room",
    "zeros_beside",
]

Result = TypeVar("Result")


class Leaving(Protocol):
    """A store that can leave the GPU."""

    left_device: bool

    def leave_device(self) -> None:
        """Bring everything to host memory, for good."""


def with_room(store: Leaving, work: Callable[[], Result]) -> Result:
    """Work that needs a GPU's memory: once more after the store has left it. The work can be done twice."""
    try:
        return work()
    except DeviceMemoryError:
        if store.left_device:
            raise
    store.leave_device()
    return work()


def where_it_fits(store: Leaving, array: Any, work: Callable[[Backend, int], Result]) -> Result:
    """Work on what a store holds, where `array`, one of its own, lies (None: it holds nothing); in host memory once the
    GPU's does not suffice."""
    if not store.left_device:
        own = backend() if array is None else backend_for(array)
        try:
            return work(own, get_num_threads())
        except DeviceMemoryError:
            store.leave_device()
    return work(host_backend(), get_num_threads())


def value_starts(cells: SparseActivations) -> Any:
    """Where each unit's cells begin, int64 [units + 1], on the side of the cells."""
    if is_on_device(cells.values):
        return _device_backend(cells.values).starts(cells)
    return cells.cell_start[cells.unit_start]


def begin_sift(view: View, bounds: Any, reach: int, ring: bool, omit: bool) -> Callable[[], Sifted]:
    """Start to sift; calling the result gives what `Backend.sift` gives.

    On a GPU nothing waits before that call: the view has been read by then, whatever the stream does later. Codes, and
    maps made block by block, are sifted at once, and what is kept of them lies on the host.
    """
    if not isinstance(view, tuple):
        sifted = _sift_at_once(view, to_host(bounds), reach, ring, omit)
        return lambda: sifted
    if is_on_device(view.data):
        kernels = _device_backend(view.data)
        return kernels.begin_sift(view, bounds, reach, ring, omit, get_num_threads()).settle
    sifted = backend_for(view.data).sift(view, to_host(bounds), reach, ring, omit, get_num_threads())
    return lambda: sifted


def _sift_at_once(
    view: CodesView | BlockedView, bounds: NDArray[np.uint32], reach: int, ring: bool, omit: bool
) -> Sifted:
    if isinstance(view, CodesView):
        return host_backend().sift_codes(view, bounds, reach, ring, omit, get_num_threads())
    parts = []
    for first, last, block in view.blocks():
        part = begin_sift(block, bounds[first:last], reach, ring, omit)()
        parts.append(part._replace(cells=cells_on_host(part.cells)))
    return joined_units(parts)


def cells_on_host(cells: SparseActivations) -> SparseActivations:
    """The same cells in host memory; waits for the device."""
    return _moved(cells, to_host)


def cells_beside(cells: SparseActivations, array: Any) -> SparseActivations:
    """The same cells on the side of `array`: uploaded to its device where they are not there yet."""
    return _moved(cells, lambda own: beside(own, array))


def _device_backend(array: Any) -> DeviceBackend:
    return cast(DeviceBackend, backend_for(array))


def _moved(cells: SparseActivations, move: Callable[[Any], Any]) -> SparseActivations:
    arrays = (cells.unit_start, cells.images, cells.cell_start, cells.cells, cells.values)
    moved = [move(a) for a in arrays]
    if all(new is old for new, old in zip(moved, arrays, strict=True)):
        return cells
    names = ("unit_start", "images", "cell_start", "cells", "values")
    return dataclasses.replace(cells, **dict(zip(names, moved, strict=True)))


def beside(own: Any, array: Any) -> Any:
    """`own` on the side of `array`, copied only where it is not there."""
    if not is_on_device(array):
        return to_host(own)
    if is_on_device(own) and own.device == array.device:
        return own
    return _device_backend(array).upload(to_host(own), array)


def free_memory(array: Any) -> int:
    """Bytes that are free on the device that an array lies on."""
    return int(array.device.mem_info[0])


def copied(array: Any) -> Any:
    """A small array's copy on its side; from a GPU it comes by way of the host (CuPy would compile a kernel)."""
    return beside(to_host(array).copy(), array)


def zeros_beside(shape: tuple[int, ...], dtype: DTypeLike, array: Any) -> Any:
    """Zeros on the side of `array`."""
    if is_on_device(array):
        return _device_backend(array).zeros(shape, dtype, array)
    zeros: NDArray[Any] = np.zeros(shape, dtype)
    return zeros
