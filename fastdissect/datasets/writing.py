"""Any data set -> a folder in Broden 1.1's format.

Source of the format: Bau et al., "Network Dissection", CVPR 2017, as the released joinseg.py writes it. One thing
differs: labels keep the data set's own numbers (joinseg.py numbers them by frequency), so that what is read back
equals what was written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fastdissect.datasets.index import FIXED_COLUMNS
from fastdissect.datasets.label_tables import write_label_tables, write_table
from fastdissect.datasets.naming import TRAIN, check_categories, file_names, mask_name, split_fraction
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.resize import resize_labels
from fastdissect.datasets.tallying import LabelTally
from fastdissect.datasets.writing_files import (
    check_labels,
    new_folder,
    save_png,
    write_image,
    write_relations,
)
from fastdissect.errors import SettingError
from fastdissect.types import LabelChannel

__all__ = ["write_broden"]

_README = """Broden format 1.1: images with labels of several categories.

index.csv           a line an image: path below images/, split, height and width of image and masks, and a cell a
                    category: PNG paths and label numbers (of the whole image) separated by ";"
category.csv        the categories
label.csv           the labels of all categories
c_<category>.csv    the labels of one category
images/             images, and masks with label = R + 256 G, 0 = unlabelled
relations.csv       child,parent,kind: how labels hang together, where that is known (not in Broden 1.1 itself)

Written from {name}
"""


def write_broden(
    dataset: Dataset,
    path: str | Path,
    *,
    mask_scale: float = 0.5,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a data set in Broden's format; rows are sorted by `split_fraction`, as the released set is.

    Image files are copied as they are, generated images written as PNG. Masks are shrunk by nearest neighbour.
    The folder is written beside `path` and renamed when it is complete.

    Args:
        dataset: any data set.
        path: the folder to make; it must not exist.
        mask_scale: mask sides over image sides, rounded down; 0 < mask_scale <= 1.
        progress: called with (images done, images) after each image.

    Returns:
        The folder.

    Raises:
        SettingError: `mask_scale` out of range.
        DataError: an image's name cannot stand in the format, or a label number is above 65535.
        OutputError: the folder exists or cannot be written; nothing half-written is left.

    Example:
        >>> write_broden(Shapes(images=100), "shapes_broden")  # doctest: +SKIP
        PosixPath('shapes_broden')
    """
    if not 0 < mask_scale <= 1:
        raise SettingError(f"mask_scale is {mask_scale}; expected more than 0 and at most 1.")
    with new_folder(path) as (folder, target):
        _write(dataset, folder, mask_scale, progress)
    return target


def _write(
    dataset: Dataset, folder: Path, mask_scale: float, progress: Callable[[int, int], None] | None
) -> None:
    categories = dataset.concepts.categories
    check_categories(dataset)
    names = file_names(dataset)
    taken = set(names)
    tally = LabelTally(dataset.concepts)
    rows: list[list[str | int]] = []
    order = sorted(range(len(dataset)), key=lambda index: (split_fraction(names[index]), names[index]))
    for done, index in enumerate(order, 1):
        name = names[index]
        height, width = write_image(dataset, index, folder / "images" / name)
        size = max(1, int(height * mask_scale)), max(1, int(width * mask_scale))
        channels = _shrink(dataset.read_labels(index), size, name)
        tally.add(channels, size)
        cells = [
            _write_channels(
                folder / "images", name, category, [c for c in channels if c.category == i], taken
            )
            for i, category in enumerate(categories)
        ]
        split = "train" if split_fraction(name) <= TRAIN else "val"
        rows.append([name, split, height, width, *size, *cells])
        if progress is not None:
            progress(done, len(order))
    write_table(folder / "index.csv", (*FIXED_COLUMNS, *categories), rows)
    write_label_tables(folder, tally, dataset.synonyms)
    write_relations(folder, dataset.relations)
    (folder / "README.txt").write_text(_README.format(name=Path(dataset.name).name), encoding="utf-8")


def _shrink(channels: Sequence[LabelChannel], size: tuple[int, int], name: str) -> tuple[LabelChannel, ...]:
    shrunk = tuple(
        c if isinstance(c.labels, int) else LabelChannel(c.category, resize_labels(c.labels, size))
        for c in channels
    )
    check_labels(shrunk, name)
    return shrunk


def _write_channels(
    images: Path, name: str, category: str, channels: Sequence[LabelChannel], taken: set[str]
) -> str:
    items = []
    several = sum(not isinstance(channel.labels, int) for channel in channels) > 1
    for number, channel in enumerate(channels, 1):
        if isinstance(channel.labels, int):
            items.append(str(channel.labels))
            continue
        relative = mask_name(name, category, number if several else None, taken)
        items.append(relative)
        coded = np.zeros((*channel.labels.shape, 3), dtype=np.uint8)
        coded[:, :, 0] = channel.labels & 255
        coded[:, :, 1] = channel.labels >> 8
        save_png(coded, images / relative)
    return ";".join(items)
