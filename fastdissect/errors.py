"""Exceptions. Every message says what was expected, what came, and what to do.

All derive from :class:`FastdissectError`, so that a caller can catch one name; each also derives from the
built-in exception that a reader would expect (`ValueError`, `LookupError`, ...).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ActivationError",
    "BackendError",
    "DataError",
    "DeviceMemoryError",
    "FastdissectError",
    "LayerError",
    "ModelError",
    "OutputError",
    "SettingError",
    "nearest",
]


class FastdissectError(Exception):
    """Base of every error that fastdissect raises on purpose."""


class SettingError(FastdissectError, ValueError):
    """An argument or option is outside what is allowed."""


class ActivationError(FastdissectError, ValueError):
    """Activations that cannot be dissected: NaN, infinities, wrong dtype, shape or number."""


class LayerError(FastdissectError, LookupError):
    """A layer that is unknown, not called, called twice, or whose output is no map."""


class ModelError(FastdissectError, LookupError):
    """A model name that cannot be turned into a module."""


class DataError(FastdissectError, ValueError):
    """A data set on disk that does not say what it should."""


class OutputError(FastdissectError, OSError):
    """A result folder or file that cannot be written, read or continued."""


class BackendError(FastdissectError, RuntimeError):
    """A backend that was asked for and is not available."""


class DeviceMemoryError(FastdissectError, MemoryError):
    """A GPU's memory does not suffice."""


def nearest(name: str, options: Iterable[str], count: int = 5) -> str:
    """Return "; nearest: a, b" for an error message, or "" if nothing is near.

    >>> nearest("layer5", ["layer1", "conv1", "layer4"], 2)
    '; nearest: layer4, layer1'
    """
    close = difflib.get_close_matches(name, list(options), n=count, cutoff=0.3)
    return f"; nearest: {', '.join(close)}" if close else ""
