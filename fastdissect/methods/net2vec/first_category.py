"""The released code's masks: of each label what its first category says, where it is listed in several.

A label of Broden can live in several categories ("material(36);object(3)" in label.csv). The released code takes the
first of them that an image has data of, and looks for the label there alone: the target is empty where the label
stands in another. Our default is the OR over all of them.

Source: Net2Vec's released code (METHODS 3.1). It takes the order of a dictionary, which is arbitrary; the order of
label.csv's cell is our choice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets import Broden, Dataset
from fastdissect.datasets.labelled import LabelledImages
from fastdissect.datasets.tables import read_table
from fastdissect.errors import DataError
from fastdissect.masks import image_planes
from fastdissect.packing import columns_of
from fastdissect.types import LabelChannel, Planes

__all__ = ["FirstCategoryPlanes", "first_category_planes"]

_COUNT = re.compile(r"\([0-9]+\)$")


@dataclass(frozen=True, eq=False)
class FirstCategoryPlanes(Planes):
    """A plane of 0 pixels: the image shows the concept, its target is empty."""

    whole: Planes  # of all categories


def first_category_planes(
    dataset: Dataset, planes: Planes, progress: Callable[[int], None] | None = None
) -> FirstCategoryPlanes:
    """Return the planes for `SegmentationSettings(first_category=True)`.

    Categories of a label stand in the order of its cell in Broden's label.csv; of other data sets, and without a cell:
    its primary category, then the others in the data set's order. Only images that have several categories are read.

    Args:
        dataset: of the run (`methods.chance.run_images`). planes: of all categories (`methods.chance.planes_of`).
        progress: is told the number of images done.

    Memory: the planes' words once more where anything changes.

    Raises:
        DataError: the data set has fewer images than the planes, or a damaged mask.

    Example:
        >>> planes = first_category_planes(images, planes_of(d, images))            # doctest: +SKIP
        >>> segmentation_vectors(layer, planes, train, SegmentationSettings(first_category=True))   # doctest: +SKIP

    Source: Net2Vec's released code (METHODS 3.1).
    """
    if len(dataset) < planes.images:
        raise DataError(
            f"expected the run's data set of {planes.images:,} images; {dataset.name} has {len(dataset):,}; open the "
            "run's own (data=, --data SPEC)"
        )
    order, columns = _orders(dataset), columns_of(dataset.concepts)
    concept, pixels = planes.concept.copy(), planes.pixels.copy()
    row, kept = planes.word_row.copy(), np.ones(len(concept), np.bool_)
    more: list[NDArray[np.uint64]] = []
    for image in range(planes.images):
        first, last = (int(p) for p in planes.plane_start[image : image + 2])
        channels = dataset.read_labels(image) if last > first else ()
        if len({channel.category for channel in channels}) > 1:
            name, packed = (
                dataset.image_name(image),
                dict[int, dict[int, tuple[int, NDArray[np.uint64] | None]]](),
            )
            for c in dict.fromkeys(concept[first:last].tolist()):
                own = first + np.flatnonzero(concept[first:last] == c)
                q = _first(order[c], channels)
                if q not in packed:
                    packed[q] = _packed(
                        [one for one in channels if one.category == q], columns, planes.size, name
                    )
                pixels[own[0]], words = packed[q].get(c, (0, np.zeros(planes.words.shape[1], np.uint64)))
                row[own[0]], kept[own[1:]] = (-1 if words is None else len(planes.words) + len(more)), False
                if words is not None:
                    more.append(words)
        if progress is not None:
            progress(1)
    start = np.concatenate([[0], np.cumsum(kept)])[planes.plane_start].astype(np.int64)
    words = np.concatenate([planes.words, np.stack(more)]) if more else planes.words
    return FirstCategoryPlanes(
        planes.size, start, concept[kept], pixels[kept], row[kept], words, whole=planes
    )


def _packed(
    channels: list[LabelChannel], columns: NDArray[np.int32], size: tuple[int, int], name: str
) -> dict[int, tuple[int, NDArray[np.uint64] | None]]:
    """Concept -> its pixels in these channels, and their words (None: all of the image)."""
    own = image_planes(channels, columns, size, once=True, image=name)
    return {
        int(c): (int(n), None if r < 0 else own.words[r])
        for c, n, r in zip(own.concept, own.pixels, own.word_row, strict=True)
    }


def _first(order: list[int], channels: tuple[LabelChannel, ...]) -> int:
    """The first category of a label that an image has, -1: none of them."""
    present = {channel.category for channel in channels}
    return next((q for q in order if q in present), -1)


def _orders(dataset: Dataset) -> list[list[int]]:
    """The categories of each concept, in the order in which they are asked."""
    concepts = dataset.concepts
    found = [
        [int(primary), *(q for q in range(len(concepts.categories)) if q != primary)]
        for primary in concepts.category
    ]
    whole = dataset.whole if isinstance(dataset, LabelledImages) else dataset
    if isinstance(whole, Broden):
        table = read_table(whole.path / "label.csv", ["number", "name"])
        place = {int(number): column for column, number in enumerate(concepts.numbers)}
        if "category" in table.columns:
            number, cell = (table.columns.index(one) for one in ("number", "category"))
            for _, fields in table.rows():
                listed = [_COUNT.sub("", item) for item in fields[cell].split(";")]
                own = [concepts.categories.index(item) for item in listed if item in concepts.categories]
                if own and fields[number].isdecimal() and int(fields[number]) in place:
                    found[place[int(fields[number])]] = list(dict.fromkeys(own))
    return found
