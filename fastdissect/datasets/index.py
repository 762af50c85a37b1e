"""Broden's index.csv: one line an image, one column a category."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.paths import escape_reason
from fastdissect.datasets.tables import Table, read_table, whole_number
from fastdissect.errors import DataError, nearest

__all__ = ["FIXED_COLUMNS", "Index", "read_index", "same_aspect"]

FIXED_COLUMNS = ("image", "split", "ih", "iw", "sh", "sw")

_DIGITS = re.compile(r"[0-9]+")
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?")
_MAX_SIDE = 1 << 20
_FAULTS_SHOWN = 10


def same_aspect(image: tuple[int, int], mask: tuple[int, int]) -> bool:
    """Whether a mask of this (height, width) can be the image, shrunk or grown, whole.

    The shorter side, computed from the longer, may be off by less than one mask pixel: every way to round both
    sides of a shrunk mask keeps within that.

    >>> same_aspect((227, 301), (113, 150)), same_aspect((7, 9), (3, 4))
    (True, True)
    >>> same_aspect((224, 224), (112, 96))
    False
    """
    return abs(mask[0] * image[1] - image[0] * mask[1]) < max(image)


@dataclass(frozen=True, eq=False)
class Index:
    """index.csv, line by line."""

    table: Table
    categories: tuple[str, ...]  # the category columns, in the file's order
    images: list[str]
    splits: list[str]
    sizes: NDArray[np.int32]  # [images, 4]: ih, iw, sh, sw
    cells: list[tuple[str, ...]]  # [images][category columns]
    lines: list[int]

    def check(self, categories: tuple[str, ...], known: NDArray[np.bool_]) -> None:
        """Hold columns and cells against category.csv and label.csv; one error lists the first ten faults.

        Args:
            categories: the names of category.csv.
            known: [65536], whether a number is 0 or in label.csv.

        Raises:
            DataError: unknown columns, an image twice, or a cell that is neither number nor path.
        """
        for name in self.categories:
            if name not in categories:
                raise DataError(
                    f"index.csv has the unknown column {name!r}; expected {','.join(FIXED_COLUMNS)} and the "
                    f"categories of category.csv ({', '.join(categories)}){nearest(name, categories)}."
                )
        faults = []
        seen: dict[str, int] = {}
        for image, cells, line in zip(self.images, self.cells, self.lines, strict=True):
            first = seen.setdefault(image, line)
            if first != line:
                faults.append(f"line {line}: image {image!r} is listed already in line {first}")
            for column, cell in zip(self.categories, cells, strict=True):
                if not cell:
                    continue
                for item in cell.split(";"):
                    fault = _item_fault(item, known)
                    if fault:
                        faults.append(f"line {line}: image {image!r}, column {column}: {fault}")
        if faults:
            more = len(faults) - _FAULTS_SHOWN
            shown = faults[:_FAULTS_SHOWN] + ([f"and {more} more"] if more > 0 else [])
            raise DataError(
                "index.csv has faulty entries; a cell is empty or holds label numbers and PNG paths separated "
                "by ';'. Correct or remove them:\n  " + "\n  ".join(shown)
            )


def _item_fault(item: str, known: NDArray[np.bool_]) -> str | None:
    if _DIGITS.fullmatch(item):
        if len(item) > 9 or int(item) >= len(known) or not known[int(item)]:
            return f"label number {item[:20]} is not in label.csv"
        return None
    if not item.strip() or _NUMBER.fullmatch(item):
        return f"{item!r} is neither a label number nor a path"
    reason = escape_reason(item)
    return f"path {item!r} is refused: {reason}" if reason else None


def read_index(folder: Path, max_pixels: int, name: str = "index.csv") -> Index:
    """Read index.csv of a Broden folder, or another index of that form beside it.

    Raises:
        DataError: file missing, columns missing, no line, a size that is no number, beyond `max_pixels`, or of
            another aspect than its image.
    """
    table = read_table(folder / name, FIXED_COLUMNS)
    fixed = [table.columns.index(name) for name in FIXED_COLUMNS]
    others = [i for i in range(len(table.columns)) if i not in fixed]
    images: list[str] = []
    splits: list[str] = []
    sizes: list[tuple[int, int, int, int]] = []
    cells: list[tuple[str, ...]] = []
    lines: list[int] = []
    split_names: dict[str, str] = {}
    for line, fields in table.rows():
        image, split, *numbers = (fields[i] for i in fixed)
        place = table.place(line)
        ih, iw, sh, sw = (
            whole_number(text, place, column, 1, _MAX_SIDE)
            for text, column in zip(numbers, FIXED_COLUMNS[2:], strict=True)
        )
        if max(ih * iw, sh * sw) > max_pixels:
            raise DataError(
                f"{place}: {image!r} has {max(ih * iw, sh * sw):,} pixels; the limit is {max_pixels:,}. If it is "
                "genuine, raise the data set's option max_pixels."
            )
        if not same_aspect((ih, iw), (sh, sw)):
            raise DataError(
                f"{place}: image {image!r} is {ih} x {iw} and its masks {sh} x {sw} (height x width); expected "
                "the same aspect. Masks must show the whole image, without crop."
            )
        reason = "it is empty" if not image else escape_reason(image)
        if reason:
            raise DataError(f"{place}: image path {image!r} is refused: {reason}.")
        if not split:
            raise DataError(f"{place}: the split is empty; expected train or val.")
        images.append(image)
        splits.append(split_names.setdefault(split, split))
        sizes.append((ih, iw, sh, sw))
        cells.append(tuple(fields[i] for i in others))
        lines.append(line)
    if not images:
        raise DataError(f"{folder / 'index.csv'} lists no image; expected a line an image below the header.")
    return Index(
        table=table,
        categories=tuple(table.columns[i] for i in others),
        images=images,
        splits=splits,
        sizes=np.array(sizes, dtype=np.int32),
        cells=cells,
        lines=lines,
    )
