"""The images of a data set that carry a label: what a run under `unlabelled="removed"` sees of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.files import digest
from fastdissect.datasets.protocol import Dataset
from fastdissect.errors import DataError
from fastdissect.types import LabelChannel

__all__ = ["LabelledImages", "without_unlabelled"]


class LabelledImages(Dataset):
    """Some images of a data set, numbered from 0 in its order.

    Attributes:
        kept: int64 [images], their numbers in the whole set.
    """

    def __init__(self, whole: Dataset, kept: NDArray[np.int64]) -> None:
        self.whole, self.kept = whole, kept
        self.name, self.concepts = whole.name, whole.concepts
        self.relations, self.synonyms = whole.relations, whole.synonyms
        self.keeps_planes = whole.keeps_planes

    def __len__(self) -> int:
        return len(self.kept)

    def image_name(self, index: int) -> str:
        return self.whole.image_name(int(self.kept[index]))

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        return self.whole.read_image(int(self.kept[index]))

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        return self.whole.read_labels(int(self.kept[index]))

    def is_labelled(self, index: int) -> bool:
        return self.whole.is_labelled(int(self.kept[index]))

    def files(self, index: int) -> tuple[Path, ...]:
        return self.whole.files(int(self.kept[index]))

    def content_stamp(self, index: int) -> int:
        return self.whole.content_stamp(int(self.kept[index]))

    def fingerprint(self) -> str:
        return digest(b"labelled\0", self.whole.fingerprint().encode(), self.kept.tobytes())


def without_unlabelled(dataset: Dataset) -> Dataset:
    """Leave out the images without a label channel; the very same data set where every image has one.

    A mask that is empty throughout is a label channel all the same, as NetDissect's loaders have it.

    Raises:
        DataError: no image has one.

    Example:
        >>> from fastdissect.datasets.shapes import Shapes
        >>> data = Shapes(images=3, size=16)
        >>> without_unlabelled(data) is data
        True
    """
    kept = np.flatnonzero([dataset.is_labelled(index) for index in range(len(dataset))])
    if len(dataset) and not len(kept):
        raise DataError(
            f'{dataset.name}: expected at least one image with a label (unlabelled="removed"); got none of '
            f"{len(dataset):,}; see to its index, or keep them"
        )
    return dataset if len(kept) == len(dataset) else LabelledImages(dataset, kept.astype(np.int64))
