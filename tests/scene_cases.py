"""Tiny scenes that every reader's tests write in its published layout; counts are worked out by hand below.

    scene 0 (32 x 48)                       scene 1 (32 x 32)              scene 2 (48 x 32): no labels at all
    rows 0-7    sky, all columns            rows 0-15   sky, all columns
    rows 16-31  car, columns 8-23           rows 16-31  cat, columns 0-15
    rows 24-31  wheel (part of the car), columns 8-15
    rows 16-31  cat, columns 32-47

Coordinates are multiples of 8, so that a mask of half or a quarter of the size holds exactly a quarter or a sixteenth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Box = tuple[int, int, int, int]  # first row, end row, first column, end column


class Region(NamedTuple):
    label: str
    box: Box

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        found = np.zeros(size, np.bool_)
        top, bottom, left, right = self.box
        found[top:bottom, left:right] = True
        return found


class Scene(NamedTuple):
    name: str  # without suffix
    size: tuple[int, int]  # height, width
    objects: tuple[Region, ...]  # never overlap
    parts: tuple[Region, ...]  # each lies on an object

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """uint8 [height, width, 3]: smooth, so that JPEG keeps it nearly."""
        height, width = self.size
        y, x = np.mgrid[:height, :width]
        out = np.stack([y * 255 // height, x * 255 // width, (y + x) * 255 // (height + width)], -1)
        for number, region in enumerate((*self.objects, *self.parts)):
            out[region.mask(self.size)] = (40 + 50 * number, 220 - 40 * number, 90)
        return out.astype(np.uint8)

    def save(self, path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.pixels).save(path)


SCENES = (
    Scene(
        "street",
        (32, 48),
        (Region("sky", (0, 8, 0, 48)), Region("car", (16, 32, 8, 24)), Region("cat", (16, 32, 32, 48))),
        (Region("wheel", (24, 32, 8, 16)),),
    ),
    Scene("yard", (32, 32), (Region("sky", (0, 16, 0, 32)), Region("cat", (16, 32, 0, 16))), ()),
    Scene("empty", (48, 32), (), ()),
)

# pixels of each label over all scenes, at full size
PIXELS = {"sky": 8 * 48 + 16 * 32, "car": 16 * 16, "cat": 2 * 16 * 16, "wheel": 8 * 8}
