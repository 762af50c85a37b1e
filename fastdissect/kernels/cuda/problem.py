"""Why the CUDA kernels cannot run here: the first cause in the order in which things stand on each other, and the
command that mends it.

    driver -> GPU -> (torch with CUDA, which sees the GPU) -> CuPy, once, for the same CUDA -> fatbins or NVRTC

CuPy is imported only where a driver, a GPU and a CuPy package are found, and torch only for `cuda_problem`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from fastdissect.errors import BackendError
from fastdissect.kernels.cuda.driver import device_count, driver_version, hidden, written

__all__ = ["cuda_problem", "cupy_packages", "kernels_problem", "torch_cuda"]


@functools.cache
def kernels_problem() -> str | None:
    """Why the CUDA kernels cannot run on device arrays here; None if they can. torch is not asked."""
    return _first(_no_driver, _no_device, *_CUPY)


@functools.cache
def cuda_problem() -> str | None:
    """Why `device="cuda"` cannot be had here, torch and the kernels together; None if it can."""
    return _first(
        _no_driver, _no_device, _torch_without_cuda, _torch_sees_none, *_CUPY[:2], _other_cuda, *_CUPY[2:]
    )


def _first(*checks: Callable[[], str | None]) -> str | None:
    return next((found for check in checks if (found := check()) is not None), None)


def _no_driver() -> str | None:
    if driver_version() is not None:
        return None
    return (
        "there is no NVIDIA driver here; if this machine has an NVIDIA GPU, install its driver "
        "(https://www.nvidia.com/drivers), until `nvidia-smi` lists it"
    )


def _no_device() -> str | None:
    if hidden():
        return "CUDA_VISIBLE_DEVICES hides every GPU: unset CUDA_VISIBLE_DEVICES"
    if device_count() == 0:
        return "the NVIDIA driver finds no GPU: `nvidia-smi -L` lists what it finds (a container needs `--gpus all`)"
    return None


def torch_cuda() -> str | None:
    """The CUDA version of the torch that is installed, "12.8"; "" for a build without CUDA; None without torch.

    torch is not imported: its version.py stands by itself.
    """
    loaded = sys.modules.get("torch")
    if loaded is not None:
        return str(loaded.version.cuda or "")
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).with_name("version.py")
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return found[1] if found else ""


def _torch_without_cuda() -> str | None:
    if torch_cuda() != "":
        return None
    index = "cu130" if (driver_version() or 0) >= 13000 else "cu126"
    return (
        "the torch installed here is a build without CUDA: "
        f"pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/{index}"
    )


def _torch_sees_none() -> str | None:
    if torch_cuda() is None:
        return None
    import torch

    with warnings.catch_warnings(record=True) as said:  # torch warns of a driver that is too old for it
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return None
    why = f" ({' '.join(str(said[-1].message).split())})" if said else ""
    return (
        f"torch {torch.__version__} for CUDA {torch.version.cuda} sees no GPU{why}: "
        "`python -c 'import torch; torch.cuda.init()'` says why; a newer driver or a torch for an older CUDA mends it"
    )


def cupy_packages() -> tuple[str, ...]:
    """The packages installed here that bring CuPy, by name: ("cupy-cuda12x",)."""
    named = {str(found.metadata["Name"]).lower() for found in importlib.metadata.distributions()}
    return tuple(sorted(name for name in named if re.fullmatch(r"cupy(-cuda\d+x?|-rocm-.*)?", name)))


def _install() -> str:
    """The command that installs the right CuPy: for torch's CUDA, or else the driver's."""
    major = int((torch_cuda() or "0").partition(".")[0]) or (driver_version() or 0) // 1000
    return f'pip install "fastdissect[cuda{12 if major < 13 else 13}]"'


def _instead() -> str:
    return f"pip uninstall -y {' '.join(cupy_packages())} && {_install()}"


def _major() -> int | None:
    """CUDA's major version that the CuPy package is for; None if its name does not say."""
    found = re.match(r"cupy-cuda(\d\d)", " ".join(cupy_packages()))
    return int(found[1]) if found else None


def _no_cupy() -> str | None:
    if importlib.util.find_spec("cupy") is not None:
        return None
    return f"CuPy is not installed: {_install()}"


def _two_cupys() -> str | None:
    packages = cupy_packages()
    if len(packages) < 2:
        return None
    return f"{' and '.join(packages)} are installed, and either may be loaded: {_instead()}"


def _other_cuda() -> str | None:
    torchs, major = torch_cuda(), _major()
    if not torchs or major is None or major == int(torchs.partition(".")[0]):
        return None
    return f"{cupy_packages()[0]} is for another CUDA than torch, which is for {torchs}: {_instead()}"


def _old_driver() -> str | None:
    driver, major = driver_version() or 0, _major()
    if major is None or driver // 1000 >= major:
        return None
    remedy = "install a newer driver (https://www.nvidia.com/drivers)"
    torchs = torch_cuda()
    if driver // 1000 == 12 and (not torchs or torchs.startswith("12.")):
        remedy = (
            f'pip uninstall -y {" ".join(cupy_packages())} && pip install "fastdissect[cuda12]", or {remedy}'
        )
    return f"the driver is for CUDA {written(driver)}, too old for {cupy_packages()[0]}: {remedy}"


def _broken_cupy() -> str | None:
    try:
        cupy = importlib.import_module("cupy")
        needed = int(cupy.cuda.runtime.runtimeGetVersion())
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything
        return f"CuPy is installed but fails ({' '.join(str(error).split()) or type(error).__name__}): {_instead()}"
    driver = driver_version() or 0
    if driver // 1000 < needed // 1000:
        return (
            f"the driver is for CUDA {written(driver)}, too old for this CuPy, which is for {written(needed)}: "
            "install a newer driver (https://www.nvidia.com/drivers)"
        )
    return None


def _no_code() -> str | None:
    """Neither fatbins nor NVRTC: nothing to run."""
    from fastdissect.kernels.cuda.sources import fatbin_problem, origin

    driver = driver_version() or 0
    try:
        if origin(driver) == "fatbin":
            return None
    except BackendError as error:
        return str(error)
    try:
        importlib.import_module("cupy").cuda.nvrtc.getVersion()
    except Exception as error:  # noqa: BLE001 - whatever the loader of libraries raises
        package = "nvidia-cuda-nvrtc-cu12" if (_major() or driver // 1000) < 13 else "nvidia-cuda-nvrtc"
        why = " ".join(str(error).split())
        return (
            f"NVRTC, which compiles the kernels, does not load ({why}), and of kernels compiled beforehand "
            f'{fatbin_problem(driver) or "none shall be used"}: pip install "{package}=={_major() or driver // 1000}.*"'
        )
    return None


_CUPY = (_no_cupy, _two_cupys, _old_driver, _broken_cupy, _no_code)
