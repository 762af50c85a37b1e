"""Rows of a matrix into a buffer, without a map's pages becoming resident."""

from __future__ import annotations

import mmap
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError

__all__ = ["RowReader"]


class RowReader:
    """Reads rows of an array, or of the file behind a memory map.

    A map's pages count as the process's memory once they are touched; file reads leave them in the system's cache. So
    that a map and an array give the same bits, both are copied into the caller's buffer: kernels may add in another
    order where memory is aligned in another way.
    """

    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values = values
        self._file: BinaryIO | None = None
        self._first = 0
        found = _file_behind(values)
        if found is not None:
            path, self._first = found
            try:
                self._file = path.open("rb", buffering=0)
            except OSError as error:
                raise OutputError(
                    f"{path}, the file of a memory map, cannot be read: {error.strerror or error}"
                ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def read(self, first: int, last: int, out: NDArray[np.float32]) -> None:
        """Copy rows `first` to `last` into `out`, float32 [last - first, features], C-contiguous."""
        if self._file is None:
            np.copyto(out, self.values[first:last])
            return
        self._file.seek(self._first + first * self.values.shape[1] * 4)
        room = out.reshape(-1).view(np.uint8).data
        while len(room):
            count = self._file.readinto(room)  # type: ignore[attr-defined]
            if not count:
                raise OutputError(
                    f"{self._file.name}: expected {len(room):,} more bytes, as its memory map says; the file has "
                    "ended: it was cut since it was mapped; gather the features again"
                )
            room = room[count:]


def _file_behind(values: NDArray[np.float32]) -> tuple[Path, int] | None:
    """The file of a memory map and the place of the first row in it; None: read the array itself."""
    root: object = values
    while isinstance(root, np.ndarray) and not (
        isinstance(root, np.memmap) and isinstance(root.base, mmap.mmap)
    ):
        root = root.base
    if not isinstance(root, np.memmap) or root.filename is None or not values.flags.c_contiguous:
        return None
    if root.mode == "c":
        return None  # changed pages are not in the file
    return Path(root.filename), int(root.offset) + values.ctypes.data - root.ctypes.data
