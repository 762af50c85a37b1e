"""Any data set -> the simplest format, `folder:PATH`: grey masks that any image viewer and any editor opens.

    labels.csv                                 number,name,category,synonyms
    images/any/where/photo.jpg                 copied as they are
    masks/<category>/any/where/photo.png       label numbers; .2.png, .3.png, ...: further channels
    image_labels.csv                           image,label: labels of whole images
    relations.csv                              child,parent,kind, where the set has any

Our own format; docs/datasets.md states it in full.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fastdissect.datasets.image_files import IMAGE_SUFFIXES
from fastdissect.datasets.label_tables import synonyms_cell, write_table
from fastdissect.datasets.naming import check_categories, file_names
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.writing_files import (
    check_labels,
    new_folder,
    save_png,
    write_image,
    write_relations,
)
from fastdissect.errors import DataError
from fastdissect.types import Array, Concepts, LabelChannel

__all__ = ["write_folder"]

log = logging.getLogger("fastdissect")

_MOST_CHANNELS = 999  # three digits


def write_folder(
    dataset: Dataset, path: str | Path, *, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Write a data set as `folder:PATH` reads it: labels keep their numbers, masks their size.

    Image files are copied as they are, generated images written as PNG. A mask is 8-bit grey, or 16-bit where it
    holds a number above 255. The folder is written beside `path` and renamed when it is complete.

    Args:
        dataset: any data set.
        path: the folder to make; it must not exist.
        progress: called with (images done, images) after each image.

    Returns:
        The folder.

    Raises:
        DataError: a name cannot stand in the format, two images would share a mask, a category has channels and no
            label of its own, or a label number is above 65535.
        OutputError: the folder exists or cannot be written; nothing half-written is left.

    Example:
        >>> write_folder(Shapes(images=100), "shapes_folder")  # doctest: +SKIP
        PosixPath('shapes_folder')
    """
    with new_folder(path) as (folder, target):
        _write(dataset, folder, progress)
    return target


def _write(dataset: Dataset, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    concepts = dataset.concepts
    check_categories(dataset)
    names = file_names(dataset)
    stems = _stems(names)
    _write_labels(dataset, folder)
    own = frozenset(concepts.category.tolist())
    unlisted = [name for q, name in enumerate(concepts.categories) if q not in own]
    if unlisted:
        log.info("categories without a label of their own are left out: %s", ", ".join(unlisted))
    primary = dict(zip(concepts.numbers.tolist(), concepts.category.tolist(), strict=True))
    whole: list[tuple[str, int]] = []
    for index, name in enumerate(names):
        size = write_image(dataset, index, folder / "images" / name)
        channels = dataset.read_labels(index)
        check_labels(channels, name)
        maps: dict[int, list[Array]] = {}
        for channel in channels:
            if channel.category not in own:
                raise _without_label(concepts, channel, name)
            if isinstance(channel.labels, int) and primary.get(channel.labels) == channel.category:
                whole.append((name, channel.labels))
            else:
                maps.setdefault(channel.category, []).append(_as_map(channel, size))
        for category, labels in maps.items():
            _write_masks(folder / "masks" / concepts.categories[category], name, labels, stems)
        if progress is not None:
            progress(index + 1, len(names))
    if whole:
        write_table(folder / "image_labels.csv", ("image", "label"), whole)
    write_relations(folder, dataset.relations)


def _stems(names: Sequence[str]) -> frozenset[str]:
    """The images' names without suffix, by which masks find them.

    Raises:
        DataError: two images share one, or an image has a name that the reader passes over.
    """
    stems: dict[str, str] = {}
    for name in names:
        stem = name.rpartition(".")[0]
        if not name.lower().endswith(IMAGE_SUFFIXES) or name.rpartition("/")[2].startswith("."):
            raise DataError(
                f"image name {name!r} cannot be written: expected one that ends in {', '.join(IMAGE_SUFFIXES)} and "
                "does not begin with a dot. Rename the image."
            )
        if stem in stems:
            raise DataError(f"images {stems[stem]!r} and {name!r} would share a mask. Rename one of them.")
        stems[stem] = name
    return frozenset(stems)


def _write_labels(dataset: Dataset, folder: Path) -> None:
    """Write labels.csv, category after category: the reader takes their order from their first lines."""
    concepts = dataset.concepts
    rows = [
        (int(concepts.numbers[c]), name, concepts.categories[int(concepts.category[c])])
        for c, name in sorted(enumerate(concepts.names), key=lambda item: int(concepts.category[item[0]]))
    ]
    if any(dataset.synonyms.values()):
        also = [(*row, synonyms_cell(dataset.synonyms, row[1])) for row in rows]
        write_table(folder / "labels.csv", ("number", "name", "category", "synonyms"), also)
    else:
        write_table(folder / "labels.csv", ("number", "name", "category"), rows)


def _without_label(concepts: Concepts, channel: LabelChannel, name: str) -> DataError:
    return DataError(
        f"image {name!r} has a channel of category {concepts.categories[channel.category]!r}, which is no label's own "
        "category; labels.csv cannot list such a category. Write Broden's format instead (--to broden)."
    )


def _as_map(channel: LabelChannel, size: tuple[int, int]) -> Array:
    """A channel's labels as 8- or 16-bit grey. A whole image's label outside its own category becomes a full map:
    image_labels.csv states no category."""
    labels = channel.labels
    if isinstance(labels, int):
        # As small as the aspect allows is not worth the trouble: a flat PNG takes no room.
        return np.full(size, labels, np.uint8 if labels < 256 else np.uint16)
    return labels.astype(np.uint8 if int(labels.max(initial=0)) < 256 else np.uint16)


def _write_masks(folder: Path, name: str, maps: Sequence[Array], stems: frozenset[str]) -> None:
    stem = name.rpartition(".")[0]
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    number = 0
    for labels in maps:
        number += 1
        # "photo.2" may be an image of its own, and photo.2.png its mask.
        while number > 1 and f"{stem}.{number}" in stems:
            number += 1
        if number > _MOST_CHANNELS:
            raise DataError(f"image {name!r} has more than {_MOST_CHANNELS} channels of one category.")
        save_png(labels, folder / f"{stem}.png" if number == 1 else folder / f"{stem}.{number}.png")
