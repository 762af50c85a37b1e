"""Libraries of the package's extras: imported when they are needed, with the command that installs them where they are not."""

from __future__ import annotations

import importlib
from typing import Any

from fastdissect.errors import BackendError

__all__ = ["need_extra"]


def need_extra(module: str, extra: str, use: str) -> Any:
    """Import a module of an extra.

    Args:
        module: dotted name. extra: as in pyproject.toml. use: what it is for, behind "which".

    Raises:
        BackendError: it is not installed; the message has the command that installs it.

    >>> need_extra("json", "none", "reads it").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BackendError(
            f"expected {module.partition('.')[0]}, which {use}; got: {error}; "
            f"install it with: pip install 'fastdissect[{extra}]'"
        ) from error
