"""Broden 1.1 on disk, and every data set in its format.

    broden1_224/  index.csv  category.csv  label.csv  c_<category>.csv  images/...  relations.csv (ours, optional)

Source: Bau et al., "Network Dissection", CVPR 2017; format as the released loadseg.py and joinseg.py read and
write it. Unlike those loaders, this reader keeps images without any label (`Profile.unlabelled` says whether they run).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.decoding import MAX_PIXELS, decode_image, decode_label_map
from fastdissect.datasets.files import digest, read_file
from fastdissect.datasets.index import read_index
from fastdissect.datasets.paths import EnclosedPaths
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.vocabulary import MAX_LABEL, read_relations, read_vocabulary
from fastdissect.errors import DataError, SettingError, nearest
from fastdissect.types import LabelChannel

__all__ = ["Broden"]

_DIGITS = re.compile(r"[0-9]+")


class Broden(Dataset):
    """A data set in Broden's format, read in place.

    A category's cell in index.csv is empty or lists channels, separated by ";": a PNG (label = R + 256 G,
    0 = unlabelled) or a number, which labels the whole image; the number 0 is no channel.

    Args:
        path: the folder.
        split: keep only the images of this split ("train" or "val"); None keeps all.
        index_file: its name in the folder, where another list of images shall be read (NetDissect-Lite's
            INDEX_FILE).
        max_pixels: height x width that an image may have; larger ones are an error before they are decoded.

    Attributes:
        splits: the split of each image.

    Raises:
        DataError: a table is missing or wrong, or a cell of index.csv is; damaged files show when they are read.
        SettingError: no image has this split, or `max_pixels` is below 1.

    Example:
        >>> data = Broden("/data/broden1_224", split="val")  # doctest: +SKIP
        >>> data.image_name(0)  # doctest: +SKIP
        'ade20k/ADE_train_00012789.jpg'
    """

    def __init__(
        self,
        path: str | Path,
        *,
        split: str | None = None,
        index_file: str = "index.csv",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        if not self.path.is_dir():
            raise DataError(f"{self.path} is no folder; expected a data set in Broden's format.")
        if max_pixels < 1:
            raise SettingError(f"max_pixels is {max_pixels}; expected at least 1.")
        self.max_pixels = max_pixels
        index = read_index(self.path, max_pixels, index_file)
        self.concepts, tables, self.synonyms = read_vocabulary(self.path, set(index.categories))
        self.relations, more = read_relations(self.path)
        tables += more
        self._known = np.zeros(MAX_LABEL + 1, dtype=np.bool_)
        self._known[self.concepts.numbers] = True
        self._known[0] = True
        index.check(self.concepts.categories, self._known)
        rows = range(len(index.images))
        if split is not None:
            rows_of_split = [i for i in rows if index.splits[i] == split]
            if not rows_of_split:
                known = sorted(set(index.splits))
                raise SettingError(
                    f"no image of {self.path} has split {split!r}; there are {', '.join(known)}"
                    f"{nearest(split, known)}."
                )
            chosen = rows_of_split
        else:
            chosen = list(rows)
        # A column of index.csv may stand anywhere; channels come in category.csv's order.
        self._columns = [
            (number, index.categories.index(name))
            for number, name in enumerate(self.concepts.categories)
            if name in index.categories
        ]
        self._images = tuple(index.images[i] for i in chosen)
        self._cells = tuple(index.cells[i] for i in chosen)
        self._sizes = index.sizes[chosen]
        self.splits = tuple(index.splits[i] for i in chosen)
        self.split = split
        options = [f"split={split}"] if split is not None else []
        options += [f"index_file={index_file}"] if index_file != "index.csv" else []
        options += [f"max_pixels={max_pixels}"] if max_pixels != MAX_PIXELS else []
        self.name = f"broden:{self.path}" + (f"?{','.join(options)}" if options else "")
        self._paths = EnclosedPaths(self.path, self.path / "images")
        named = b"".join(digest(table.data).encode() for table in (index.table, *tables))
        self._fingerprint = digest(b"broden\0", named, repr(split).encode())

    def __len__(self) -> int:
        return len(self._images)

    def image_name(self, index: int) -> str:
        return self._images[index]

    def image_size(self) -> tuple[int, int]:
        """Height and width of the first image, as index.csv states them."""
        return int(self._sizes[0, 0]), int(self._sizes[0, 1])

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        name = self._images[index]
        what = f"image {name!r}"
        data = read_file(self._paths.locate(name), what)
        pixels = decode_image(data, what, max_pixels=self.max_pixels)
        height, width = (int(n) for n in self._sizes[index, :2])
        if pixels.shape[:2] != (height, width):
            raise DataError(
                f"{what} is {pixels.shape[0]} x {pixels.shape[1]} (height x width); index.csv says "
                f"{height} x {width}. Restore the image or correct ih and iw."
            )
        return pixels, digest(data)

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        return tuple(
            LabelChannel(category, int(item) if _DIGITS.fullmatch(item) else self._read_mask(index, item))
            for category, item in self._channels(index)
        )

    def is_labelled(self, index: int) -> bool:
        return bool(self._channels(index))

    def files(self, index: int) -> tuple[Path, ...]:
        masks = [item for _, item in self._channels(index) if not _DIGITS.fullmatch(item)]
        return tuple(Path(self._paths.locate(name)) for name in (self._images[index], *masks))

    def fingerprint(self) -> str:
        return self._fingerprint

    def _channels(self, index: int) -> list[tuple[int, str]]:
        cells = self._cells[index]
        return [
            (category, item)
            for category, column in self._columns
            if cells[column]
            for item in cells[column].split(";")
            if item.strip("0")  # a literal 0 is a label that the frequency filter dropped
        ]

    def _read_mask(self, index: int, relative: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
        what = f"mask {relative!r} of image {self._images[index]!r}"
        data = read_file(self._paths.locate(relative), what)
        height, width = (int(n) for n in self._sizes[index, 2:])
        labels = decode_label_map(data, what, size=(height, width), max_pixels=self.max_pixels)
        known = self._known.take(labels)
        if not known.all():
            number = int(labels[~known].min())
            raise DataError(
                f"{what} holds label number {number}, which is not in label.csv. Add it there or correct the mask."
            )
        return labels
