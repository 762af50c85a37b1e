"""Small data sets in memory, with labels, relations and synonyms as a test wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fastdissect.datasets import Dataset
from fastdissect.datasets.files import digest
from fastdissect.datasets.relations import Relation
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.types import LabelChannel


class Small(Dataset):
    """Images of 6 x 8 pixels.

    Args:
        labels: {number: (name, category)}; categories in the order of their first mention.
        images: for each image its channels, (category, map or number).
    """

    def __init__(
        self,
        name: str,
        labels: Mapping[int, tuple[str, str]],
        images: Sequence[Sequence[tuple[str, object]]],
        *,
        synonyms: Mapping[str, tuple[str, ...]] | None = None,
        relations: Sequence[Relation] = (),
        categories: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        names = tuple(categories or dict.fromkeys(category for _, category in labels.values()))
        self.concepts = make_concepts({n: (text, names.index(q)) for n, (text, q) in labels.items()}, names)
        self.channels = [
            tuple(
                LabelChannel(names.index(q), m if isinstance(m, int) else np.asarray(m, np.uint16))
                for q, m in image
            )
            for image in images
        ]
        self.synonyms, self.relations = dict(synonyms or {}), tuple(relations)

    def __len__(self) -> int:
        return len(self.channels)

    def image_name(self, index: int) -> str:
        return f"{index}.png"

    def read_image(self, index: int):
        return np.full((6, 8, 3), index, np.uint8), digest(bytes([index]))

    def read_labels(self, index: int):
        return self.channels[index]

    def files(self, index: int) -> tuple[Path, ...]:
        return ()

    def fingerprint(self) -> str:
        return digest(self.name.encode())


def area(number: int, pixels: int) -> np.ndarray:
    """A 6 x 8 map whose first `pixels` pixels are `number`."""
    found = np.zeros(48, np.uint16)
    found[:pixels] = number
    return found.reshape(6, 8)
