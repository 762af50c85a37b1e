"""Is a data set what it says? Reads images and labels, counts labels, collects problems, shows masks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.index import same_aspect
from fastdissect.datasets.overlays import write_overlays
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.resize import resize_labels
from fastdissect.datasets.tallying import LabelTally
from fastdissect.errors import DataError, SettingError
from fastdissect.types import Concepts, LabelChannel

__all__ = ["DatasetReport", "check_dataset"]

MAX_PROBLEMS = 50


@dataclass(frozen=True, eq=False)
class DatasetReport:
    """What `check_dataset` found. Totals are over the images that were checked and had no problem."""

    name: str
    images: int  # in the data set
    checked: int  # of them read
    splits: Mapping[str, int]  # images of each split, of the whole data set; empty where it has none
    unlabelled: int  # images that carry no label
    image_sizes: Mapping[tuple[int, int], int]  # (height, width) -> images
    concepts: Concepts
    concept_images: NDArray[np.int64]  # [concepts], images with at least one pixel of the label
    concept_pixels: NDArray[np.int64]  # [concepts], mask pixels; labels of whole images count them all
    category_images: NDArray[np.int64]  # [categories], images with at least one label of the category
    category_pixels: NDArray[np.int64]  # [categories], mask pixels with at least one label of the category
    problems: tuple[str, ...]  # the first 50
    problem_count: int
    overlays: Path | None  # the contact sheet
    resized: Mapping[tuple[tuple[int, int], tuple[int, int]], int] = field(default_factory=dict)
    """Images with a mask of another size: (height, width) of image and mask -> images."""
    seconds: float = 0.0  # for reading images and labels, and counting them

    @property
    def resized_images(self) -> int:
        """Images that have a mask of another size than their own."""
        return sum(self.resized.values())

    @property
    def ok(self) -> bool:
        return self.problem_count == 0


def check_dataset(
    dataset: Dataset,
    *,
    overlays: int = 8,
    out: str | Path | None = None,
    images: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DatasetReport:
    """Read every image and all its labels; a problem is noted, and the check goes on.

    Args:
        dataset: any data set.
        overlays: how many images the contact sheet shows, evenly spaced; 0 for none.
        out: where to write the contact sheet (PNG); None writes nothing.
        images: check the first so many images only; None checks all.
        progress: called with (images done, images to do) after each image.

    Returns:
        Image counts, label totals and problems. An image's masks are counted at the size of its first label map
        (half the image's where it has labels of the whole image only).

    Raises:
        SettingError: `overlays` below 0 or `images` below 1.
        OutputError: the contact sheet cannot be written.

    Example:
        >>> from fastdissect.datasets import Shapes
        >>> check_dataset(Shapes(images=20, size=32)).ok
        True
    """
    if overlays < 0 or (images is not None and images < 1):
        raise SettingError(f"expected overlays >= 0 and images >= 1, got {overlays} and {images}.")
    total = len(dataset) if images is None else min(images, len(dataset))
    tally = LabelTally(dataset.concepts)
    concept_images = np.zeros(len(dataset.concepts), dtype=np.int64)
    sizes: Counter[tuple[int, int]] = Counter()
    resized: Counter[tuple[tuple[int, int], tuple[int, int]]] = Counter()
    started = time.perf_counter()
    problems: list[str] = []
    problem_count = unlabelled = 0
    good: list[int] = []
    for index in range(total):
        try:
            pixels, _ = dataset.read_image(index)
            height, width, _ = pixels.shape
            channels, size, other = _at_one_size(dataset.read_labels(index), (height, width))
            before = tally.images.copy()
            tally.add(channels, size)
        except DataError as error:
            problem_count += 1
            if len(problems) < MAX_PROBLEMS:
                problems.append(f"{dataset.image_name(index)}: {error}")
        else:
            found = (tally.images > before).any(axis=1)
            concept_images += found
            unlabelled += not found.any()
            sizes[(height, width)] += 1
            if other is not None:
                resized[(height, width), other] += 1
            good.append(index)
        if progress is not None:
            progress(index + 1, total)
    seconds = time.perf_counter() - started
    sheet = None
    if out is not None and overlays and good:
        chosen = [good[i * len(good) // min(overlays, len(good))] for i in range(min(overlays, len(good)))]
        sheet = write_overlays(dataset, chosen, out)
    return DatasetReport(
        name=dataset.name,
        images=len(dataset),
        checked=total,
        splits=dict(Counter(getattr(dataset, "splits", ()))),
        unlabelled=unlabelled,
        image_sizes=dict(sizes),
        concepts=dataset.concepts,
        concept_images=concept_images,
        concept_pixels=tally.pixels.sum(axis=1),
        category_images=tally.category_images,
        category_pixels=tally.category_pixels,
        problems=tuple(problems),
        problem_count=problem_count,
        overlays=sheet,
        resized=dict(resized),
        seconds=seconds,
    )


def _at_one_size(
    channels: tuple[LabelChannel, ...], image: tuple[int, int]
) -> tuple[tuple[LabelChannel, ...], tuple[int, int], tuple[int, int] | None]:
    """Bring an image's label maps to the size of the first, once each has been held against the image.

    Returns:
        The channels, their size, and the size of the first map that has another one than the image.
    """
    size = other = None
    same = []
    for channel in channels:
        if isinstance(channel.labels, int):
            same.append(channel)
            continue
        shape = channel.labels.shape[0], channel.labels.shape[1]
        if not same_aspect(image, shape):
            raise DataError(
                f"a mask is {shape[0]} x {shape[1]} and the image {image[0]} x {image[1]}; expected the same aspect."
            )
        size = size or shape
        if other is None and shape != image:
            other = shape
        same.append(LabelChannel(channel.category, resize_labels(channel.labels, size)))
    return tuple(same), size or (max(1, image[0] // 2), max(1, image[1] // 2)), other
