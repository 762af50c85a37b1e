"""The labels of PASCAL Context: the list of 459, and the 59 most frequent in the order of their numbers there."""

from __future__ import annotations

import re
from pathlib import Path

from fastdissect.datasets.listing import read_lines
from fastdissect.datasets.vocabulary import MAX_LABEL
from fastdissect.errors import DataError

__all__ = ["LABELS_59", "read_label_list"]

_LINE = re.compile(r"([0-9]{1,5})\s*:\s*(\S.*)")

LABELS_59 = (
    "aeroplane", "bag", "bed", "bedclothes", "bench", "bicycle", "bird", "boat", "book", "bottle", "building", "bus",
    "cabinet", "car", "cat", "ceiling", "chair", "cloth", "computer", "cow", "cup", "curtain", "dog", "door", "fence",
    "floor", "flower", "food", "grass", "ground", "horse", "keyboard", "light", "motorbike", "mountain", "mouse",
    "person", "plate", "platform", "pottedplant", "road", "rock", "sheep", "shelves", "sidewalk", "sign", "sky", "snow",
    "sofa", "table", "track", "train", "tree", "truck", "tvmonitor", "wall", "water", "window", "wood",
)  # fmt: skip


def read_label_list(path: Path) -> dict[int, str]:
    """labels.txt -> {number: name}.

    Raises:
        DataError: a line of another form, a number twice, or none.
    """
    table: dict[int, str] = {}
    for place, line in read_lines(path, f"the table {path.name}"):
        match = _LINE.fullmatch(line)
        number = int(match[1]) if match else 0
        if not match or not 1 <= number <= MAX_LABEL or number in table:
            raise DataError(
                f'{place}: {line!r} came; expected a new number and a name, such as "1: accordion".'
            )
        table[number] = match[2]
    if not table:
        raise DataError(f"{path} lists no label.")
    return table
