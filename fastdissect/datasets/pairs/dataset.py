"""Pairs of (image, labels) from Python: any map-style torch Dataset, or anything with a length and items, as a data set.

data[i] -> (image, labels)       image: see pixels, labels: see labels
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.files import digest
from fastdissect.datasets.index import same_aspect
from fastdissect.datasets.mask_values import MaskValues
from fastdissect.datasets.pairs.labels import label_channels
from fastdissect.datasets.pairs.pixels import pixels_of
from fastdissect.datasets.protocol import Dataset
from fastdissect.errors import DataError
from fastdissect.types import Concepts, LabelChannel

__all__ = ["Pairs"]

_SAMPLED = 8  # items that the fingerprint is of


class Pairs(Dataset):
    """A Python object of (image, labels) as a data set; items are read in worker processes, as a DataLoader's are.

    Give it images as they were decoded: fastdissect resizes images and masks together, and normalises as the model
    states. Its items must be the same each time. The fingerprint is of a sample of the items, so each item's content
    is its stamp, and packed masks are not kept between runs.

    Args:
        data: has `len(data)` and `data[i]`.
        concepts: the vocabulary.
        ignore: a value of label maps that means none, unless the concepts have it.

    Raises:
        DataError: no item, items that are no such pairs, or a first item that differs when it is read again.

    Example:
        >>> image, labels = np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.uint8)
        >>> cat = Concepts(np.array([1]), ("cat",), np.array([0]), ("object",))
        >>> Pairs([(image, labels)], cat).read_labels(0)[0].labels.sum()
        np.uint64(64)
    """

    keeps_planes = False

    def __init__(self, data: Any, concepts: Concepts, *, ignore: int = 255) -> None:
        self.data, self.concepts, self.ignore = data, concepts, ignore
        self.name = f"Pairs of {type(data).__name__}"
        self._values = MaskValues(concepts, none=[ignore])
        self._last: tuple[int, Any] | None = None  # an image and its labels are asked for one after the other
        self._fingerprint: str | None = None
        try:
            images = len(data)
        except TypeError as error:
            raise DataError(
                f"{self.name}: expected a data set with a length and items by number; got {error}. Give it __len__."
            ) from error
        if not images:
            raise DataError(f"{self.name}: expected at least one image; got none.")
        first = self._content(0)
        self._last = None
        if self._content(0) != first:
            raise DataError(
                f"{self.name}: item 0 differs when it is read again, so that no run could be repeated or gone on with. "
                "Leave random transforms out; resizing and normalising are done by fastdissect."
            )

    def __len__(self) -> int:
        return len(self.data)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_last": None}

    def image_name(self, index: int) -> str:
        return f"{index:08d}"

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        pixels = pixels_of(self._item(index)[0], self._what(index))
        return pixels, digest(repr(pixels.shape).encode(), pixels.tobytes())

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        what, (image, labels) = self._what(index), self._item(index)
        height, width, _ = pixels_of(image, what).shape
        channels = label_channels(labels, self.concepts, self._values, what, (height, width))
        for channel in channels:
            if isinstance(channel.labels, np.ndarray) and not same_aspect(
                (height, width), channel.labels.shape
            ):
                raise DataError(
                    f"{what} is {height} x {width} and its labels {' x '.join(map(str, channel.labels.shape))} (height "
                    "x width); expected the same aspect. Transform image and labels alike."
                )
        return channels

    def files(self, index: int) -> tuple[Path, ...]:
        del index
        return ()

    def content_stamp(self, index: int) -> int:
        """64 bits of a digest of the item: what tells, without files, whether it has changed."""
        return int(self._content(index)[:16], 16)

    def fingerprint(self) -> str:
        """Digest of the length, the type's name, the first, the last and some evenly spaced items."""
        if self._fingerprint is None:
            count = min(_SAMPLED, len(self))
            sample = [i * (len(self) - 1) // max(count - 1, 1) for i in range(count)]
            words = f"{type(self.data).__qualname__} {len(self)} {self.ignore} {self.concepts.names}"
            numbers = (
                self.concepts.numbers.astype("<i8").tobytes() + self.concepts.category.astype("<i8").tobytes()
            )
            self._fingerprint = digest(
                b"pairs\0",
                words.encode(errors="surrogateescape"),
                numbers,
                *(self._content(i).encode() for i in sample),
            )
        return self._fingerprint

    def _what(self, index: int) -> str:
        return f"image {index} of {type(self.data).__name__}"

    def _item(self, index: int) -> tuple[Any, Any]:
        if self._last is not None and self._last[0] == index:
            image, labels = self._last[1]
            return image, labels
        item = self.data[index]
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            parts = (
                f" of {', '.join(type(part).__name__ for part in item)}"
                if isinstance(item, (tuple, list))
                else ""
            )
            raise DataError(
                f"{self._what(index)} is a {type(item).__name__}{parts}; expected a pair (image, labels). Wrap the data set."
            )
        self._last = index, item
        return item[0], item[1]

    def _content(self, index: int) -> str:
        """Digest of an item's pixels and labels."""
        return digest(self.read_image(index)[1].encode(), *_words(self.read_labels(index)))


def _words(channels: Sequence[LabelChannel]) -> list[bytes]:
    return [
        f"{category} {labels} ".encode() if isinstance(labels, int)
        else f"{category} {labels.shape} ".encode() + labels.astype("<u2").tobytes()
        for category, labels in channels
    ]  # fmt: skip
