"""The entries of the plane cache: which there are, how much room they take, and which go first.

    CACHE/planes/<key>/meta.json   {"name": "broden:/data/broden1_224", "images": 63305, "mask_size": [112, 112], ...}

The file's time of modification is when the entry was last used. An entry without it, of an older version, gets one
when it is used next.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from fastdissect.errors import SettingError
from fastdissect.files import write_bytes

__all__ = ["CacheEntry", "cache_limit", "clear", "list_entries", "make_room", "mark_used", "sweep_rests"]

log = logging.getLogger("fastdissect")

DEFAULT_LIMIT = 20_000_000_000  # bytes; Broden's planes, 112 x 112 and 20 labels an image, take about 2 GB
_REST_SECONDS = 3600  # a folder that was being written this long ago is what a killed process left
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


@dataclass(frozen=True)
class CacheEntry:
    """One data set's packed masks at one size."""

    folder: Path
    name: str  # the data set's; "" where an older version wrote the entry
    images: int | None
    mask_size: tuple[int, int] | None
    bytes: int  # of its files; those that a run's folder shares (hard links) count too
    used: float  # seconds since the epoch


def cache_limit() -> int | None:
    """Bytes that the cache may take: FASTDISSECT_CACHE_LIMIT ("20GB", "500MB", "none"), 20 GB by default.

    Returns:
        The limit; None: none.

    Raises:
        SettingError: the variable says something else.
    """
    text = os.environ.get("FASTDISSECT_CACHE_LIMIT", "").strip()
    if not text:
        return DEFAULT_LIMIT
    if text.lower() == "none":
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise SettingError(
            f"FASTDISSECT_CACHE_LIMIT is {text!r}; expected a size such as 20GB, 500MB, 0, or none."
        )
    power = " kmgt".index(match[2].lower() or " ")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


def mark_used(entry: Path, name: str, images: int, mask_size: tuple[int, int]) -> None:
    """Note that an entry is used now. A cache that cannot be written stays as it is."""
    with contextlib.suppress(OSError):
        path = entry / "meta.json"
        if path.exists():
            os.utime(path)
        else:
            made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            record = {"name": name, "images": images, "mask_size": list(mask_size), "made": made}
            write_bytes(path, (json.dumps(record) + "\n").encode())


def list_entries(folder: Path) -> list[CacheEntry]:
    """The entries of a cache folder, the last used first."""
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in (folder / "planes").iterdir():
            if path.name.startswith(".") or not path.is_dir():
                continue
            with contextlib.suppress(OSError):  # another process removes it just now
                found.append(_entry(path))
    return sorted(found, key=lambda entry: (-entry.used, entry.folder.name))


def _entry(path: Path) -> CacheEntry:
    stats = {file.name: file.lstat() for file in path.iterdir()}
    meta = path / "meta.json"
    used = (
        stats["meta.json"].st_mtime
        if meta.name in stats
        else max((s.st_mtime for s in stats.values()), default=0)
    )
    name, images, mask_size = "", None, None
    if meta.name in stats:
        try:
            record = json.loads(meta.read_bytes())
            height, width = (int(side) for side in record["mask_size"])
            name, images, mask_size = str(record["name"]), int(record["images"]), (height, width)
        except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
            log.debug("%s cannot be read: %s", meta, error)  # the planes are whole all the same
    return CacheEntry(path, name, images, mask_size, sum(s.st_size for s in stats.values()), used)


def make_room(folder: Path, limit: int, keep: Path | None = None) -> list[CacheEntry]:
    """Remove the entries that were used longest ago until the rest takes `limit` bytes at most.

    Args:
        folder: the cache folder.
        limit: bytes.
        keep: an entry in use, which stays whatever it takes.

    Returns:
        What was removed.
    """
    entries = list_entries(folder)
    total = sum(entry.bytes for entry in entries)
    removed = []
    for entry in reversed(entries):
        if total <= limit:
            break
        if entry.folder == keep:
            continue
        if _remove(entry.folder):
            removed.append(entry)
        if not entry.folder.exists():  # another process may have been faster
            total -= entry.bytes
    if removed:
        log.info(
            "plane cache: %d entries used longest ago were removed (%.1f MB); %.1f MB stay, the limit is %.1f MB "
            "(FASTDISSECT_CACHE_LIMIT)",
            len(removed), sum(entry.bytes for entry in removed) / 1e6, total / 1e6, limit / 1e6,
        )  # fmt: skip
    elif total > limit:
        log.info(
            "plane cache: %.1f MB are above the limit of %.1f MB (FASTDISSECT_CACHE_LIMIT), but in use",
            total / 1e6, limit / 1e6,
        )  # fmt: skip
    return removed


def clear(folder: Path) -> list[CacheEntry]:
    """Remove all entries, and what killed processes left; returns the entries."""
    removed = [entry for entry in list_entries(folder) if _remove(entry.folder)]
    sweep_rests(folder)
    return removed


def sweep_rests(folder: Path) -> None:
    """Remove unfinished entries that nobody has written to for an hour."""
    with contextlib.suppress(OSError):
        for path in (folder / "planes").iterdir():
            if path.name.startswith(".") and time.time() - path.stat().st_mtime > _REST_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def _remove(entry: Path) -> bool:
    """Remove an entry; another process sees the whole of it or nothing. False where that cannot be done."""
    aside = entry.with_name(f".{entry.name}.{os.getpid()}.removed")
    try:
        entry.rename(aside)
    except OSError as error:  # in use (Windows), or not ours
        log.debug("%s cannot be removed: %s", entry, error)
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return True
