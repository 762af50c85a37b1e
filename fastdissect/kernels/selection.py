"""Which backend runs: the best that this machine offers, or the one that FASTDISSECT_BACKEND names."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys

import numpy as np

from fastdissect.errors import BackendError, SettingError, nearest
from fastdissect.kernels.protocol import Backend

__all__ = ["available", "backend", "get_num_threads", "set_num_threads"]

_threads: int | None = None


@functools.cache
def available() -> tuple[str, ...]:
    """Names of the backends on this machine, best first: "cpp-v4", "cpp-v3", "cpp-base", "numba", "reference".

    A compiled core that is there but does not load is an error, not a silent step down.
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
    """The backend called `name`; without one, what FASTDISSECT_BACKEND says, else the best available.

    Raises:
        BackendError: the name is not available here; the message lists what is.
    """
    if name is None:
        name = os.environ.get("FASTDISSECT_BACKEND") or available()[0]
        if name not in available():
            raise _unavailable(name, f"FASTDISSECT_BACKEND={name}")
    found = _backend(name)
    if not name.startswith("cpp") and not _keeps_denormals():
        raise BackendError(
            f"backend {name!r} cannot give exact results while denormals are flushed to zero "
            "(torch.set_flush_denormal(True)?); switch that off, or use a compiled backend"
        )
    return found


@functools.cache
def _backend(name: str) -> Backend:
    if name not in available():
        raise _unavailable(name, name)
    if name.startswith("cpp"):
        from fastdissect.kernels.cpp import Cpp

        return Cpp(name)
    if name == "numba":
        from fastdissect.kernels.jit import Jit

        return Jit()
    from fastdissect.kernels.reference import Reference

    return Reference()


def _unavailable(name: str, asked: str) -> BackendError:
    offered = ", ".join(available())
    return BackendError(
        f"backend {asked} is not available here; this machine offers {offered}{nearest(name, available())}"
    )


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
