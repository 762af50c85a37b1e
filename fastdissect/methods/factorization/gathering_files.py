"""Matrices in files: rows of float32, appended block by block; a file has its name once it is whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError

__all__ = ["MatrixFile", "check_room", "read_matrix"]

_SPARE = 64 << 20  # bytes left free beside what is written


class MatrixFile:
    """An .npy of float32 [rows, features] that grows in `.NAME.part`, in memory no more than a block.

    Args:
        path: where it will be. rows: as many as will come, at most.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, rows: int, features: int) -> None:
        self.path, self.features, self.rows, self._most = path, features, 0, rows
        self._part = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
            self._header(rows)
        except OSError as error:
            raise self._refused(error) from error

    def append(self, rows: NDArray[np.float32]) -> None:
        """Append float32 [n, features]."""
        assert rows.dtype == np.float32
        assert rows.shape[1:] == (self.features,)
        try:
            self._file.write(np.ascontiguousarray(rows, "<f4").data)
        except OSError as error:
            raise self._refused(error) from error
        self.rows += len(rows)

    def finish(self) -> NDArray[np.float32]:
        """Give the file its name; returns its rows, mapped."""
        try:
            self._file.seek(0)
            self._header(self.rows)  # numpy pads headers, so that a number of rows can change in place
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self.path)
        except OSError as error:
            raise self._refused(error) from error
        return read_matrix(self.path, (self.rows, self.features))

    def discard(self) -> None:
        """Remove what is not finished; nothing where it is."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _header(self, rows: int) -> None:
        header: dict[str, Any] = {"descr": "<f4", "fortran_order": False, "shape": (rows, self.features)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.path} cannot be written: {error.strerror or error}; it needs "
            f"{4 * self._most * self.features:,} bytes; make room or choose another folder"
        )


def read_matrix(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Map a finished matrix.

    Raises:
        OutputError: it is missing, cut, or of another shape.
    """
    try:
        found: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise OutputError(
            f"{path} is missing or damaged ({error}); remove the folder and gather again"
        ) from error
    if found.dtype != np.float32 or found.shape != shape:
        raise OutputError(
            f"{path}: expected float32 {list(shape)}; got {found.dtype} {list(found.shape)}; remove the folder and "
            "gather again"
        )
    return found


def check_room(folder: Path, size: int) -> None:
    """Refuse a pass whose matrices do not fit, before it begins.

    Raises:
        OutputError: fewer bytes are free than `size` and a little more.
    """
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < size + _SPARE:
        raise OutputError(
            f"{folder}: expected {size:,} bytes of free disk for the gathered matrices; got {free:,}; choose another "
            'folder (folder=, --matrices), pool full maps (pool="mean"), or take fewer images or layers'
        )
