"""Large arrays of an .npz as memory maps: 100,000 units by 1,197 concepts are 0.94 GB of counts.

The entries of our .npz files are stored, not compressed: an array lies in the file as it lies in memory.

    local header: 30 bytes, name, extra | .npy header | the array
    ^ the directory's header_offset                   ^ mapped from here
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastdissect.arrays_file import read_arrays

__all__ = ["map_arrays"]

_LEAST = 4 << 20  # bytes; a map keeps a file open, and a process may have about a thousand
_LOCAL = struct.Struct("<26xHH")  # of a local header: the lengths of name and extra


def map_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz that `write_arrays` wrote: large ones read-only from a map, the others read.

    What a map holds is not checked against the archive's checksums: compare the file's digest before. Where
    nothing can be mapped, all is read.

    Raises:
        OutputError: the file is missing, truncated or damaged.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            large = [entry for entry in entries if entry.file_size >= _LEAST]
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in large):
                return read_arrays(path)
            return {
                entry.filename.removesuffix(".npy"): _mapped(path, file, entry)
                if entry.file_size >= _LEAST
                else _read(archive, entry)
                for entry in entries
            }
    except (zipfile.BadZipFile, struct.error, OSError, ValueError, EOFError, KeyError, RuntimeError):
        return read_arrays(path)  # reads what is unusual, and says what is damaged


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(entry) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _mapped(path: Path, file: IO[bytes], entry: zipfile.ZipInfo) -> NDArray[Any]:
    file.seek(entry.header_offset)
    file.seek(sum(_LOCAL.unpack(file.read(_LOCAL.size))), 1)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("another version of .npy than ours")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject:
        raise ValueError("objects cannot be mapped")
    order: Literal["F", "C"] = "F" if fortran else "C"
    return np.asarray(np.memmap(path, dtype, "r", file.tell(), shape, order))
