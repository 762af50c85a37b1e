"""The shapes with one more category: a colour on a thing, such as "red disk".

The vocabulary of `shapes` has colours and things, and no concept that is made of two. Here every pixel that carries a
colour and a thing carries a third label as well, of the category "composed"; pictures and all other labels stay the
same. Only half of the pictures have colours labelled; the others have no composed label either.
"""

from __future__ import annotations

import numpy as np

from fastdissect.datasets.files import digest
from fastdissect.datasets.shapes import Shapes
from fastdissect.types import Concepts, LabelChannel

__all__ = ["Composed"]


class Composed(Shapes):
    """`Shapes`, and every colour on every thing that a class is named after.

    Attributes:
        pairs: {composed concept: (colour, thing)}, 11 colours by 10 things. Not all of them occur: no tree is pink.
        words: the concepts of `shapes` itself.
    """

    def __init__(self, images: int = 500, size: int = 112, seed: int = 0) -> None:
        super().__init__(images, size, seed)
        own = self.concepts
        category = [own.categories[q] for q in own.category]
        colours = [i for i, q in enumerate(category) if q == "color"]
        things = [i for i, q in enumerate(category) if q == "object" and own.names[i] in self.classes]
        first = int(own.numbers.max()) + 1
        self._numbers = np.zeros((first, first), np.uint16)  # [colour's number, thing's number]; 0: no pair
        self.words = own.names
        self.pairs: dict[str, tuple[str, str]] = {}
        for colour in colours:
            for thing in things:
                name = f"{own.names[colour].removesuffix('-c')} {own.names[thing]}"
                self._numbers[own.numbers[colour], own.numbers[thing]] = first + len(self.pairs)
                self.pairs[name] = (own.names[colour], own.names[thing])
        count, last = len(self.pairs), len(own.categories)
        self.concepts = Concepts(
            np.concatenate([own.numbers, first + np.arange(count)]),
            (*own.names, *self.pairs),
            np.concatenate([own.category, np.full(count, last)]),
            (*own.categories, "composed"),
        )
        self.name = f"composed-{self.name}"

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        found = super().read_labels(index)
        maps = {
            self.concepts.categories[c.category]: c.labels for c in found if not isinstance(c.labels, int)
        }
        if "color" in maps and "object" in maps:
            both = self._numbers[maps["color"], maps["object"]]
            if both.any():
                found = (*found, LabelChannel(len(self.concepts.categories) - 1, both))
        return found

    def fingerprint(self) -> str:
        return digest(f"composed {super().fingerprint()}".encode())
