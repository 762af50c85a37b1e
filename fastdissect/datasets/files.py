"""Reading and hashing files.

A file is read whole, hashed, and decoded from memory: the bytes that are hashed are the bytes that are seen.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastdissect.errors import DataError

__all__ = ["digest", "read_file"]


def read_file(path: str | Path, what: str) -> bytes:
    """Return a file's bytes; `what` names it in the error, e.g. "image a.jpg of index.csv".

    Raises:
        DataError: missing, no file, or not readable.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(
            f"{what} is missing: expected the file {path}. Restore it or remove the entry."
        ) from None
    except OSError as error:
        raise DataError(f"{what} cannot be read: {path} ({error.strerror or error}).") from error


def digest(*parts: bytes) -> str:
    """Hex digest (blake2b, 16 bytes) of the parts one after the other.

    >>> digest(b"ab") == digest(b"a", b"b")
    True
    """
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(part)
    return state.hexdigest()
