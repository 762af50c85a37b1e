"""`fastdissect doctor`: what this machine offers, and what is wrong with it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.text import Text

from fastdissect.cli.layers import memory
from fastdissect.cli.options import Traceback, Verbose
from fastdissect.cli.terminal import error_line, output, plain
from fastdissect.errors import BackendError, FastdissectError

__all__ = ["doctor"]

_MODELS = ("torchvision", "timm", "transformers")


def doctor(verbose: Verbose = 0, traceback: Traceback = False) -> None:
    """Look at this machine: versions, kernels, devices, libraries, cache. The exit code is 0 if it can dissect.

    \b
    Example:
      fastdissect doctor
    """
    del verbose, traceback
    import fastdissect

    _row("fastdissect", f"{fastdissect.__version__}, in {Path(fastdissect.__file__).parent}")
    _row("python", f"{platform.python_version()}, {platform.platform()}")
    for name in ("numpy", "torch", "numba", "pandas"):
        _row(name, _version(name))
    try:
        _kernels()
    except FastdissectError as error:
        error_line(error)
        raise typer.Exit(1) from error
    _devices()
    for library in _MODELS:
        _row(library, _library(library))
    _cuda()
    _cache()
    output().print("This machine can dissect.", style="green")


def _row(name: str, text: str) -> None:
    output().print(Text.assemble((f"{name:<14}", "bold"), plain(text)), soft_wrap=True)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _kernels() -> None:
    """Say which backend runs and why, and try it on a count whose result is known.

    Raises:
        FastdissectError: the backend that was asked for is not there, or it counts wrongly.
    """
    import numpy as np

    import fastdissect
    from fastdissect.kernels import available, backend, get_num_threads

    names = available()
    _row("backends", f"{', '.join(names)} (best first)")
    asked = os.environ.get("FASTDISSECT_BACKEND")
    why = "FASTDISSECT_BACKEND asks for it" if asked else "the best of this machine"
    if not any(name.startswith("cpp") for name in names):
        why += "; there is no compiled core: install with a C++17 compiler for more speed"
    _row("selected", f"{backend().name}: {why}")
    _row("threads", f"{get_num_threads()} for the kernels, of {os.cpu_count()} cores")
    activations = np.zeros((1, 1, 4, 4), np.float32)
    activations[0, 0, 1, 2] = 1
    labels = np.zeros((1, 4, 4), np.int64)
    labels[0, 1:3, 2] = 1
    counts = fastdissect.count_intersections(activations, np.zeros(1, np.float32), labels, size=(4, 4))
    if counts.intersection.tolist() != [[1]] or counts.mask_area.tolist() != [1]:
        raise BackendError(
            f"backend {backend().name} counts wrongly here; reinstall, or choose another with FASTDISSECT_BACKEND"
        )
    _row("self-test", "a count with a known result is right")


def _devices() -> None:
    import torch

    from fastdissect.planning import available_memory

    devices = [f"cpu ({torch.get_num_threads()} threads)"]
    devices += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    _row("torch devices", ", ".join(devices))
    _row("memory", f"{memory(available_memory())} for retained activations, if --memory says nothing")


def _library(name: str) -> str:
    from fastdissect.models.libraries import library_problem

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library's own notices of what will change
        problem = library_problem(name)
    return problem or str(getattr(sys.modules[name], "__version__", "installed"))


def _cuda() -> None:
    """The way from the driver to a kernel, and the command that mends the first thing that is missing."""
    from fastdissect.kernels.cuda.driver import driver_version, written
    from fastdissect.kernels.cuda.problem import cuda_problem

    version = driver_version()
    _row("cupy", _cupy())
    if version is None:
        _row("cuda", "no NVIDIA driver here; everything runs on the CPU")
        return
    _row("nvrtc", _nvrtc())
    _row("cuda driver", f"for CUDA {written(version)}")
    try:
        for number, device in enumerate(_gpus(version)):
            _row("", f"cuda:{number} {device}")
    except Exception as error:  # noqa: BLE001 - whatever CUDA and its libraries raise; the next row says what to do
        _row("", f"no GPU can be asked: {error}")
    problem = cuda_problem()
    _row("cuda", f"not used: {problem}" if problem else "kernels run on these GPUs (device='cuda' or 'auto')")


def _gpus(driver: int) -> Iterator[str]:
    """Name, memory and capability of each GPU, and which compiled form of the kernels it runs."""
    import cupy

    from fastdissect.kernels.cuda.sources import fatbin_problem, origin

    for number in range(cupy.cuda.runtime.getDeviceCount()):
        found = cupy.cuda.runtime.getDeviceProperties(number)
        capability = f"{found['major']}{found['minor']}"
        try:
            made = "kernels compiled by nvcc beforehand (fatbin)"
            if origin(driver, capability) == "jit":
                why = fatbin_problem(driver, capability) or "FASTDISSECT_CUDA asks for it"
                made = f"kernels compiled by NVRTC at first use (jit): of fatbins, {why}"
        except BackendError as error:
            made = str(error)
        yield (
            f"{found['name'].decode()}, {memory(found['totalGlobalMem'])}, "
            f"compute capability {found['major']}.{found['minor']}; {made}"
        )


def _cupy() -> str:
    if importlib.util.find_spec("cupy") is None:
        return 'not installed; only kernels on NVIDIA\'s GPUs would use it: pip install "fastdissect[cuda13]" (or cuda12)'
    from fastdissect.kernels.cuda.driver import written
    from fastdissect.kernels.cuda.problem import cupy_packages

    try:
        found = importlib.import_module("cupy")
        runtime = written(found.cuda.runtime.runtimeGetVersion())
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything
        return f"installed but fails: {error}"
    return f"{found.__version__} for CUDA {runtime} ({', '.join(cupy_packages()) or 'not from a package'})"


def _nvrtc() -> str:
    try:
        return ".".join(map(str, importlib.import_module("cupy").cuda.nvrtc.getVersion()))
    except Exception as error:  # noqa: BLE001 - whatever the loader of libraries raises
        return f"not to be had: {error}"


def _cache() -> None:
    from fastdissect.caching import cache_folder

    folder = cache_folder()
    if not folder.is_dir():
        _row("cache", f"{folder} (not there yet)")
        return
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    note = "" if os.access(folder, os.W_OK) else "; cannot be written: set FASTDISSECT_CACHE"
    _row("cache", f"{folder}: {memory(sum(sizes))} in {len(sizes)} files{note}")
