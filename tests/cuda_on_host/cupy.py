"""A stand-in for CuPy on machines without a GPU: the few names that fastdissect uses, over host memory.

It is stricter than it is complete. Arrays never turn into NumPy arrays by themselves, device memory starts as
garbage, an asynchronous copy arrives when its event or stream is waited for and not before, and a kernel is given
arrays of the current device alone. `test_cuda_stand_in.py` checks that CuPy has every name used here.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import math
import os
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from . import build

DEVICES = 2
_current = [0]  # the devices that are entered; the last one is current
_arrivals: list[Callable[[], None]] = []  # copies under way
_streams: list[
    tuple[int, Stream]
] = []  # those that are entered, with their devices; a device's last is its current
waits: list[tuple[int, int]] = []  # (stream, the one that it was told to wait for), for the tests
launches: list[tuple[str, int]] = []  # (kernel, number of arguments), for the tests
limit: list[int | None] = [None]  # bytes that the devices have; None: as many as are asked for
held = [0]  # bytes of arrays that are alive
failing_at: list[Callable[[], bool]] = []  # says of an allocation whether it fails


class OutOfMemoryError(Exception):
    """cupy.cuda.memory.OutOfMemoryError."""


class _Pointer:
    def __init__(self, ptr: int) -> None:
        self.ptr = ptr

    def copy_from_device_async(self, src: _Pointer, size: int, stream: Any = None) -> None:
        ctypes.memmove(self.ptr, src.ptr, size)


class ndarray:
    """cupy.ndarray: an array in a device's memory."""

    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None) -> None:
        if memptr is None:
            self._set(_uninitialised(shape, dtype), _current[-1], None)
        else:  # a view of memory that someone else owns
            dtype = np.dtype(dtype)
            offset, size = _extent(shape, strides, dtype)
            raw = (ctypes.c_char * size).from_address(memptr.ptr + offset) if size else b""
            strides = strides if size else None
            base = np.ndarray(shape, dtype, raw, -offset if size else 0, strides)
            self._set(base, memptr.device_id, memptr)

    def _set(self, host: np.ndarray[Any, Any], device: int, owner: Any) -> None:
        self._host, self._device, self._owner = host, device, owner

    def _like(self, host: np.ndarray[Any, Any]) -> ndarray:
        made = object.__new__(ndarray)
        made._set(host, self._device, self._owner)
        return made

    @property
    def data(self) -> _Pointer:
        return _Pointer(self._host.ctypes.data)

    @property
    def device(self) -> Device:
        return Device(self._device)

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    strides = property(lambda self: self._host.strides)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    ndim = property(lambda self: self._host.ndim)
    flags = property(lambda self: self._host.flags)

    def __len__(self) -> int:
        return len(self._host)

    def __array__(self, *_a: Any, **_k: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __bool__(self) -> bool:
        raise AssertionError("the truth of a device array waits for the device: say so with get()")

    def __iter__(self) -> Any:
        raise AssertionError("iterating over a device array waits for the device: say so with get()")

    def __getitem__(self, key: Any) -> ndarray:
        for part in key if isinstance(key, tuple) else (key,):
            assert part is None or isinstance(part, slice | int | type(...)), (
                "basic slices alone: no kernel of CuPy's"
            )
        view = self._host[key]
        assert isinstance(view, np.ndarray), "one element: say so with get()"
        return self._like(view)

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> Any:
        copy = self._host.copy()
        if out is None:
            assert blocking, "an asynchronous get needs an `out`"
            _arrive()
            return copy
        assert out.shape == copy.shape, (out.shape, copy.shape)
        assert out.dtype == copy.dtype, (out.dtype, copy.dtype)
        if not blocking:
            _arrivals.append(lambda: out.__setitem__(..., copy))
            return out
        _arrive()
        out[...] = copy
        return out

    def set(self, array: np.ndarray[Any, Any], stream: Any = None) -> None:
        assert isinstance(array, np.ndarray)
        assert (array.shape, array.dtype) == (self.shape, self.dtype)
        self._host[...] = array

    def copy(self) -> ndarray:
        raise AssertionError(
            "CuPy compiles a kernel of its own to copy an array: data.copy_from_device_async"
        )

    def reshape(self, *shape: Any) -> ndarray:
        view = self._host.reshape(*shape)
        assert np.shares_memory(view, self._host) or not view.size, "this reshape copies: a kernel of CuPy's"
        return self._like(view)

    def view(self, dtype: Any) -> ndarray:
        return self._like(self._host.view(dtype))

    def transpose(self, *axes: Any) -> ndarray:
        return self._like(self._host.transpose(*axes))


def _extent(shape: Any, strides: Any, dtype: np.dtype[Any]) -> tuple[int, int]:
    """(offset of the lowest byte, bytes) that a strided array touches."""
    if not math.prod(shape):
        return 0, 0
    strides = strides or np.empty(shape, np.int8).strides
    low = sum(min(0, (n - 1) * s) for n, s in zip(shape, strides, strict=True))
    high = sum(max(0, (n - 1) * s) for n, s in zip(shape, strides, strict=True))
    return low, high - low + dtype.itemsize


def _uninitialised(shape: Any, dtype: Any) -> np.ndarray[Any, Any]:
    dtype = np.dtype(dtype)
    size = math.prod(shape if isinstance(shape, tuple | list) else (shape,)) * dtype.itemsize
    if failing_at and failing_at[-1]():
        raise OutOfMemoryError(f"out of memory allocating {size} bytes")
    if limit[0] is not None and held[0] + size > limit[0]:
        raise OutOfMemoryError(f"out of memory allocating {size} bytes")
    memory = np.full(size, 0xCD, np.uint8)  # the base of every view: it dies with the last of them
    held[0] += size
    weakref.finalize(memory, _release, size).atexit = False
    return np.ndarray(shape, dtype, memory)


def _release(size: int) -> None:
    held[0] -= size


def empty(shape: Any, dtype: Any = float) -> ndarray:
    return ndarray(shape, dtype)


def zeros(shape: Any, dtype: Any = float) -> ndarray:
    made = ndarray(shape, dtype)
    made._host[...] = 0
    return made


def asarray(array: Any) -> ndarray:
    """From host memory, or what is on the device already."""
    if isinstance(array, ndarray):
        return array
    assert isinstance(array, np.ndarray), type(array)
    made = ndarray(array.shape, array.dtype)
    made._host[...] = array
    return made


def from_dlpack(array: Any) -> ndarray:
    raise TypeError(f"the stand-in takes no DLPack: {type(array)}")


def _arrive() -> None:
    while _arrivals:
        _arrivals.pop(0)()


class Device:
    def __init__(self, device: int | None = None) -> None:
        self.id = _current[-1] if device is None else device
        assert 0 <= self.id < DEVICES

    def __enter__(self) -> Self:
        _current.append(self.id)
        return self

    def __exit__(self, *_: object) -> None:
        _current.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return self.id

    @property
    def mem_info(self) -> tuple[int, int]:
        total = limit[0] or 1 << 34
        return total - held[0], total

    @property
    def compute_capability(self) -> str:
        return "90"

    def synchronize(self) -> None:
        _arrive()


class Stream:
    def __init__(self, ptr: int = 0, device_id: int = 0) -> None:
        self.ptr, self.device_id = ptr, device_id

    def __enter__(self) -> Self:
        assert self.device_id in (-1, _current[-1]), "CuPy refuses a stream of another device"
        _streams.append((_current[-1], self))
        return self

    def __exit__(self, *_: object) -> None:
        _streams.pop()

    def synchronize(self) -> None:
        _arrive()

    def record(self, event: Any = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        waits.append((self.ptr, event.stream.ptr))


class Event:
    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self._recorded = False

    def record(self, stream: Any = None) -> None:
        self._recorded, self.stream = True, stream or get_current_stream()

    def synchronize(self) -> None:
        assert self._recorded
        _arrive()


class UnownedMemory:
    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        self.ptr, self.size, self.owner = ptr, size, owner
        self.device_id = _current[-1] if device_id < 0 else device_id


class MemoryPointer:
    def __init__(self, mem: Any, offset: int) -> None:
        self.mem, self.ptr, self.device_id = mem, mem.ptr + offset, mem.device_id


class _Function:
    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self.name, self.address = name, ctypes.cast(getattr(library, name), ctypes.c_void_p)
        self.launch = library.fd_shim_launch
        self.parameters, self.pointers = (ctypes.c_uint64 * 2).in_dll(library, f"fd_parameters_of_{name}")

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0) -> None:
        grid = (*grid, 1, 1)[:3]
        (threads,) = block
        assert all(type(n) is int and n > 0 for n in (*grid, threads)), (grid, block)
        assert threads <= 1024
        assert grid[0] < 2**31
        assert max(grid[1:]) <= 65535, f"CUDA's limit of a grid's second and third side: {grid}"
        assert shared_mem <= 48 * 1024, f"more shared memory than a block gets without asking: {shared_mem}"
        assert len(args) == self.parameters, (
            f"{self.name} has {self.parameters} parameters; launched with {len(args)}"
        )
        words = []
        for i, arg in enumerate(args):
            pointer = self.pointers >> i & 1
            if isinstance(arg, ndarray):
                assert pointer, f"{self.name}: parameter {i} is a number; launched with an array"
                assert arg._device == _current[-1], f"{self.name}: an array of another device"
                words.append(arg.data.ptr)
            else:
                assert type(arg) is np.int64, (
                    f"{self.name}: kernels take pointers and int64_t; got {type(arg)}"
                )
                assert not (pointer and arg), f"{self.name}: parameter {i} is a pointer; launched with {arg}"
                words.append(int(arg) & (2**64 - 1))
        launches.append((self.name, len(words)))
        strides = [s for s in (1, threads - 1, 7, 13) if math.gcd(s, threads) == 1]
        stride = strides[len(launches) % len(strides)]
        failure = ctypes.create_string_buffer(256)
        failed = self.launch(
            self.address,
            (ctypes.c_uint64 * 3)(*grid),
            ctypes.c_uint64(threads),
            ctypes.c_uint64(shared_mem),
            (ctypes.c_uint64 * max(1, len(words)))(*words),
            len(words),
            ctypes.c_uint64(stride),
            failure,
        )
        if failed:
            raise RuntimeError(f"{self.name}: {failure.value.decode()}")


class RawModule:
    def __init__(self, *, path: str | None = None, options: tuple[str, ...] = ()) -> None:
        assert path is not None, (
            "CuPy's RawModule(code=...) flushes denormals: compiling.py calls NVRTC itself"
        )
        assert not options, "they have no meaning for compiled code"
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:  # CuPy's CUDADriverError is a RuntimeError
            raise RuntimeError(f"CUDA_ERROR_INVALID_IMAGE: {error}") from error

    def get_function(self, name: str) -> _Function:
        try:
            return _Function(self._library, name)
        except AttributeError as error:
            raise RuntimeError(f"CUDA_ERROR_NOT_FOUND: {error}") from error


class PinnedMemoryPointer(bytearray):
    pass


def alloc_pinned_memory(size: int) -> Any:
    return PinnedMemoryPointer(b"\xcd" * (size // 512 + 1) * 512)  # rounded up as CuPy's pool does


def get_current_stream(device_id: int = -1) -> Stream:
    device = _current[-1] if device_id < 0 else device_id
    return next((stream for own, stream in reversed(_streams) if own == device), Stream(0, -1))


class _Nvrtc:
    """g++ in NVRTC's place: source in, shared object out."""

    class NVRTCError(RuntimeError):
        pass

    def __init__(self) -> None:
        self._programs: dict[int, list[Any]] = {}  # number -> [source, shared object, log]

    @staticmethod
    def getVersion() -> tuple[int, int]:
        return 0, build.shim_version()  # what lies in the cache is of this very shim

    @staticmethod
    def getSupportedArchs() -> tuple[int, ...]:
        return 75, 80, 90

    def createProgram(self, src: str, name: str, headers: Any, include_names: Any) -> int:
        assert len(headers) == len(include_names) == 0
        number = max(self._programs, default=0) + 1
        self._programs[number] = [src, None, ""]
        return number

    def compileProgram(self, prog: int, options: tuple[str, ...]) -> None:
        program = self._programs[prog]
        include = tuple(o.removeprefix("-I") for o in options if o.startswith("-I"))
        try:
            program[1] = build.built(program[0], include)
        except RuntimeError as error:
            program[2] = str(error)
            raise self.NVRTCError("NVRTC_ERROR_COMPILATION (6)") from error

    def getProgramLog(self, prog: int) -> str:
        return str(self._programs[prog][2])

    def getCUBIN(self, prog: int) -> bytes:
        return bytes(self._programs[prog][1].read_bytes())

    getPTX = getCUBIN

    def destroyProgram(self, prog: int) -> None:
        del self._programs[prog]


class _Runtime:
    CUDARuntimeError = RuntimeError

    @staticmethod
    def getDeviceCount() -> int:
        return DEVICES

    @staticmethod
    def driverGetVersion() -> int:
        return 0  # older than every fatbin: sources alone run here

    @staticmethod
    def runtimeGetVersion() -> int:
        return 13000


class _MemoryModule:
    OutOfMemoryError = OutOfMemoryError


class _Pool:
    def free_all_blocks(self) -> None:
        pass


class cuda:
    Device, Stream, ExternalStream, Event = Device, Stream, Stream, Event
    UnownedMemory, MemoryPointer = UnownedMemory, MemoryPointer
    runtime, memory, nvrtc = _Runtime, _MemoryModule, _Nvrtc()
    alloc_pinned_memory = staticmethod(alloc_pinned_memory)
    get_current_stream = staticmethod(get_current_stream)


def get_default_memory_pool() -> _Pool:
    return _Pool()


os.environ.setdefault(
    "CUPY_CACHE_DIR", str(build.folder() / "cache")
)  # what is compiled here stays out of the user's
RawModule.__module__ = ndarray.__module__ = "cupy"


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
    """Let the devices have `size` bytes more than is held now."""
    limit[0] = held[0] + size
    try:
        yield
    finally:
        limit[0] = None


@contextlib.contextmanager
def failing(first: int, count: int | None) -> Iterator[list[int]]:
    """Let `count` allocations fail (None: all), after `first` that do not; gives their numbers."""
    made, failures = itertools.count(), []

    def fails() -> bool:
        number = next(made)
        if number < first or (count is not None and number >= first + count):
            return False
        failures.append(number)
        return True

    failing_at.append(fails)
    try:
        yield failures
    finally:
        failing_at.pop()
