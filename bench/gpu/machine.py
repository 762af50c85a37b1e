"""What the figures are measured on: card, driver, versions of everything between them and us."""

from __future__ import annotations

import importlib
import os
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["LIBRARIES", "machine"]

LIBRARIES = ("numpy", "torch", "cupy", "numba", "torchvision", "fastdissect", "pytest", "hypothesis")


def said(command: Sequence[str]) -> str:
    """What a program prints; "" where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def version(name: str) -> str:
    try:
        return str(getattr(importlib.import_module(name), "__version__", "installed"))
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything
        return f"does not import: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def machine() -> dict[str, Any]:
    """One flat record; "device" is "" where there is none."""
    fields = "name,driver_version,memory.total,compute_cap,clocks.max.sm,clocks.max.memory,pci.bus_id"
    smi = said(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"])
    release = re.search(r"release ([\d.]+)", said(["nvcc", "--version"]))
    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "nvidia-smi": smi or "not here",
        "nvcc": release[1] if release else "not here",
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "commit": said(["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"])
        or "unknown",
    }
    found |= {name: version(name) for name in LIBRARIES}
    return found | device()


def processor() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.*)$", info.read_text() if info.exists() else "", re.MULTILINE)
    return names[0] if names else platform.processor() or platform.machine()


def device() -> dict[str, Any]:
    """What CuPy and torch say of the first device."""
    found: dict[str, Any] = {"device": ""}
    try:
        import cupy

        runtime = cupy.cuda.runtime
        if not runtime.getDeviceCount():
            return found
        own = runtime.getDeviceProperties(0)
        found["device"] = own["name"].decode()
        found["devices"] = runtime.getDeviceCount()
        found["multiprocessors"], found["L2 bytes"] = own["multiProcessorCount"], own["l2CacheSize"]
        found["memory bytes"] = own["totalGlobalMem"]
        found["compute capability"] = cupy.cuda.Device(0).compute_capability
        found["CUDA of the driver"], found["CUDA of CuPy"] = (
            runtime.driverGetVersion(),
            runtime.runtimeGetVersion(),
        )
        found["NVRTC"] = ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
    except Exception as error:  # noqa: BLE001 - no driver, a broken CuPy: it is written down
        found["CuPy says"] = f"{type(error).__name__}: {error}"
    try:
        import torch

        found["CUDA of torch"] = torch.version.cuda
        if torch.cuda.is_available():
            found["device"] = found["device"] or torch.cuda.get_device_name(0)
            found["TF32"] = {
                "matmul": torch.backends.cuda.matmul.allow_tf32,
                "cudnn": torch.backends.cudnn.allow_tf32,
            }
    except Exception as error:  # noqa: BLE001 - likewise
        found["torch says"] = f"{type(error).__name__}: {error}"
    return found
