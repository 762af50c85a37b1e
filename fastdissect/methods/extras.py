"""Libraries that only the studies need: the extra `studies`."""

from __future__ import annotations

import importlib
from typing import Any

from fastdissect.errors import BackendError

__all__ = ["need"]


def need(module: str) -> Any:
    """Import a module of the extra `studies` (scipy, scikit-learn, matplotlib).

    Raises:
        BackendError: it is not installed; the message has the command that installs it.

    >>> need("scipy.linalg").__name__
    'scipy.linalg'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BackendError(
            f"expected {module.partition('.')[0]}, which this study needs; got: {error}; "
            "install it with: pip install 'fastdissect[studies]'"
        ) from error
