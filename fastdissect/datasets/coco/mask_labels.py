"""A table of labels for masks that have none: image,id,label."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fastdissect.datasets.files import digest
from fastdissect.datasets.tables import read_table, whole_number
from fastdissect.datasets.vocabulary import MAX_LABEL
from fastdissect.errors import DataError, nearest

__all__ = ["MaskLabels", "read_mask_labels"]


class MaskLabels(NamedTuple):
    """The table; label numbers are the ranks of the sorted names, from 1."""

    name: str  # the file's
    digest: str
    names: dict[int, str]  # {label number: label}
    of_image: dict[str, dict[int, tuple[int, ...]]]  # {image: {mask id: label numbers}}


def read_mask_labels(path: Path, images: list[str]) -> MaskLabels:
    """Read it: a line a mask and label; a mask may have several lines.

    Raises:
        DataError: an unknown image, an id that is no number, an empty label, a line twice, or no line at all.
    """
    table = read_table(path, ["image", "id", "label"])
    where = [table.columns.index(column) for column in ("image", "id", "label")]
    known = set(images)
    lines: dict[tuple[str, int, str], None] = {}
    for line, fields in table.rows():
        image, text, label = (fields[i] for i in where)
        place = table.place(line)
        if image not in known:
            raise DataError(f"{place}: there is no image {image!r}{nearest(image, images[:1000])}.")
        key = image, whole_number(text, place, "id", 0, 1 << 53), label
        if not label or key in lines:
            raise DataError(f"{place}: the label {label!r} of mask {text} is empty or listed already.")
        lines[key] = None
    names = sorted({label for _, _, label in lines})
    if not 1 <= len(names) <= MAX_LABEL:
        raise DataError(f"{path} has {len(names):,} labels; expected 1 to {MAX_LABEL:,}.")
    numbers = {label: number for number, label in enumerate(names, start=1)}
    of_image: dict[str, dict[int, tuple[int, ...]]] = {}
    for image, id, label in lines:
        masks = of_image.setdefault(image, {})
        masks[id] = (*masks.get(id, ()), numbers[label])
    return MaskLabels(table.name, digest(table.data), {n: label for label, n in numbers.items()}, of_image)
