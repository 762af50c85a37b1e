"""Object arrays of `.npy` files, read without letting the file run code.

numpy stores an array of Python objects as a pickle, and a pickle may call anything that it names. Here it may name
numpy's own array, dtype and scalar, and even those are stand-ins: what they are told is checked, and arrays are
made from it afterwards. Plain containers, numbers and strings need no names. Everything else is refused.
"""

from __future__ import annotations

import pickle
import re
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

__all__ = ["RefusedPickleError", "read_pickled_array"]

_PLAIN = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248]|f16|c8|c16|c32|O8?|[SU][0-9]+)")


class RefusedPickleError(Exception):
    """The pickle names something else than numpy's arrays and plain containers, or is damaged."""


def read_pickled_array(file: IO[bytes]) -> NDArray[Any]:
    """Read the pickle behind the header of an object array.

    Args:
        file: stands at the first byte after the header.

    Returns:
        The array; numpy arrays inside it are of plain types (booleans, numbers, strings, objects).

    Raises:
        RefusedPickleError: the message says what was found.
    """
    try:
        found = _made(_Reader(file).load())
    except RefusedPickleError:
        raise
    except Exception as error:  # a damaged pickle can fail anywhere, with any exception
        raise RefusedPickleError(f"a damaged pickle ({type(error).__name__}: {error})") from error
    if not isinstance(found, np.ndarray):
        raise RefusedPickleError(f"a pickled {type(found).__name__} instead of an array")
    return found


def _refuse(what: str) -> NoReturn:
    raise RefusedPickleError(what)


class _Dtype:
    """Stands in for a dtype: its code, and the order of bytes from its state."""

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:  # noqa: ARG002
        if not isinstance(code, str) or not _PLAIN.fullmatch(code):
            _refuse(f"numpy.dtype({code!r})")
        self.dtype: np.dtype[Any] = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order, rest = state[1], state[2:5]
        if state[0] not in (3, 4) or order not in ("|", "<", ">", "=") or rest != (None, None, None):
            _refuse(f"numpy.dtype with state {state!r}")
        if order in "<>":
            self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands in for an array: shape, dtype, order and content from its state."""

    value: NDArray[Any]

    def __setstate__(self, state: Any) -> None:
        version, shape, kind, fortran, content = state
        if version != 1 or not isinstance(kind, _Dtype) or not all(type(n) is int and n >= 0 for n in shape):
            _refuse(f"numpy.ndarray with state {state[:3]!r}")
        if kind.dtype.hasobject:
            if type(content) is not list:
                _refuse("an array of objects that is no list")
            flat = np.empty(len(content), object)
            for at, item in enumerate(content):
                flat[at] = _made(item)
            fortran = False  # numpy lists objects in C order always
        else:
            flat = np.frombuffer(bytearray(content), kind.dtype)  # a copy: what is read can be written to
        self.value = flat.reshape(shape, order="F" if fortran else "C")


def _array(subtype: Any, shape: Any, code: Any) -> _Array:  # noqa: ARG001
    return _Array() if subtype is _SUBTYPE else _refuse(f"an array of type {subtype!r}")


def _scalar(kind: Any, content: Any = b"") -> Any:
    if not isinstance(kind, _Dtype) or kind.dtype.hasobject:
        _refuse("a numpy scalar that holds an object")
    return np.frombuffer(content, kind.dtype, 1)[0]


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    """How old pickles write bytes."""
    return (
        text.encode("latin1") if encoding == "latin1" and isinstance(text, str) else _refuse("_codecs.encode")
    )


def _no_bytes() -> bytes:
    """How old pickles write none."""
    return b""


_SUBTYPE = object()  # cannot be called, unlike numpy.ndarray itself
_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _SUBTYPE,
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            _refuse(f"{module}.{name}")
        return _NAMES[module, name]

    def persistent_load(self, pid: Any) -> Any:
        _refuse(f"a persistent reference {pid!r}")


def _made(found: Any) -> Any:
    """Arrays in place of their stand-ins, inside plain containers too."""
    if isinstance(found, _Array):
        if not hasattr(found, "value"):
            _refuse("an array without content")
        return found.value
    if isinstance(found, dict):
        return {_made(key): _made(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return type(found)(_made(item) for item in found)
    if found is None or isinstance(
        found, (bool, int, float, complex, str, bytes, np.generic, set, frozenset)
    ):
        return found
    return _refuse(f"a {type(found).__name__}")
