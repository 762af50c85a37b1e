"""Which backend runs: the one on whose side the arrays lie, the best there, or what FASTDISSECT_BACKEND names."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from typing import Any, cast

import numpy as np

from fastdissect.device_arrays import is_on_device, where
from fastdissect.errors import BackendError, SettingError, nearest
from fastdissect.kernels.cuda.problem import kernels_problem
from fastdissect.kernels.protocol import Backend, HostBackend

__all__ = [
    "available",
    "backend",
    "backend_for",
    "get_num_threads",
    "host_backend",
    "on_host",
    "set_num_threads",
]

_threads: int | None = None


@functools.cache
def available() -> tuple[str, ...]:
    """Names of the backends on this machine, best first: "cuda", "cpp-v4", "cpp-v3", "cpp-base", "numba", "reference".

    Raises:
        BackendError: as `on_host`.
    """
    return (*(("cuda",) if kernels_problem() is None else ()), *on_host())


@functools.cache
def on_host() -> tuple[str, ...]:
    """Names of the backends for NumPy arrays, best first.

    Raises:
        BackendError: a compiled core is there but does not load: that is no reason for a silent step down.
    """
    names: list[str] = []
    if importlib.util.find_spec("fastdissect._core"):
        try:
            from fastdissect.kernels import cpp
        except ImportError as error:
            raise BackendError(
                f"the compiled core is installed but does not load ({error}); reinstall fastdissect, "
                "or delete fastdissect/_core* to run on Numba"
            ) from error
        names += cpp.instruction_sets()
    if importlib.util.find_spec("numba"):
        names.append("numba")
    return (*names, "reference")


def backend(name: str | None = None) -> Backend:
    """The backend called `name`; without one, what FASTDISSECT_BACKEND says, else the best for NumPy arrays.

    Raises:
        BackendError: the name is not available here; the message lists what is, or says what CUDA lacks.
    """
    asked = name
    if name is None:
        name = os.environ.get("FASTDISSECT_BACKEND") or on_host()[0]
        asked = f"FASTDISSECT_BACKEND={name}"
    if name == "cuda":
        problem = kernels_problem()
        if problem is not None:
            raise BackendError(f"backend {asked} cannot run here: {problem}")
    elif name not in on_host():
        raise BackendError(
            f"backend {asked} is not available here; this machine offers {', '.join(available())}"
            f"{nearest(name, available())}"
        )
    found = _backend(name)
    if not name.startswith(("cpp", "cuda")) and not _keeps_denormals():
        raise BackendError(
            f"backend {name!r} cannot give exact results while denormals are flushed to zero "
            "(torch.set_flush_denormal(True)?); switch that off, or use a compiled backend"
        )
    return found


def host_backend() -> HostBackend:
    """The backend for what stays on the host: `backend()`, and the host's best under FASTDISSECT_BACKEND=cuda.

    For what has left a GPU, and for what worker processes do: CUDA does not survive a fork.

    Raises:
        BackendError: as `backend`.
    """
    name = on_host()[0] if os.environ.get("FASTDISSECT_BACKEND") == "cuda" else None
    return cast("HostBackend", backend(name))


def backend_for(array: Any) -> Backend:
    """The backend for an array where it lies: "cuda" for one on a GPU, `backend()` for one on the host.

    FASTDISSECT_BACKEND=cuda has NumPy arrays uploaded.

    Raises:
        BackendError: as `backend`; or FASTDISSECT_BACKEND names a backend of the host, and the array lies on a GPU.
    """
    if not is_on_device(array):
        return backend()
    forced = os.environ.get("FASTDISSECT_BACKEND") or "cuda"
    if forced != "cuda":
        raise BackendError(
            f"expected arrays on the host, where FASTDISSECT_BACKEND={forced} runs; got one on {where(array)}; "
            "pass the array on the CPU (tensor.cpu(), array.get()), or unset FASTDISSECT_BACKEND"
        )
    return _backend("cuda")


@functools.cache
def _backend(name: str) -> Backend:
    if name == "cuda":
        from fastdissect.kernels.cuda.backend import Cuda

        return Cuda()
    if name.startswith("cpp"):
        from fastdissect.kernels.cpp import Cpp

        return Cpp(name)
    if name == "numba":
        from fastdissect.kernels.jit import Jit

        return Jit()
    from fastdissect.kernels.reference import Reference

    return Reference()


def _keeps_denormals() -> bool:
    tiny = np.full(1, np.finfo(np.float32).smallest_subnormal, np.float32)
    return bool((tiny + tiny)[0] > 0)


def get_num_threads() -> int:
    """Threads that the kernels use: what was set, else torch's number where torch is loaded, else the cores."""
    if _threads is not None:
        return _threads
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        return int(torch.get_num_threads())
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_num_threads(n: int) -> None:
    """Use `n` threads in the kernels; results do not depend on it.

    Raises:
        SettingError: n is not a whole number above 0.
    """
    global _threads
    if type(n) is not int or n < 1:
        raise SettingError(f"expected a number of threads of 1 or more; got {n!r}")
    _threads = n
