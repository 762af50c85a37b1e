"""A folder that takes its place whole: written beside, then renamed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from fastdissect.errors import FastdissectError, OutputError

__all__ = ["atomic_folder"]

_MARK = ".fastdissect-report"  # a folder without it is not ours and is never replaced


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `path` when the block ends without an error.

    An older report at `path` stays as it is until then; anything else there is left alone.

    Raises:
        OutputError: `path` holds something that is no report, or cannot be written (disk full, no permission).
    """
    if path.exists() and not (path / _MARK).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(
            f"expected {path} to be free or an older report; got something else there; "
            "choose another folder or move it aside"
        )
    part, old = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")
    try:
        if old.exists() and not path.exists():  # a process was killed between the two renames below
            old.rename(path)
        for left in (part, old):
            if left.exists():
                shutil.rmtree(left)
        part.mkdir(parents=True)
        yield part
        (part / _MARK).write_bytes(b"")
        if path.exists():
            path.rename(old)
        part.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if old.exists() and not path.exists():
            old.rename(path)
        if isinstance(error, OSError) and not isinstance(error, FastdissectError):
            raise OutputError(
                f"the report {path} cannot be written: {error.strerror or error}; nothing was changed there"
            ) from error
        raise
