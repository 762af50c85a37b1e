"""A data set whose labels come from a network, block by block of its own order.

A network's arithmetic may depend on the batch, so block b is images b * batch ..., always, whoever asks for a label and
in whatever order. The network lives in the process that runs; worker processes decode and resize alone.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.labelled import LabelledImages
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.segmented.options import check_whole
from fastdissect.datasets.segmented.segmenter import Segmenter, Size
from fastdissect.errors import DataError
from fastdissect.types import LabelChannel

__all__ = ["NetworkLabels", "Prepared", "labelled_by_network", "map_size"]

Labels = tuple[LabelChannel, ...]


class Prepared(NamedTuple):
    """An image on its way to the segmenter."""

    pixels: NDArray[np.uint8]  # [height, width, 3], as the segmenter wants it
    size: Size  # of its label maps


class NetworkLabels(Dataset):
    """Images whose labels a segmenter makes.

    Args:
        batch: images that the segmenter sees at a time. side: the longer side of the label maps, at most.
    """

    makes_images = False  # True: the dissected network's input is `read_input`, the image what it makes of it

    def __init__(self, segmenter: Segmenter, batch: int, side: int) -> None:
        check_whole("batch", batch, 1, 1 << 20)
        check_whole("side", side, 1, 1 << 16)
        self.segmenter, self.batch, self.side = segmenter, batch, side
        self.concepts = segmenter.concepts
        self._last: tuple[int, list[Labels]] | None = None  # the block that was asked for last

    @abc.abstractmethod
    def read_input(self, index: int) -> tuple[NDArray[np.float32], str]:
        """The dissected network's input where it is not the image, and the hex digest of its bytes."""

    def is_labelled(self, index: int) -> bool:
        del index
        return True  # maps may be empty; they are there

    def prepare(self, pixels: NDArray[np.uint8]) -> Prepared:
        """Resize an image for the segmenter; in whatever process decoded it."""
        return Prepared(self.segmenter.prepare(pixels), map_size(pixels.shape[:2], self.side))

    def read_labels(self, index: int) -> Labels:
        return self.labels_of([index], {})[0]

    def labels_of(self, indices: Sequence[int], at_hand: Mapping[int, Prepared]) -> list[Labels]:
        """Labels of some images, made whole blocks at a time; the last block is remembered.

        Args:
            at_hand: images that were prepared already; others are read.

        Raises:
            DataError: asked for in a worker process.
        """
        return [self._block(index // self.batch, at_hand)[index % self.batch] for index in indices]

    def _block(self, number: int, at_hand: Mapping[int, Prepared]) -> list[Labels]:
        if self._last is None or self._last[0] != number:
            _check_process(self.name)
            members = range(number * self.batch, min(len(self), (number + 1) * self.batch))
            images = [at_hand[i] if i in at_hand else self.prepare(self.read_image(i)[0]) for i in members]
            labels = self.segmenter.segment([i.pixels for i in images], [i.size for i in images])
            self._last = number, _checked(labels, [i.size for i in images], self.segmenter.name)
        return self._last[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}

    def record(self) -> dict[str, Any]:
        """What run.json says of the labels."""
        return {"segmenter": {**self.segmenter.record(), "batch": self.batch, "side": self.side}}


def labelled_by_network(dataset: Dataset, index: int = 0) -> tuple[NetworkLabels | None, int]:
    """The data set behind some images of it whose labels a network makes, and an image's number there.

    None where the labels are read, as of most sets.
    """
    while isinstance(dataset, LabelledImages):
        index, dataset = int(dataset.kept[index]) if len(dataset) else index, dataset.whole
    return (dataset if isinstance(dataset, NetworkLabels) else None), index


def map_size(image: tuple[int, ...], side: int) -> Size:
    """Size of an image's label maps: its own, or smaller at the same aspect.

    >>> map_size((400, 600), 300), map_size((20, 30), 300)
    ((200, 300), (20, 30))
    """
    longest = max(image)
    if longest <= side:
        return int(image[0]), int(image[1])
    return max(1, round(image[0] * side / longest)), max(1, round(image[1] * side / longest))


def _checked(labels: list[Labels], sizes: list[Size], name: str) -> list[Labels]:
    """What a segmenter gave for a block, once it is seen to fit its images."""
    shapes = [[np.shape(channel.labels) for channel in own] for own in labels]
    if [set(own) for own in shapes] != [{size} for size in sizes]:
        raise DataError(
            f"segmenter {name!r}: expected for each of {len(sizes)} images at least one label map, of the sizes {sizes[:4]}; "
            f"got maps of {shapes[:4]}; mend its segment()"
        )
    return labels


def _check_process(name: str) -> None:
    from torch.utils.data import get_worker_info

    if get_worker_info() is not None:  # torch would hang there: it has threads that a forked child lacks
        raise DataError(
            f"{name}: expected its labels to be read in the main process, where the network is; a DataLoader's worker "
            "asked for them; give the data set itself, or a loader with num_workers=0"
        )
