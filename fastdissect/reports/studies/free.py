"""Is a folder free for a study? Asked before the work, so that none of it is lost."""

from __future__ import annotations

import contextlib
from pathlib import Path

from fastdissect.errors import FastdissectError, OutputError
from fastdissect.reports.folder import atomic_folder

__all__ = ["check_study_folder"]


class _Free(Exception):
    pass


def check_study_folder(path: str | Path) -> None:
    """Refuse, before the work is done, a folder that `write_study` would refuse after it.

    Raises:
        OutputError: it holds something else, or cannot be made.
    """
    path = Path(path).absolute()
    try:
        if path.is_symlink() and not path.exists():
            raise OutputError(
                f"expected {path} to be free or a folder; got a link to nothing; choose another folder"
            )
        above = next(folder for folder in path.parents if folder.exists())
        if not above.is_dir():
            raise OutputError(f"{path} cannot be made: {above} is no folder; choose another folder")
        if above == path.parent:
            with contextlib.suppress(_Free), atomic_folder(path):
                raise _Free  # it was made beside, and is taken away again
    except FastdissectError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path} cannot be made: {error.strerror or error}; choose another folder"
        ) from error
