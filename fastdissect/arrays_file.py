"""Arrays in a file: numpy's .npz, the same bytes for the same arrays.

`numpy.savez` puts the time of day into every entry; here the date is fixed, the entries are stored in the
order given and not compressed (compressed bytes depend on the zlib version).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.files import atomic_write

__all__ = ["read_arrays", "write_arrays"]

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can hold
# What zipfile and numpy raise on bytes that make no sense; TypeError: a bare .npy instead of an archive.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    RuntimeError,
    MemoryError,
)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as an .npz that `numpy.load` reads; no pickle."""
    size = sum(a.nbytes + 512 for a in arrays.values())
    with atomic_write(path, size) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
            entry.create_system = 3  # the same on every system
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as member:
                little = np.asarray(array, dtype=array.dtype.newbyteorder("<"))
                np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an .npz; every byte is checked against the archive's checksums.

    Raises:
        OutputError: the file is missing, truncated or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise OutputError(
            f"{path} is missing; the run is incomplete: run again, or restore the file"
        ) from None
    except _DAMAGE as error:
        what = f"{path} is truncated or damaged ({error}); run again, or restore the file"
        raise OutputError(what) from error
