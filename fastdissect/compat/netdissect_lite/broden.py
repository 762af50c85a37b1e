"""Broden as NetDissect-Lite sees it: the categories asked for, the images that carry a label of one of them."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from fastdissect.compat.netdissect_lite.lite_settings import LiteSettings
from fastdissect.compat.netdissect_lite.tables import read_tables
from fastdissect.datasets import Broden
from fastdissect.datasets.files import digest
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.errors import DataError
from fastdissect.types import LabelChannel

__all__ = ["LiteBroden"]

_DIGITS = re.compile(r"[0-9]+")


class LiteBroden(Broden):
    """Images, masks and vocabulary of a Lite run, in its order.

    Every label of label.csv is a concept. Its primary category is the one of largest coverage among those asked
    for; a label that none of them lists falls to the last, as Lite has it (no image carries such a label).

    Args:
        strict: the number 0 as an image's label counts, as it does in Lite. It is the concept `zero`, because
            a concept's number is above 0 elsewhere; it belongs to the last category and has no name.

    Attributes:
        tables: Broden's label tables.
        zero: the number of the concept that stands for label 0; 0 where there is none.
        masks_size, images_size: height and width.

    Raises:
        SettingError: a category that the data set has not.
        DataError: a table is missing or wrong, no image has a label, or images or masks differ in size.
    """

    def __init__(self, settings: LiteSettings, *, strict: bool = False) -> None:
        super().__init__(settings.data, index_file=settings.index_file)
        self.strict = strict
        self.tables = read_tables(self.path, settings.categories, settings.source)
        names = tuple(self.tables.category)
        self._restrict(names)
        self.images_size, self.masks_size = self._sizes_of_all()
        primary = self.tables.primary
        labels = {
            number: (str(row["name"]), int(primary[number]))
            for number, row in enumerate(self.tables.label)
            if number and self._known[number]
        }
        self.zero = 1 + max(labels) if strict else 0
        if strict:
            labels[self.zero] = ("", len(names) - 1)
        self.concepts = make_concepts(labels, names)
        self.name = f"netdissect-lite:{self.path}"
        self._fingerprint = digest(self._fingerprint.encode(), repr((names, strict)).encode())

    def _restrict(self, names: tuple[str, ...]) -> None:
        """Keep the columns of these categories, and the images that have something other than 0 in one."""
        have = [self.concepts.categories[number] for number, _ in self._columns]
        for name in names:
            if name not in have:
                raise DataError(
                    f"{self.path}: the index has no column {name!r}; expected one a category asked for"
                )
        of = {self.concepts.categories[number]: column for number, column in self._columns}
        self._columns = [(place, of[name]) for place, name in enumerate(names)]
        kept = [i for i in range(len(self._images)) if super(LiteBroden, self)._channels(i)]
        if not kept:
            raise DataError(f"{self.path}: no image has a label of {', '.join(names)}")
        self._images = tuple(self._images[i] for i in kept)
        self._cells = tuple(self._cells[i] for i in kept)
        self._sizes = self._sizes[kept]
        self.splits = tuple(self.splits[i] for i in kept)

    def _sizes_of_all(self) -> tuple[tuple[int, int], tuple[int, int]]:
        other = np.flatnonzero((self._sizes != self._sizes[0]).any(1))
        if len(other):
            first, differs = self._sizes[0].tolist(), self._sizes[other[0]].tolist()
            raise DataError(
                f"{self.path}: expected images and masks of one size (ih, iw, sh, sw), as Lite's batches need; got "
                f"{first} and, for {self._images[other[0]]!r}, {differs}; resize them, or use fastdissect.dissect()"
            )
        ih, iw, sh, sw = (int(n) for n in self._sizes[0])
        return (ih, iw), (sh, sw)

    def row(self, index: int) -> dict[str, object]:
        """The image's row of the index, as Lite keeps it: cells are lists of numbers and paths."""
        ih, iw, sh, sw = (int(n) for n in self._sizes[index])
        row: dict[str, object] = {
            "image": self._images[index],
            "split": self.splits[index],
            "ih": ih,
            "iw": iw,
            "sh": sh,
            "sw": sw,
        }
        return row | {self.concepts.categories[place]: self.items(index, place) for place, _ in self._columns}

    def items(self, index: int, category: int) -> list[int | str]:
        """What the image's cell of a category lists: label numbers, 0 among them, and paths."""
        cell = self._cells[index][dict(self._columns)[category]]
        return [int(item) if _DIGITS.fullmatch(item) else item for item in cell.split(";") if item]

    def has_maps(self, index: int) -> bool:
        """Whether a mask file belongs to the image; else its labels, if any, are of the whole image."""
        return any(isinstance(item, str) for place, _ in self._columns for item in self.items(index, place))

    def label_map(self, index: int, path: str) -> NDArray[np.uint16]:
        """One mask file's label numbers, uint16 [height, width]."""
        return self._read_mask(index, path).astype(np.uint16)

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        channels = super().read_labels(index)
        if not self.strict:
            return channels
        zeros = []
        for place, _ in self._columns:
            items = self.items(index, place)
            if all(isinstance(item, int) for item in items):  # beside a path a 0 is an empty map
                zeros += [LabelChannel(place, self.zero)] * items.count(0)
        return (*channels, *zeros)

    def is_labelled(self, index: int) -> bool:
        return 0 <= index < len(self)  # the others were left out at the beginning
