"""Names and splits in Broden's format.

Source: Bau et al., "Network Dissection", CVPR 2017, as the released joinseg.py does it.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import struct
from pathlib import PurePosixPath

from fastdissect.datasets.index import FIXED_COLUMNS
from fastdissect.datasets.paths import escape_reason
from fastdissect.datasets.protocol import Dataset
from fastdissect.errors import DataError

__all__ = ["TRAIN", "check_categories", "file_names", "mask_name", "split_fraction"]

TRAIN = 0.7


def split_fraction(image: str) -> float:
    """Where an image's path falls in [0, 1): the first 8 bytes, big endian, of its md5, over 2^64.

    Images up to 0.7 are "train", others "val" (joinseg.py).

    >>> round(split_fraction("a.jpg"), 6)
    0.22373
    """
    # md5 is the format's rule, not a safeguard.
    head = hashlib.md5(image.encode(), usedforsecurity=False).digest()[:8]
    return float(struct.unpack(">Q", head)[0]) / 2.0**64


def check_categories(dataset: Dataset) -> None:
    """See that categories can be columns of index.csv and names of folders and files, and that tables can hold the labels.

    Raises:
        DataError: one cannot.
    """
    for name in (
        *dataset.concepts.names,
        *dataset.concepts.categories,
        *itertools.chain(*dataset.synonyms.values()),
    ):
        if not _is_text(name):
            raise DataError(
                f"label or category {name!r} of {dataset.name} cannot be written as UTF-8. Rename it."
            )
    for name in dataset.concepts.categories:
        if not name or name in (".", "..", *FIXED_COLUMNS) or re.search(r"[/\\\0\r\n]", name):
            raise DataError(
                f"category {name!r} of {dataset.name} cannot be written: it is empty, no file name, or one of "
                f"{', '.join(FIXED_COLUMNS)}. Give it another name: `data merge SPEC OUT --category OLD=NEW`."
            )


def _is_text(name: str) -> bool:
    """Whether UTF-8 can hold a name: not one that was read from other bytes, or from half a character in JSON."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def file_names(dataset: Dataset) -> list[str]:
    """Every image's path below images/; one without a suffix becomes a PNG.

    Raises:
        DataError: a name that leaves the folder, that index.csv cannot hold, or that comes twice.
    """
    names = []
    for index in range(len(dataset)):
        name = dataset.image_name(index)
        reason = escape_reason(name)
        if reason is None and (";" in name or "\n" in name or "\r" in name):
            reason = 'it holds ";" or a line break, which separate entries of index.csv'
        if reason is None and not _is_text(name):
            reason = "its bytes are not UTF-8"
        if reason is not None:
            raise DataError(f"image name {name!r} cannot be written: {reason}. Rename the image.")
        names.append(name if PurePosixPath(name).suffix else f"{name}.png")
    if len(set(names)) != len(names):
        raise DataError(f"two images of {dataset.name} have one name; names must be unique.")
    return names


def mask_name(image: str, category: str, number: int | None, taken: set[str]) -> str:
    """Name a mask after its image; `number` counts from 1 where a category has several. Adds it to `taken`.

    >>> mask_name("a/b.jpg", "part", 2, set())
    'a/b_part_2.png'
    """
    stem = f"{image.rpartition('.')[0]}_{category}" + (f"_{number}" if number is not None else "")
    while f"{stem}.png" in taken:
        stem += "_"  # a.jpg beside a.png, or an image that is named like a mask
    taken.add(f"{stem}.png")
    return f"{stem}.png"
