"""States of running statistics as the peers keep them: dictionaries of arrays, in `.npz` files or in memory.

netdissect pickles what is no plain array (levels of different lengths, a dict of arguments, None); baukit boxes None
in a NaN of its own (0xFFF8000000000002) and needs no pickle. Both are read, neither is unpickled freely (see
numpy_pickle.py).
"""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from fastdissect.compat.running.numpy_pickle import RefusedPickleError, read_pickled_array
from fastdissect.errors import OutputError
from fastdissect.files import atomic_write

__all__ = ["MissingStateError", "State", "box_nulls", "read_state", "unbox_nulls", "write_state"]

_NULL_BITS = 0xFFF8000000000002
_DAMAGE = (  # what zipfile and numpy raise over bytes that are not theirs; RuntimeError: encrypted, NotImplemented...
    ValueError,
    TypeError,
    EOFError,
    OSError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    SyntaxError,
    tokenize.TokenError,
    lzma.LZMAError,
)
_NULL = np.array(struct.unpack("<d", struct.pack("<Q", _NULL_BITS))[0])


class MissingStateError(OutputError, FileNotFoundError):
    """There is no such state file."""


class State(dict[str, Any]):
    """The fields of a state; `source` names the file (or "the given state") in messages."""

    source: str = "the given state"

    def need(self, field: str, expected: str) -> Any:
        """The value of a field.

        Raises:
            OutputError: there is none; the message names source, field and what was expected.
        """
        if field not in self:
            found = ", ".join(sorted(self)) or "nothing"
            raise OutputError(
                f"{self.source}, field {field!r}: expected {expected}; there is no such field (found: {found})"
            )
        return self[field]

    def refuse(self, field: str, expected: str, found: object) -> OutputError:
        """The error for a field that is not what it should be."""
        return OutputError(f"{self.source}, field {field!r}: expected {expected}; got {found}")

    def part(self, prefix: str) -> State:
        """The fields that begin with `prefix` and a dot, without them."""
        own = State({key[len(prefix) + 1 :]: v for key, v in self.items() if key.startswith(f"{prefix}.")})
        own.source = f"{self.source}, part {prefix!r}"
        return own


def read_state(
    source: str | Path | Mapping[str, Any] | NpzFile, *, cls_name: str | tuple[str, ...] | None
) -> State:
    """Read a state.

    Args:
        source: a path; or an open `numpy.load(...)`; or a mapping of fields, as `state_dict()` gives.
        cls_name: names of the classes whose state may be read ("RunningQuantile"); a field `constructor`, where
            there is one, must name one of them, in whatever module. None: not looked at.

    Returns:
        The fields. Null (None, or baukit's NaN that stands for it) is None; a single pickled object is itself.

    Raises:
        MissingStateError: there is no such file.
        OutputError: the file is damaged, holds a pickle of foreign classes, or is another class's state; the
            message names file, field, and what was expected.

    >>> read_state({"constructor": "baukit.runningstats.Mean()", "count": 3}, cls_name="Mean")["count"]
    3
    """
    if isinstance(source, (str, Path)):
        path = Path(source)
        if not path.is_file():
            raise MissingStateError(f"{path}: expected a saved state (.npz); there is no such file")
        try:
            with zipfile.ZipFile(path) as archive:
                state = _fields(archive, str(path))
        except _DAMAGE as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(
                f"{path}: expected a saved state (.npz); the file is damaged ({error})"
            ) from error
    elif isinstance(source, NpzFile):
        if source.zip is None:
            raise OutputError("expected an open .npz as state; got a closed one")
        state = _fields(source.zip, str(getattr(source.fid, "name", None) or "the given .npz"))
    elif isinstance(source, Mapping):
        state = State({str(key): value for key, value in source.items()})
        state.source = getattr(source, "source", State.source)
    else:
        raise OutputError(f"expected a path, an .npz or a dictionary as state; got {type(source).__name__}")
    for key, value in state.items():
        state[key] = unbox_nulls(value)
    if cls_name is not None:
        _check_class(state, (cls_name,) if isinstance(cls_name, str) else cls_name)
    return state


def _check_class(state: State, names: tuple[str, ...]) -> None:
    """The peers write the constructor's full name and look at it never; a foreign one fails far from its cause."""
    if "constructor" not in state:
        return
    field = np.asarray(state["constructor"])
    found = str(field.item()) if field.size == 1 else f"an array of shape {field.shape}"
    if found.removesuffix("()").rpartition(".")[2] not in names:
        expected = " or ".join(f"{name}()" for name in names)
        raise state.refuse("constructor", f"{expected}, of netdissect, baukit or fastdissect", repr(found))


def _fields(archive: zipfile.ZipFile, name: str) -> State:
    state = State()
    state.source = name
    for info in archive.infolist():
        field = info.filename.removesuffix(".npy")
        if field in state:
            raise state.refuse(field, "one array of that name", "two")
        try:
            with archive.open(info) as file:
                state[field] = _array(file, info.file_size)
                if file.read(1):  # and with it the checksum of what was read is looked at
                    raise ValueError("bytes behind its end")
        except RefusedPickleError as error:
            raise state.refuse(field, "numpy arrays and plain containers", error) from error
        except _DAMAGE as error:
            raise state.refuse(field, "a numpy array", f"a damaged one ({error})") from error
    return state


def _array(file: IO[bytes], size: int) -> Any:
    """One `.npy` member of `size` bytes."""
    version = npy.read_magic(file)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        array = read_pickled_array(file)
        return array.item() if array.ndim == 0 else array
    wanted = math.prod(shape) * dtype.itemsize
    if size - file.tell() != wanted:  # before memory is taken for what the header says
        raise ValueError(f"{wanted} bytes are announced, {size - file.tell()} are there")
    flat: NDArray[Any] = np.frombuffer(bytearray(file.read(wanted)), dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def write_state(path: str | Path, state: Mapping[str, Any], *, boxed: bool = True) -> None:
    """Write a state as `numpy.savez` does, but beside and renamed, missing folders made.

    The name gets `.npz` if it lacks it, as there.

    Args:
        boxed: None becomes baukit's NaN, so that nothing needs a pickle; False: as netdissect writes, where
            numpy pickles None, dictionaries and arrays of objects.

    Raises:
        OutputError: the file cannot be written.
    """
    path = Path(path)
    path = path if path.name.endswith(".npz") else path.with_name(path.name + ".npz")
    with atomic_write(path) as file:
        np.savez(file, **(box_nulls(dict(state)) if boxed else dict(state)))


def box_nulls(state: Any) -> Any:
    """Replace None by the NaN that stands for it in baukit's files, also inside dictionaries.

    >>> bool(np.isnan(box_nulls({"a": None, "b": 1})["a"]))
    True
    """
    if isinstance(state, Mapping):
        return {key: box_nulls(value) for key, value in state.items()}
    return _NULL.copy() if state is None else state


def unbox_nulls(state: Any) -> Any:
    """The reverse of `box_nulls`; other NaNs stay.

    >>> unbox_nulls(box_nulls({"a": None, "b": 1}))
    {'a': None, 'b': 1}
    """
    if isinstance(state, Mapping):
        return {key: unbox_nulls(value) for key, value in state.items()}
    if isinstance(state, np.ndarray) and state.ndim == 0 and state.dtype == np.float64:
        return None if int(state.view(np.uint64)) == _NULL_BITS else state
    return state
