"""The plane cache: packed masks of a data set, kept between runs and checked by content.

    CACHE/planes/<key>/   planes.npz, words.u64, stamps.u64, meta.json (what it is, when it was used last)

The key is a digest of what defines the planes: the data set's fingerprint, its images' names, the masks' size
and how repeated labels count. A file whose stamp is another one since is packed again and compared: equal
content passes, other content throws the entry away. Nothing is trusted by name. When an entry is kept, those used
longest ago are removed until the cache is within its limit (cache_entries.py).
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.batches import DatasetBatches
from fastdissect.cache_entries import cache_limit, make_room, mark_used
from fastdissect.errors import FastdissectError
from fastdissect.files import write_bytes
from fastdissect.masks import image_planes
from fastdissect.packing import content_digest, join_planes
from fastdissect.plane_files import PlaneStore
from fastdissect.stamps import stamp_of
from fastdissect.types import Planes

__all__ = ["PlaneCache", "cache_folder", "pack_image"]

log = logging.getLogger("fastdissect")

_BLOCK = 4096  # planes that are looked at together: 6 MB at 112 x 112


def cache_folder() -> Path:
    """The user's cache folder: FASTDISSECT_CACHE, else where the platform keeps caches."""
    if os.environ.get("FASTDISSECT_CACHE"):
        return Path(os.path.expanduser(os.environ["FASTDISSECT_CACHE"]))  # noqa: PTH111 (never an error)
    import platformdirs

    return Path(platformdirs.user_cache_dir("fastdissect", appauthor=False))


def pack_image(source: DatasetBatches, index: int) -> tuple[str, Planes]:
    """Read one image again: its content's digest and its planes, as the workers give them."""
    pixels, digest = source.dataset.read_image(index)
    packed = image_planes(
        source.dataset.read_labels(index),
        source.columns,
        source.mask_size,
        once=source.once,
        image=source.dataset.image_name(index),
        aspect=pixels.shape[0] / pixels.shape[1],
    )
    return digest, join_planes([packed], source.mask_size)


def _holds_its_pixels(store: PlaneStore) -> bool:
    """Whether each plane has as many pixels set as its index says: a file that a disk or program damaged has not."""
    planes = store.planes
    stored = planes.word_row >= 0
    rows, pixels = planes.word_row[stored], planes.pixels[stored]
    for first in range(0, len(rows), _BLOCK):
        block = slice(first, first + _BLOCK)
        found = np.bitwise_count(planes.words[rows[block]]).sum(axis=1, dtype=np.int64)
        if (found != pixels[block]).any():
            log.info("cached planes in %s are damaged and are packed again", store.folder)
            return False
    return True


class PlaneCache:
    """The cache entry of one data set at one mask size.

    Args:
        folder: the cache folder; None: nothing is kept.

    Raises:
        SettingError: FASTDISSECT_CACHE_LIMIT is no size.
    """

    def __init__(self, folder: Path | None, source: DatasetBatches) -> None:
        self.source = source
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"2 {source.dataset.fingerprint()} {source.mask_size} {source.once} ".encode())
        for index in range(source.images):
            digest.update(source.image_name(index).encode(errors="surrogateescape") + b"\0")
        self.key = digest.hexdigest()
        kept = source.dataset.keeps_planes
        self.entry = None if folder is None or not kept else folder / "planes" / self.key
        self.limit = None if folder is None else cache_limit()

    def find(self) -> PlaneStore | None:
        """The whole, unchanged planes; None where they must be packed (again)."""
        if self.entry is None or not self.entry.is_dir():
            return None
        try:
            store = PlaneStore(self.entry)
            stamps = np.fromfile(self.entry / "stamps.u64", np.uint64)
            fits = len(store) == len(stamps) == self.source.images
            if fits and _holds_its_pixels(store) and self._is_unchanged(store, stamps):
                self._mark_used(self.entry)
                return store
        except (FastdissectError, OSError) as error:
            log.debug("cached planes cannot be used and are packed again: %s", error)
        shutil.rmtree(self.entry, ignore_errors=True)
        return None

    def _is_unchanged(self, store: PlaneStore, stamps: NDArray[np.uint64]) -> bool:
        """Compare the planes of images whose stamp is another one; equal ones get their new stamp."""
        assert self.entry is not None
        touched = 0
        for index, old in enumerate(stamps.tolist()):
            stamp = stamp_of(self.source.dataset, index)
            if stamp == old:
                continue
            _, planes = pack_image(self.source, index)
            if content_digest("", planes, 0) != content_digest("", store.planes, index):
                return False
            stamps[index] = stamp
            touched += 1
        if touched:
            log.info("%d images were touched but have the masks that were cached", touched)
            write_bytes(self.entry / "stamps.u64", stamps.tobytes())
        return True

    def keep(self, store: PlaneStore, stamps: NDArray[np.uint64]) -> None:
        """Copy fresh planes into the cache (hard links where the file system has them).

        A cache that cannot be written is no error: the run goes on without one.
        """
        if self.entry is None or self.entry.exists():
            return
        beside = self.entry.with_name(f".{self.key}.{os.getpid()}")
        try:
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir(parents=True)
            for name in ("words.u64", "planes.npz"):
                try:
                    os.link(store.folder / name, beside / name)
                except OSError:
                    shutil.copyfile(store.folder / name, beside / name)
            (beside / "stamps.u64").write_bytes(stamps.tobytes())
            self._mark_used(beside)
            beside.rename(self.entry)
            if self.limit is not None:
                make_room(self.entry.parent.parent, self.limit, keep=self.entry)
        except OSError as error:
            log.info("packed masks are not cached in %s: %s", self.entry.parent, error)
            shutil.rmtree(beside, ignore_errors=True)

    def _mark_used(self, entry: Path) -> None:
        mark_used(entry, self.source.name, self.source.images, self.source.mask_size)
