"""Files written beside and renamed into place: a reader sees the old file or the new one, never half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fastdissect.errors import FastdissectError, OutputError

__all__ = ["atomic_write", "write_bytes"]


@contextlib.contextmanager
def atomic_write(path: str | Path, size: int | None = None) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its place only when the block ends without an error.

    The bytes go to `.NAME.part` in the same folder, are synchronised to the disk, and then renamed. The name is
    fixed, so that what a killed process left behind is overwritten by the next one. Missing folders are made.

    Args:
        path: where the file shall be.
        size: bytes that it will need, for the message when the disk is full.

    Raises:
        OutputError: the file cannot be written; the message names the path, and the space needed and free when
            the disk is full. Nothing is left behind, and an older file at `path` is untouched.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder) / "a" / "b.txt") as file:
    ...         _ = file.write(b"whole")
    ...     (Path(folder) / "a" / "b.txt").read_bytes()
    b'whole'
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, FastdissectError):
            raise OutputError(_explain(path, error, size)) from error
        raise


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole small file with `atomic_write`."""
    with atomic_write(path, len(data)) as file:
        file.write(data)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last; Windows has no such call and needs none."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _explain(path: Path, error: OSError, size: int | None) -> str:
    if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return f"{path} cannot be written: {error.strerror or error}"
    need = f"it needs {size:,} bytes" if size is not None else "its size is not known beforehand"
    free = ""
    with contextlib.suppress(OSError):
        free = f", {shutil.disk_usage(path.parent).free:,} are free"
    return f"{path} cannot be written: the disk is full ({need}{free}); make room or choose another folder"
