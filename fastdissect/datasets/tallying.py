"""Counting labels: in how many images each occurs, and how much of them it covers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastdissect.errors import DataError
from fastdissect.types import Array, Concepts, LabelChannel

__all__ = ["LabelTally"]


class LabelTally:
    """Totals over images, by label and by the category whose channel carried it.

    A label counts once at a pixel of a category, even where several channels repeat it.

    Attributes:
        concepts: the vocabulary; its columns are the rows of the arrays.
        images: int64 [concepts, categories], images where the label covers at least one pixel.
        pixels: int64 [concepts, categories], pixels, each image at the size that `add` was told.
        coverage: float64 [concepts, categories], the sum of fractions of image area.
        category_images: int64 [categories], images with at least one label of the category.
        category_pixels: int64 [categories], pixels that carry at least one label of the category.
    """

    def __init__(self, concepts: Concepts) -> None:
        self.concepts = concepts
        shape = len(concepts), len(concepts.categories)
        self.images = np.zeros(shape, dtype=np.int64)
        self.pixels = np.zeros(shape, dtype=np.int64)
        self.coverage = np.zeros(shape, dtype=np.float64)
        self.category_images = np.zeros(shape[1], dtype=np.int64)
        self.category_pixels = np.zeros(shape[1], dtype=np.int64)
        self._highest = int(concepts.numbers.max())
        # label number -> column, -1 for numbers that are no label
        self._column = np.full(self._highest + 1, -1, dtype=np.int64)
        self._column[concepts.numbers] = np.arange(len(concepts))

    def add(self, channels: Sequence[LabelChannel], size: tuple[int, int]) -> None:
        """Count one image's labels.

        Args:
            channels: as `Dataset.read_labels` returns them, all of one size.
            size: that size; a label of the whole image covers all of it.

        Raises:
            DataError: a number that is not in the vocabulary, or a channel of another size; nothing is counted.
        """
        area = size[0] * size[1]
        counted = []
        for category in sorted({channel.category for channel in channels}):
            maps = [channel.labels for channel in channels if channel.category == category]
            columns, pixels, covered = self._count(maps, size, area)
            counted.append((category, columns, pixels, covered))
        for category, columns, pixels, covered in counted:
            self.images[columns, category] += 1
            self.pixels[columns, category] += pixels
            self.coverage[columns, category] += pixels / area
            self.category_images[category] += covered > 0
            self.category_pixels[category] += covered

    def _count(self, maps: list[Array | int], size: tuple[int, int], area: int) -> tuple[Array, Array, int]:
        """Columns of the labels in a category's channels, the pixels of each, and the pixels of any."""
        whole = sorted({labels for labels in maps if isinstance(labels, int)})
        drawn = [labels for labels in maps if not isinstance(labels, int)]
        for labels in drawn:
            if labels.shape != size:
                raise DataError(f"a label channel is {labels.shape[0]} x {labels.shape[1]}, expected {size}.")
        if len(drawn) <= 1:
            counts = np.bincount(drawn[0].ravel()) if drawn else np.zeros(1, dtype=np.int64)
            covered = area - int(counts[0]) if drawn else 0
        else:
            stacked = np.stack(drawn).astype(np.int64)
            pixel = np.arange(area).reshape(size) * (int(stacked.max()) + 1)
            distinct = np.unique(stacked + pixel) % (int(stacked.max()) + 1)
            counts = np.bincount(distinct)
            covered = int(stacked.any(axis=0).sum())
        numbers = np.flatnonzero(counts)
        numbers = numbers[(numbers > 0) & ~np.isin(numbers, whole)]
        pixels = np.concatenate([counts[numbers], np.full(len(whole), area, dtype=np.int64)])
        numbers = np.concatenate([numbers, np.array(whole, dtype=np.int64)])
        unknown = (numbers > self._highest) | (self._column[np.minimum(numbers, self._highest)] < 0)
        if unknown.any():
            raise DataError(f"label number {int(numbers[unknown][0])} is not in the data set's vocabulary.")
        return self._column[numbers], pixels, area if whole else covered
