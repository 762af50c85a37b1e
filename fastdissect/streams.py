"""Streams: arrays of rows that grow on disk while a run goes on, so that memory does not.

A stream is a plain file of rows. A checkpoint remembers how many rows were whole; going on truncates the file
to them, so whatever a killed process wrote after its last checkpoint is written again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastdissect.errors import OutputError

__all__ = ["Stream"]


class Stream:
    """Rows of `shape` and `dtype`, appended to a file.

    Args:
        rows: go on after so many rows (0: a new file).

    Raises:
        OutputError: the file is shorter than the rows it should hold, or cannot be written.
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...] = (), rows: int = 0) -> None:
        self.path, self.dtype, self.shape, self.rows = path, np.dtype(dtype), shape, rows
        self._row_bytes = self.dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if rows:
                _own_copy(path)
            else:
                path.unlink(missing_ok=True)  # never through a hard link into another folder's file
            self._file = path.open("r+b" if rows else "wb")
            found = self._file.seek(0, os.SEEK_END)
            if found < rows * self._row_bytes:
                self._file.close()
                raise OutputError(
                    f"{path}: expected {rows * self._row_bytes:,} bytes of an unfinished run; got {found:,}; the file "
                    "was cut: begin again with --fresh"
                )
            self._file.truncate(rows * self._row_bytes)
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error

    def append(self, rows: NDArray[Any]) -> None:
        """Append rows [n, *shape] of the stream's dtype."""
        try:
            self._file.write(np.ascontiguousarray(rows, self.dtype).data)
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}; make room and run again"
            ) from error
        self.rows += len(rows)

    def sync(self) -> None:
        """Make what was appended last through a power cut."""
        if self._file.closed:
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}; make room and run again"
            ) from error

    def read(self) -> NDArray[Any]:
        """All rows so far, read from the file."""
        self.sync()
        return np.fromfile(self.path, self.dtype).reshape(self.rows, *self.shape)

    def close(self) -> NDArray[Any]:
        """End the stream; returns its rows, mapped from the file."""
        try:
            self._file.close()
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}; make room and run again"
            ) from error
        if not self.rows * self._row_bytes:  # no rows, or of no units
            return np.zeros((self.rows, *self.shape), self.dtype)
        return np.memmap(self.path, self.dtype, "r", shape=(self.rows, *self.shape))


def _own_copy(path: Path) -> None:
    """Part a file from its hard links (the plane cache holds some): what follows must not change those."""
    if path.exists() and path.stat().st_nlink > 1:
        beside = path.with_name(f".{path.name}.part")
        shutil.copyfile(path, beside)
        beside.replace(path)
