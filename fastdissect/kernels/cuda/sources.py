"""Where the kernels' sources lie, which compiled form of them runs, and a kernel by its name.

    fatbin   compiled by nvcc when the package was built, for all targets; used if it was made from these very
             sources, with these options, by a CUDA that is no newer than the driver
    jit      compiled by NVRTC at the first use, for the GPU at hand (compiling.py)

FASTDISSECT_CUDA=jit or =fatbin forces one of the two, loudly.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
from pathlib import Path
from typing import Any, Literal, cast

from fastdissect.errors import BackendError

__all__ = ["OPTIONS", "digest", "fatbin_problem", "folder", "function", "image", "origin", "origin_on"]

# Every operation rounded by itself, denormals kept: equal bits rest on it. CMakeLists.txt reads this line for nvcc.
OPTIONS = ("--std=c++17", "-fmad=false", "-ftz=false", "-prec-div=true")

Origin = Literal["fatbin", "jit"]


@functools.cache
def folder() -> Path:
    """The folder of the .cu and .cuh files."""
    package = Path(__file__).parents[2]
    installed = package / "csrc" / "cuda"
    return installed if installed.is_dir() else package.parent / "csrc" / "cuda"


@functools.cache
def digest() -> str:
    """One number for all sources, as CMakeLists.txt computes it for those that it compiles."""
    files = sorted((*folder().glob("*.cu"), *folder().glob("*.cuh")), key=lambda path: path.name)
    lines = (f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _images() -> Path:
    """Where the build put the fatbins: beside the compiled core, which an editable install has elsewhere; else beside
    the sources."""
    core = importlib.util.find_spec("fastdissect._core")
    if core is None or core.origin is None:
        return folder()
    return Path(core.origin).parent / "csrc" / "cuda"


@functools.cache
def manifest() -> dict[str, Any] | None:
    """What the build says of its fatbins: `cuda`, `targets`, `options`, `sources`; None where it made none."""
    images = _images()
    if not (images / "manifest.json").is_file():
        return None
    return cast("dict[str, Any]", json.loads((images / "manifest.json").read_text(encoding="utf-8")))


def fatbin_problem(driver: int, capability: str | None = None) -> str | None:
    """Why the fatbins cannot be used; None if they can.

    Args:
        driver: the CUDA version that the driver is made for, as CUDA counts: 12080 is 12.8.
        capability: the GPU's compute capability, "90" for 9.0; None: not asked about.
    """
    said = manifest()
    if said is None:
        return "this installation has none (it was built without nvcc)"
    if said["sources"] != digest():
        return "they were made from other sources; install fastdissect again"
    if said["options"] != list(OPTIONS):
        return f"they were made with other options ({' '.join(said['options'])}); install fastdissect again"
    major, minor = (int(part) for part in said["cuda"].split("."))
    if 1000 * major + 10 * minor > driver:
        return f"they were made by CUDA {said['cuda']}, and the driver is for CUDA {driver // 1000}.{driver % 1000 // 10}"
    oldest = min(said["targets"])
    if capability is not None and int(capability) < oldest:
        return f"they hold code from compute capability {oldest / 10} on, and this GPU has {int(capability) / 10}"
    return None


def origin(driver: int, capability: str | None = None) -> Origin:
    """Which compiled form runs: "fatbin" or "jit" (see the top of this file; arguments as for fatbin_problem).

    Raises:
        BackendError: FASTDISSECT_CUDA says something else, or "fatbin" where there is no fitting one.
    """
    asked = os.environ.get("FASTDISSECT_CUDA", "")
    if asked not in ("", "jit", "fatbin"):
        raise BackendError(f"expected FASTDISSECT_CUDA=jit or =fatbin, or none; got {asked!r}")
    if asked == "jit":
        return "jit"
    problem = fatbin_problem(driver, capability)
    if asked and problem:
        raise BackendError(
            f"FASTDISSECT_CUDA=fatbin asks for kernels compiled by nvcc, but {problem}; "
            "unset it, and NVRTC compiles them at the first use"
        )
    return "jit" if problem else "fatbin"


def origin_on(device: int) -> Origin:
    """`origin` for a device of this machine."""
    import cupy

    capability = cupy.cuda.Device(device).compute_capability
    return origin(cupy.cuda.runtime.driverGetVersion(), capability)


@functools.cache
def image(stem: str, device: int) -> Path:
    """The file with the compiled kernels of STEM.cu for a device, which must be the current one.

    Raises:
        BackendError: see `origin` and `compiling.compiled`.
    """
    if origin_on(device) == "fatbin":
        return _images() / f"{stem}.fatbin"
    import cupy

    from fastdissect.kernels.cuda.compiling import compiled

    return compiled(stem, cupy.cuda.Device(device).compute_capability)


@functools.cache
def function(stem: str, name: str, device: int) -> Any:
    """Kernel `name` of csrc/cuda/STEM.cu on a device, which must be the current one.

    Raises:
        BackendError: it cannot be compiled or loaded; the message has the log and the way out.
    """
    import cupy

    path = image(stem, device)
    try:
        return cupy.RawModule(path=str(path)).get_function(name)
    except RuntimeError as error:  # CuPy's CUDADriverError is one
        from fastdissect.kernels.cuda.compiling import WAY_OUT

        raise BackendError(
            f"kernel {name} does not load from {path} on device {device}: {error}; "
            f"if that file is damaged, delete it; {WAY_OUT}"
        ) from error
