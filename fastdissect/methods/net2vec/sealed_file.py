"""Arrays and text in one safetensors file whose content is sealed: checkpoints, and scores with fewer filters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.storage.tensors_file import read_tensors, write_tensors

__all__ = ["array_digest", "read_sealed", "write_sealed"]

_SEAL = "seal"


def array_digest(*arrays: NDArray[Any]) -> str:
    """Of dtypes, shapes and contents: blake2b, 16 bytes, hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(str((array.dtype, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def write_sealed(path: Path, arrays: Mapping[str, NDArray[Any]], text: Mapping[str, str]) -> None:
    """Write beside and rename; the same arrays and text give the same bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    write_tensors(path, arrays, {**text, _SEAL: _seal(arrays, text)})


def read_sealed(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return arrays, read-only views into the file, and text.

    Raises:
        OutputError: the file is missing, or a byte of it is another than was written.
    """
    try:
        arrays, text = read_tensors(path)
        found = text.pop(_SEAL, None)
        same = found == _seal(arrays, text)
    except (TypeError, AttributeError) as error:  # metadata that is no text
        raise OutputError(f"{path} is damaged: {error}; delete it, and what it holds is made anew") from error
    except OutputError as error:
        told = str(error).removesuffix("; run again, or restore the file")
        raise OutputError(f"{told}; delete it, and what it holds is made anew") from error
    if not same:
        raise OutputError(
            f"{path} is damaged, or no file of fastdissect; delete it, and what it holds is made anew"
        )
    return arrays, text


def _seal(arrays: Mapping[str, NDArray[Any]], text: Mapping[str, str]) -> str:
    names = sorted(arrays)
    told = repr((sorted(text.items()), names)).encode()
    return hashlib.blake2b(
        told + array_digest(*(arrays[n] for n in names)).encode(), digest_size=16
    ).hexdigest()
