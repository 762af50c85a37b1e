"""Peak memory of a piece of work in this process."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

__all__ = ["begin", "peak"]

_STATUS, _REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def begin() -> int | None:
    """Set the peak back where the system can (Linux), and return the bytes resident now; None: not known."""
    with contextlib.suppress(OSError):
        _REFS.write_text("5")
    return _linux("VmRSS") or peak()


def peak() -> int | None:
    """The most bytes resident since `begin` (since the start, where the peak cannot be set back)."""
    found = _linux("VmHWM")
    if found is not None:
        return found
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _linux(name: str) -> int | None:
    if not _STATUS.exists():
        return None
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None
