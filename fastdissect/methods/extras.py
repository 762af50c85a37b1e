"""Libraries that only the studies need: the extra `studies`."""

from __future__ import annotations

from typing import Any

from fastdissect.extras import need_extra

__all__ = ["need"]


def need(module: str) -> Any:
    """Import a module of the extra `studies` (scipy, scikit-learn, matplotlib).

    Raises:
        BackendError: it is not installed; the message has the command that installs it.

    >>> need("scipy.linalg").__name__
    'scipy.linalg'
    """
    return need_extra(module, "studies", "this study needs")
