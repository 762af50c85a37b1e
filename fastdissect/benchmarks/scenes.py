"""Label maps for the benchmarks: a small Broden of generated images, or blocks of random labels."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets import Dataset, Shapes
from fastdissect.datasets.labelled import LabelledImages
from fastdissect.datasets.resize import resize_labels
from fastdissect.masks import image_planes
from fastdissect.packing import columns_of, join_planes
from fastdissect.types import Concepts, LabelChannel, Planes

__all__ = ["Blocks", "SavedLabels", "labelled_shapes", "read_labels"]


class SavedLabels(NamedTuple):
    """Label channels of consecutive images, resized to the masks' size; a row a channel, in the data set's order.

    image[c], category[c]; number[c] > 0: the label of the whole image; else maps[row[c]] is its map.
    """

    images: int
    maps: NDArray[np.uint16]  # [maps, height, width]
    image: NDArray[np.int64]
    category: NDArray[np.int64]
    number: NDArray[np.int64]
    row: NDArray[np.int64]

    @property
    def size(self) -> tuple[int, int]:
        return (int(self.maps.shape[1]), int(self.maps.shape[2]))

    def first(self, images: int) -> SavedLabels:
        """The same of the first so many images."""
        own = self.image < images
        return SavedLabels(
            min(images, self.images),
            self.maps,
            *(a[own] for a in (self.image, self.category, self.number, self.row)),
        )

    def thinned(self, step: int) -> SavedLabels:
        """The same with every step-th row and column."""
        return self._replace(maps=np.ascontiguousarray(self.maps[:, ::step, ::step]))

    def channels(self) -> list[list[LabelChannel]]:
        """The channels of every image."""
        found: list[list[LabelChannel]] = [[] for _ in range(self.images)]
        for image, category, number, row in zip(*(a.tolist() for a in self[2:]), strict=True):
            found[image].append(LabelChannel(category, number or self.maps[row]))
        return found

    def planes(self, concepts: Concepts, *, once: bool) -> Planes:
        """Packed planes of all images."""
        columns = columns_of(concepts)
        packed = (image_planes(c, columns, self.size, once=once) for c in self.channels())
        return join_planes(packed, self.size)

    def dense(self, channels: int | None = None) -> NDArray[np.int64]:
        """int64 [images, channels, height, width], filled with 0 where an image has fewer; whole images too."""
        found = self.channels()
        depth = channels or max(1, *(len(c) for c in found))
        labels = np.zeros((self.images, depth, *self.size), np.int64)
        for i, image in enumerate(found):
            for j, channel in enumerate(image):
                labels[i, j] = channel.labels
        return labels


def read_labels(dataset: Dataset, size: tuple[int, int]) -> SavedLabels:
    """Decode all labels of a data set and bring them to the masks' size (nearest neighbour)."""
    maps: list[NDArray[Any]] = []
    rows: list[tuple[int, int, int, int]] = []
    for image in range(len(dataset)):
        for channel in dataset.read_labels(image):
            if isinstance(channel.labels, np.ndarray):
                rows.append((image, channel.category, 0, len(maps)))
                maps.append(resize_labels(channel.labels, size).astype(np.uint16))
            else:
                rows.append((image, channel.category, channel.labels, -1))
    stacked = np.stack(maps) if maps else np.zeros((0, *size), np.uint16)
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    return SavedLabels(len(dataset), stacked, *columns)


def labelled_shapes(images: int, size: int) -> Dataset:
    """So many generated images, all with labels: NetDissect-Lite leaves out those without."""
    whole = Shapes(2 * images + 20, size)  # far more than are needed: few have none
    shown = (i for i in range(len(whole)) if whole.is_labelled(i))
    return LabelledImages(whole, np.array(list(itertools.islice(shown, images)), np.int64))


class Blocks(Dataset):
    """Images of 4 x 4 blocks, each of another label: 16 labels an image, of `labels` in all; empty pictures."""

    def __init__(self, images: int, labels: int, size: int = 224) -> None:
        self.name, self.images, self.labels, self.size = "blocks", images, labels, size
        numbers = np.arange(1, labels + 1)
        names = tuple(f"label {i}" for i in numbers)
        categories = ("object", "part")
        self.concepts = Concepts(numbers, names, (numbers - 1) % len(categories), categories)

    def __len__(self) -> int:
        return self.images

    def image_name(self, index: int) -> str:
        return f"{index:06d}.png"

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        return np.zeros((self.size, self.size, 3), np.uint8), f"{index:032x}"

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        rng = np.random.default_rng(index)
        blocks = rng.choice(self.labels, 16, replace=self.labels < 16).reshape(4, 4) + 1
        labels = np.kron(blocks, np.ones((self.size // 4, self.size // 4), np.int64)).astype(np.uint16)
        own = (labels - 1) % 2  # label numbers alternate between the categories
        return tuple(LabelChannel(q, np.where(own == q, labels, 0).astype(np.uint16)) for q in (0, 1))

    def files(self, index: int) -> tuple[Path, ...]:
        del index
        return ()

    def fingerprint(self) -> str:
        return f"blocks {self.images} {self.labels} {self.size}"
