"""MATLAB files, read by scipy where it is installed. Nothing in them is run."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np

from fastdissect.errors import DataError
from fastdissect.extras import need_extra

__all__ = ["elements", "field", "need_scipy", "read_mat", "text"]

# What scipy lets through when a file is damaged: by experience, and by the test that cuts and flips bytes.
_BROKEN = (
    OSError, ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError, AssertionError, OverflowError,
    NotImplementedError, MemoryError, struct.error, zlib.error,
)  # fmt: skip


def need_scipy() -> Any:
    """Import scipy.io.

    Raises:
        BackendError: it is not installed; the message has the command that installs it.
    """
    return need_extra("scipy.io", "mat", "reads this data set's MATLAB files")


def read_mat(data: bytes, what: str, variable: str) -> Any:
    """One variable of a MATLAB file (version 4 to 7.2): arrays of at least two axes, structs as objects in them.

    Args:
        data: the file's bytes.
        what: names the file in errors.
        variable: its name in the file.

    Raises:
        BackendError: scipy is not installed.
        DataError: no such file, damaged, or the variable is missing.
    """
    scipy_io = need_scipy()
    try:
        found = scipy_io.loadmat(
            io.BytesIO(data), variable_names=[variable], squeeze_me=False, struct_as_record=False
        )
    except (*_BROKEN, scipy_io.matlab.MatReadError) as error:
        raise DataError(
            f"{what} is no MATLAB file that can be read, or damaged ({error}). Restore the file."
        ) from error
    if variable not in found:
        raise DataError(f"{what} holds no variable {variable!r}; expected the file as published.")
    return found[variable]


def field(struct_: Any, name: str, what: str) -> Any:
    """A field of a struct, or of the only one in an array.

    Raises:
        DataError: no struct, or it has no such field.
    """
    found = elements(struct_)
    if len(found) != 1 or name not in getattr(found[0], "_fieldnames", ()):
        raise DataError(f"{what} has no field {name!r}; expected the file as published.")
    return getattr(found[0], name)


def elements(value: Any) -> list[Any]:
    """What an array or cell holds, in MATLAB's order."""
    return list(value.ravel(order="F")) if isinstance(value, np.ndarray) else [value]


def text(value: Any, what: str) -> str:
    """A string; an empty array is an empty string.

    Raises:
        DataError: something else.
    """
    found = elements(value)
    if not found or (len(found) == 1 and isinstance(found[0], str)):
        return str(found[0]) if found else ""
    raise DataError(f"{what} is no text; expected the file as published.")
