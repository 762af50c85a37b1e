"""The folder of an export: never that of something else, and there whole or not at all."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from fastdissect.errors import FastdissectError, OutputError
from fastdissect.out_folder import set_aside

__all__ = ["new_folder"]

log = logging.getLogger("fastdissect")
_MARK = ".fastdissect-export"  # a folder without it is not ours and is never moved


@contextlib.contextmanager
def new_folder(path: Path, fresh: bool) -> Iterator[Path]:
    """Give an empty folder that becomes `path` when the block ends without an error.

    Args:
        fresh: an earlier export at `path` is moved to PATH.1 (the first free number) at the end; otherwise it
            is an error.

    Raises:
        OutputError: `path` holds anything else, or cannot be written (disk full, no permission).
    """
    try:
        _check(path, fresh)
        part = path.with_name(f".{path.name}.part")
        shutil.rmtree(part, ignore_errors=True)  # a killed process's
        part.mkdir(parents=True)
        try:
            yield part
            (part / _MARK).write_bytes(b"")
            _make_room(path)
            part.rename(path)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    except OSError as error:
        if isinstance(error, FastdissectError):
            raise
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}; choose another folder"
        ) from error


def _check(path: Path, fresh: bool) -> None:
    if not path.name:
        raise OutputError(f"expected a folder with a name for the export; got {path}")
    if path.exists() and not path.is_dir():
        raise OutputError(
            f"{path}: expected a folder for the export; there is a file of that name; choose another"
        )
    if not path.exists() or not any(path.iterdir()):
        return
    if not (path / _MARK).is_file():
        raise OutputError(
            f"{path}: expected an empty folder or none; it holds something that is no export; choose another"
        )
    if not fresh:
        raise OutputError(
            f"{path} holds an earlier export; choose another folder, or move it aside with --fresh (fresh=True)"
        )


def _make_room(path: Path) -> None:
    aside = set_aside(path)  # nothing to move if it is empty
    if aside is not None:
        log.info("moved %s to %s", path, aside)
    elif path.exists():
        path.rmdir()
