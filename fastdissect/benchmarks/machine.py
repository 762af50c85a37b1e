"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

import fastdissect
from fastdissect.benchmarks.peers import commit_of
from fastdissect.kernels import backend

__all__ = ["default_out", "machine"]

ROOT = Path(fastdissect.__file__).parent.parent


def machine() -> dict[str, Any]:
    """Processor, cores, system, Python, our version, commit and kernels, date."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "fastdissect": fastdissect.__version__,
        "commit": commit_of(ROOT) if (ROOT / "bench" / "peers").is_dir() else "installed",
        "backend": backend().name,
        "date": time.strftime("%Y-%m-%d"),
    }


def default_out() -> Path:
    """bench/results of a checkout, else ./fastdissect-bench."""
    return ROOT / "bench" / "results" if (ROOT / "bench" / "peers").is_dir() else Path("fastdissect-bench")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
