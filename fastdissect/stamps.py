"""Stamps: a cheap sign that an image's files may have changed; only their content says whether they did."""

from __future__ import annotations

import hashlib

from fastdissect.datasets import Dataset

__all__ = ["stamp_of"]


def stamp_of(dataset: Dataset, index: int) -> int:
    """A digest (64 bits) of the sizes and times of an image's files; without files, its `content_stamp`.

    The time of change counts beside the time of modification, which can be set back.
    """
    files = dataset.files(index)
    if not files:
        return dataset.content_stamp(index)
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        try:
            found = path.stat()
            digest.update(f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns};".encode())
        except OSError:
            digest.update(b"missing;")
    return int.from_bytes(digest.digest(), "little")
