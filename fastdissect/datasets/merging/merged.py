"""Several data sets as one, read in place: label numbers are translated as they are read, nothing is copied.

set 0   3 cat, 7 sky            merged   1 cat   <- 3 of set 0, 12 of set 1
set 1   12 Cat, 13 wheel                 2 sky   <- 7 of set 0
                                         3 wheel <- 13 of set 1
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.files import digest
from fastdissect.datasets.merging.linking import merged_relations, merged_synonyms
from fastdissect.datasets.merging.options import MergeOptions
from fastdissect.datasets.merging.prefixes import set_prefixes
from fastdissect.datasets.merging.unifying import Unified, UnifiedLabel, merged_categories
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.vocabulary import MAX_LABEL, make_concepts
from fastdissect.errors import DataError
from fastdissect.types import LabelChannel

__all__ = ["Merged"]


class Merged(Dataset):
    """Several data sets, one after the other, with one vocabulary; made by `merge_datasets`.

    An image's name is its own below the name of its set: "ade20k/street/01.jpg".

    Args:
        sets: the data sets.
        unified: what `unify` found.
        labels: the labels that stay, in the order of their numbers from 1 on.
        categories: the categories that stay.
        options: how they were merged.

    Attributes:
        prefixes: the first part of each set's image names.

    Raises:
        DataError: no label stays.
    """

    def __init__(
        self,
        sets: Sequence[Dataset],
        unified: Unified,
        labels: Sequence[UnifiedLabel],
        categories: Sequence[str],
        options: MergeOptions,
    ) -> None:
        self.sets, self.unified, self.options = tuple(sets), unified, options
        self.labels = tuple(labels)
        if not self.labels:
            raise DataError(
                f"none of {len(unified.labels):,} labels stays: each is in fewer than {options.min_images} images or "
                f"covers less than {options.min_coverage:g}. Lower min_images or min_coverage."
            )
        self.prefixes = set_prefixes(self.sets)
        self.name = "merged of " + ", ".join(data.name for data in self.sets)
        self.max_pixels = max(int(getattr(data, "max_pixels", MAX_PIXELS)) for data in self.sets)
        numbered = {
            number: (label.name, list(categories).index(label.category))
            for number, label in enumerate(self.labels, 1)
        }
        self.concepts = make_concepts(numbered, tuple(categories))
        self.relations = merged_relations(self.sets, unified)
        self.synonyms = merged_synonyms(self.labels)
        self._starts = list(itertools.accumulate((len(data) for data in self.sets), initial=0))
        into = merged_categories(self.sets, options)
        # -1: the category was left out
        self._categories = tuple(
            [categories.index(into[q]) if into[q] in categories else -1 for q in data.concepts.categories]
            for data in self.sets
        )
        self._tables = self._translations()
        # whether labels of the set were left out; the number 0 itself is always 0
        self._drops = tuple(int((table == 0).sum()) > 1 for table in self._tables)
        self._dtype = np.uint16 if len(self.labels) <= MAX_LABEL else np.uint32
        if all(hasattr(data, "splits") for data in self.sets):
            self.splits = tuple(split for data in self.sets for split in data.splits)  # type: ignore[attr-defined]

    def _translations(self) -> tuple[NDArray[np.int32], ...]:
        """For each set: [its highest label number + 1], the merged number, 0: left out, -1: no label of the set."""
        tables = []
        for data in self.sets:
            table = np.full(int(data.concepts.numbers.max()) + 1, -1, np.int32)
            table[data.concepts.numbers] = 0
            table[0] = 0
            tables.append(table)
        for number, label in enumerate(self.labels, 1):
            for member in label.members:
                tables[member.set][member.number] = number
        return tuple(tables)

    def __len__(self) -> int:
        return self._starts[-1]

    def place(self, index: int) -> tuple[int, int]:
        """The set that an image comes from, and its number there."""
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        number = bisect.bisect_right(self._starts, index) - 1
        return number, index - self._starts[number]

    def image_name(self, index: int) -> str:
        number, own = self.place(index)
        return f"{self.prefixes[number]}/{self.sets[number].image_name(own)}"

    def image_size(self) -> tuple[int, int]:
        return self.sets[0].image_size()

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        number, own = self.place(index)
        return self.sets[number].read_image(own)

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        number, own = self.place(index)
        table, categories = self._tables[number], self._categories[number]
        found = []
        for channel in self.sets[number].read_labels(own):
            category = categories[channel.category]
            if category < 0:
                continue
            mapped: Any
            try:
                mapped = table.take(channel.labels)
            except IndexError:
                mapped = np.int32(-1)
            if mapped.min() < 0:
                raise DataError(
                    f"image {self.image_name(index)!r} holds a label number that {self.sets[number].name} does not "
                    "list. Check that set: `fastdissect data check`."
                )
            if not isinstance(channel.labels, int):
                found.append(LabelChannel(category, mapped.astype(self._dtype)))
            elif mapped:
                found.append(LabelChannel(category, int(mapped)))
        return tuple(sorted(found, key=lambda channel: channel.category))

    def is_labelled(self, index: int) -> bool:
        number, own = self.place(index)
        if self._drops[number] or -1 in self._categories[number]:
            return bool(self.read_labels(index))
        return self.sets[number].is_labelled(own)

    def files(self, index: int) -> tuple[Path, ...]:
        number, own = self.place(index)
        return self.sets[number].files(own)

    @property
    def keeps_planes(self) -> bool:  # type: ignore[override]
        return all(data.keeps_planes for data in self.sets)

    def content_stamp(self, index: int) -> int:
        number, own = self.place(index)
        return self.sets[number].content_stamp(own)

    def fingerprint(self) -> str:
        words = [*self.prefixes, "", *self.concepts.names, "", *self.concepts.categories]
        arrays = [self.concepts.category.astype("<i8"), *(t.astype("<i4") for t in self._tables)]
        arrays += [np.array(c, "<i4") for c in self._categories]
        return digest(
            b"merged\0",
            *(data.fingerprint().encode() for data in self.sets),
            "\0".join(words).encode(errors="surrogateescape"),
            *(digest(array.tobytes()).encode() for array in arrays),
        )
