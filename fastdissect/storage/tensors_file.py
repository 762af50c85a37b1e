"""activations.safetensors: large arrays in the safetensors format, read as views into a memory map.

The format (https://github.com/huggingface/safetensors, "Format"):

    8 bytes      length of the header, little endian
    the header   JSON: {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [first, last]}}
    the data     the arrays one behind the other, C order, little endian

Written here rather than by its library because that would copy every array into bytes first (a maxima table
alone can be 518 MB), and reading would copy again. Arrays of wide types come first and the header is padded
to a multiple of 8, so that every view is aligned.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.files import atomic_write

__all__ = ["read_tensors", "write_tensors"]

_NAMES = {"<i8": "I64", "<u8": "U64", "<f8": "F64", "<i4": "I32", "<u4": "U32", "<f4": "F32"} | {
    "<u2": "U16",
    "<f2": "F16",
}
_DTYPES = {name: np.dtype(code) for code, name in _NAMES.items()}
_HEADER_LIMIT = 100_000_000  # the library's own


def write_tensors(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """Write arrays and text; return the hex digest (blake2b, 16 bytes) of the header.

    The same arrays and text give the same bytes; contiguous arrays are not copied.
    """
    little = {name: a.astype(a.dtype.newbyteorder("<"), copy=False) for name, a in arrays.items()}
    order = sorted(little, key=lambda name: (-little[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name in order:
        array = little[name]
        offsets = [end, end + array.nbytes]
        header[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("<").str],
            "shape": list(array.shape),
            "data_offsets": offsets,
        }
        end = offsets[1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path, 8 + len(text) + end) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            if little[name].size:
                file.write(np.ascontiguousarray(little[name]).reshape(-1).view(np.uint8).data)
    return _digest(text)


def read_tensors(path: Path, seal: str | None = None) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Map a file and return its arrays as read-only views, and its text. Nothing is read but the header.

    Args:
        seal: the header's digest, as `write_tensors` returned it.

    Raises:
        OutputError: the file is missing, truncated, or its header is damaged or another one.
    """
    try:
        whole = np.memmap(path, np.uint8, mode="r")
    except FileNotFoundError:
        raise OutputError(
            f"{path} is missing though the run was saved with it; run again, or restore the file"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        raise _damaged(path, str(error)) from error
    data = np.asarray(whole)  # plain views, kept alive by the map behind them
    length = int.from_bytes(data[:8].tobytes(), "little")
    if len(data) < 8 or length > min(_HEADER_LIMIT, len(data) - 8):
        raise _damaged(path, f"the header does not fit into {len(data):,} bytes")
    head = data[8 : 8 + length].tobytes()
    if seal is not None and _digest(head) != seal:
        raise _damaged(path, "its header is not the one that run.json describes")
    try:
        header = json.loads(head)
        metadata = header.pop("__metadata__", {})
        body = data[8 + length :]
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if end != len(body):
            raise _damaged(path, f"expected {8 + length + end:,} bytes, got {len(data):,}")
        return {name: _view(body, entry) for name, entry in header.items()}, metadata
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise _damaged(path, f"its header makes no sense ({type(error).__name__}: {error!s:.200})") from error


def _digest(header: bytes) -> str:
    return hashlib.blake2b(header, digest_size=16).hexdigest()


def _view(body: NDArray[np.uint8], entry: Mapping[str, Any]) -> NDArray[Any]:
    first, last = entry["data_offsets"]
    dtype, shape = _DTYPES[entry["dtype"]], tuple(int(s) for s in entry["shape"])
    if not 0 <= first <= last <= len(body) or math.prod(shape) * dtype.itemsize != last - first:
        raise ValueError(f"shape {shape} of {dtype} at {first}:{last}")
    return body[first:last].view(dtype).reshape(shape)


def _damaged(path: Path, what: str) -> OutputError:
    return OutputError(f"{path} is truncated or damaged: {what}; run again, or restore the file")
