"""`Shapes`, the built-in data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.files import digest
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.shapes.draws import Draws
from fastdissect.datasets.shapes.picture import Picture, draw_picture, plan_picture
from fastdissect.datasets.shapes.vocabulary import CLASSES, CONCEPTS, RELATIONS
from fastdissect.errors import SettingError
from fastdissect.types import LabelChannel

__all__ = ["Shapes"]

_VERSION = 1  # raised whenever the images of a seed change
_SMALLEST, _LARGEST = 16, 4096


class Shapes(Dataset):
    """Generated images with pixel-exact labels: 10 kinds of things with parts, 8 scenes, 6 textures, 61 labels.

    An image depends on `seed` and its index alone: not on the number of images, nor on the order of reading.
    Labels have the image's own resolution; nested parts come as a second channel of the category.

    Args:
        images: how many.
        size: pixels a side, 16 to 4096.
        seed: another seed gives other images.

    Attributes:
        classes: names of the 16 classes of `target`.

    Raises:
        SettingError: a negative or non-integer argument, or a size out of range.

    Example:
        >>> data = Shapes(images=100, size=64)
        >>> data.read_image(7)[0].shape, data.classes[data.target(7)] in data.classes
        ((64, 64, 3), True)
    """

    classes: tuple[str, ...] = CLASSES
    relations = RELATIONS

    def __init__(self, images: int = 500, size: int = 112, seed: int = 0) -> None:
        ranges: tuple[tuple[str, object, int, int], ...] = (
            ("images", images, 1, 10**9),
            ("size", size, _SMALLEST, _LARGEST),
            ("seed", seed, 0, 2**63 - 1),
        )
        for name, value, low, high in ranges:
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise SettingError(
                    f"shapes: {name} is {value!r}; expected a whole number from {low} to {high}."
                )
        self.images, self.size, self.seed = images, size, seed
        self.concepts = CONCEPTS
        self.name = f"shapes:images={images},size={size},seed={seed}"
        # Image and labels are painted together and mostly asked for one after the other; what is handed out is
        # a copy, the caller's own.
        self._last: tuple[int, Picture] | None = None

    def __len__(self) -> int:
        return self.images

    def image_name(self, index: int) -> str:
        return f"shapes/{self.seed}_{self._checked(index):08d}.png"

    def image_size(self) -> tuple[int, int]:
        return self.size, self.size

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        pixels = self._picture(index).pixels.copy()
        return pixels, digest(pixels.tobytes())

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        return tuple(
            c if isinstance(c.labels, int) else LabelChannel(c.category, c.labels.copy())
            for c in self._picture(index).channels
        )

    def files(self, index: int) -> tuple[Path, ...]:
        self._checked(index)
        return ()

    def fingerprint(self) -> str:
        return digest(f"shapes {_VERSION} {self.images} {self.size} {self.seed}".encode())

    def target(self, index: int) -> int:
        """The image's class, a number in `classes`: its largest thing, or the texture that fills it."""
        return CLASSES.index(plan_picture(Draws(self.seed, self._checked(index))).subject)

    def targets(self, index: int) -> NDArray[np.bool_]:
        """What the image shows: bool [concepts], in the order of `concepts`.

        True where at least one pixel shows the concept, also where the image does not carry the label: this is
        what a detector can learn from, whichever categories were withheld.
        """
        return self._picture(index).shown.copy()

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.images:
            raise IndexError(f"image {index} of {self.images}")
        return index

    def _picture(self, index: int) -> Picture:
        last = self._last
        if last is not None and last[0] == index:
            return last[1]
        picture = draw_picture(self.seed, self._checked(index), self.size)
        self._last = (index, picture)
        return picture

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_last": None}
