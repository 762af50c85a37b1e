"""Shards: which members each sample has, found once when the set is opened."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from fastdissect.datasets.webdataset.tars import read_at, tar_members
from fastdissect.errors import DataError

__all__ = ["Shards"]

_IMAGES = (
    "jpg",
    "jpeg",
    "webp",
    "bmp",
    "tif",
    "tiff",
    "ppm",
    "gif",
    "png",
)  # png last: it is a mask beside others
_MASK = re.compile(r"mask(\.[^.]+)?\.png")
_MEMBER = np.dtype([("offset", "<i8"), ("size", "<i8"), ("kind", "<i4")])


class Shards:
    """The members of all samples, in the shards' order. Holds tables and paths; a shard is opened to read.

    Args:
        paths: the tar files.
        masks: names of the masks behind the key; (): png beside another image, mask.png and mask.NAME.png.

    Attributes:
        labels: (place, bytes) of the member labels.csv; None where there is none.
    """

    def __init__(self, paths: list[Path], masks: tuple[str, ...] = ()) -> None:
        self.paths, self._masks = tuple(paths), masks
        self.labels: tuple[str, bytes] | None = None
        self._kinds: dict[str, int] = {}  # member name behind the key -> its number
        keys: list[str] = []
        shard_of: list[int] = []
        rows: list[tuple[int, int, int]] = []
        start = [0]
        for number, path in enumerate(self.paths):
            samples = self._samples(path)
            if not samples:
                raise DataError(f"{path} holds no sample; expected members such as 0001.jpg and 0001.png.")
            for key, members in samples.items():
                keys.append(key)
                shard_of.append(number)
                rows += [(offset, size, self._kind(kind)) for kind, (offset, size) in members.items()]
                start.append(len(rows))
        self._keys, self._shard = tuple(keys), np.array(shard_of, np.int32)
        self._start, self._members = np.array(start, np.int64), np.array(rows, _MEMBER)
        self._names = tuple(self._kinds)

    def _kind(self, name: str) -> int:
        return self._kinds.setdefault(name, len(self._kinds))

    def _samples(self, path: Path) -> dict[str, dict[str, tuple[int, int]]]:
        """{key: {member name behind the key: (offset, size)}} of one shard, of the members that may be read."""
        samples: dict[str, dict[str, tuple[int, int]]] = {}
        for name, offset, size in tar_members(path):
            folder, slash, file = name.rpartition("/")
            if file == "labels.csv":
                self._take_labels(path, name, offset, size)
                continue
            stem, dot, kind = file.partition(".")
            if not stem or not dot:
                continue  # a hidden file, or one without a kind, belongs to no sample
            members = samples.setdefault(folder + slash + stem, {})
            kind = kind if kind in self._masks else kind.lower()
            if kind in members:
                raise DataError(f"{path}: the member {name!r} comes twice. A key may have each kind once.")
            if kind in _IMAGES or kind in ("cls", "json") or _MASK.fullmatch(kind) or kind in self._masks:
                members[kind] = offset, size
        for key, members in samples.items():
            images = [kind for kind in _IMAGES if kind in members and kind not in self._masks]
            if len(images) > 1 and images[1] != "png":
                raise DataError(
                    f"{path}: the sample {key!r} has the images {', '.join(images)}. Keep one of them."
                )
            if not images:
                raise DataError(
                    f"{path}: the sample {key!r} has no image ({', '.join(members) or 'no member that is read'}); "
                    f"expected {key}.jpg or one of {', '.join(_IMAGES[1:])}."
                )
        return samples

    def _take_labels(self, path: Path, name: str, offset: int, size: int) -> None:
        place, data = f"{path}:{name}", read_at(path, offset, size, name)
        if self.labels is not None and self.labels[1] != data:
            raise DataError(f"{place} differs from {self.labels[0]}. All shards must name the labels alike.")
        self.labels = self.labels or (place, data)

    def image_names(self) -> list[str]:
        """<shard>/<key>.<kind> of each sample; <shard> is the tar's name without .tar, below their common folder."""
        common = os.path.commonpath([path.parent for path in self.paths])
        shards = [path.relative_to(common).with_suffix("").as_posix() for path in self.paths]
        return [
            f"{shards[shard]}/{key}.{self.image_of(index)}"
            for index, (shard, key) in enumerate(zip(self._shard.tolist(), self._keys, strict=True))
        ]

    def path_of(self, index: int) -> Path:
        return self.paths[int(self._shard[index])]

    def _kinds_of(self, index: int) -> list[str]:
        rows = self._members["kind"][self._start[index] : self._start[index + 1]]
        return [self._names[kind] for kind in rows.tolist()]

    def has(self, index: int, kind: str) -> bool:
        return kind in self._kinds_of(index)

    def image_of(self, index: int) -> str:
        """What the image of a sample is called behind the key."""
        kinds = self._kinds_of(index)
        return next(kind for kind in _IMAGES if kind in kinds and kind not in self._masks)

    def masks_of(self, index: int) -> list[str]:
        """What the masks of a sample are called behind the key, in order."""
        kinds, image = self._kinds_of(index), self.image_of(index)
        if self._masks:
            return [kind for kind in self._masks if kind in kinds]
        return sorted(kind for kind in kinds if kind != image and (kind == "png" or _MASK.fullmatch(kind)))

    def read(self, index: int, kind: str) -> bytes:
        """A member's bytes.

        Raises:
            DataError: the shard is no longer there, or shorter than it was.
        """
        row = self._members[self._start[index] + self._kinds_of(index).index(kind)]
        what = f"{self._keys[index]}.{kind}"
        return read_at(self.path_of(index), int(row["offset"]), int(row["size"]), what)
