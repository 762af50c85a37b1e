"""Relative paths that must stay inside a data set's folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from fastdissect.errors import DataError

__all__ = ["EnclosedPaths", "escape_reason"]

_DRIVE = re.compile(r"[A-Za-z]:")


def escape_reason(relative: str) -> str | None:
    """Say why a path of an index cannot be accepted, judging by its text alone; None where it can.

    Backslashes count as separators, so that one index means the same on every system.

    >>> escape_reason("ade20k/a.jpg")
    >>> escape_reason("../secret.png")
    'it leaves the folder by ".."'
    >>> escape_reason("/etc/passwd")
    'it is absolute'
    """
    if "\0" in relative:
        return "it holds a NUL character"
    parts = relative.replace("\\", "/").split("/")
    if parts[0] == "" or _DRIVE.match(relative):
        return "it is absolute"
    return 'it leaves the folder by ".."' if ".." in parts else None


class EnclosedPaths:
    """Turns relative paths into files below `root`, refusing links that lead out.

    The folder `root` may itself be a link (images on another disk); what lies below it may only link within the
    data set's `home` or within `root`.

    Example:
        >>> EnclosedPaths(Path("/data/set"), Path("/data/set/images")).locate("a/b.png")  # doctest: +SKIP
        '/data/set/images/a/b.png'
    """

    def __init__(self, home: Path, root: Path) -> None:
        self._root = str(root)
        self._allowed = tuple(os.path.join(os.path.realpath(p), "") for p in (home, root))  # noqa: PTH118
        self._safe_parents: set[str] = set()

    def locate(self, relative: str) -> str:
        """Return the file's path as text; the file need not exist.

        Raises:
            DataError: the path, or a link on it, leaves the folder.
        """
        reason = escape_reason(relative)
        if reason is not None:
            raise DataError(f"path {relative!r} is refused: {reason}. Paths are relative to {self._root}.")
        path = os.path.join(self._root, relative)  # noqa: PTH118 (half a million calls: pathlib would show)
        parent = os.path.dirname(path)  # noqa: PTH120
        # A folder's links are resolved once; after that a file costs one lstat.
        if parent not in self._safe_parents:
            self._check(parent, relative)
            self._safe_parents.add(parent)
        if os.path.islink(path):  # noqa: PTH114
            self._check(path, relative)
        return path

    def _check(self, path: str, relative: str) -> None:
        real = os.path.join(os.path.realpath(path), "")  # noqa: PTH118
        if not real.startswith(self._allowed):
            raise DataError(
                f"path {relative!r} is refused: a link on it leaves the data set's folder (to {real[:-1]}). "
                "Copy the file into the folder."
            )
