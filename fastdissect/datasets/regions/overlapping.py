"""Masks that may overlap -> as few label maps as hold them all, so that nothing is painted over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import DataError
from fastdissect.types import LabelChannel

__all__ = ["BoxedMask", "stack_boxes", "stack_masks"]


class BoxedMask(NamedTuple):
    """A mask, cut to a box that holds all its pixels: most regions are small beside their image."""

    top: int
    left: int
    mask: NDArray[np.bool_]  # [height, width] of the box; may be empty

    def whole(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask at the image's size."""
        found = np.zeros(size, np.bool_)
        self.cut(found)[...] = self.mask
        return found

    def cut(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """The box's view of an array of the image's size."""
        height, width = self.mask.shape
        return image[self.top : self.top + height, self.left : self.left + width]


def stack_masks(
    masks: Iterable[tuple[int, NDArray[np.bool_]]], size: tuple[int, int], category: int
) -> tuple[LabelChannel, ...]:
    """Lay masks on label maps: each on the first map where its pixels are free or carry its own label already.

        masks   1 1 . .   . 2 2 .   . . 1 1      ->   map 0   1 1 1 1      map 1   . 2 2 .

    Args:
        masks: (label number > 0, bool [height, width]); of one category.
        size: height and width of the maps.
        category: index of the channels' category.

    Returns:
        Channels of uint16 [height, width], 0 = none; () where no mask has a pixel.

    Raises:
        DataError: a mask of another size.

    Example:
        >>> a, b = np.array([[True, True, False]]), np.array([[False, True, True]])
        >>> [channel.labels.tolist() for channel in stack_masks([(5, a), (7, b)], (1, 3), 0)]
        [[[5, 5, 0]], [[0, 7, 7]]]
    """

    def boxed() -> Iterator[tuple[int, BoxedMask]]:
        for number, mask in masks:
            if mask.shape != tuple(size):
                raise DataError(f"a mask is {mask.shape}; expected {tuple(size)}, the size of the others.")
            yield number, BoxedMask(0, 0, mask)

    return stack_boxes(boxed(), size, category)


def stack_boxes(
    masks: Iterable[tuple[int, BoxedMask]], size: tuple[int, int], category: int
) -> tuple[LabelChannel, ...]:
    """`stack_masks` for masks that are cut to their boxes; it touches no pixel outside a box."""
    maps: list[NDArray[np.uint16]] = []
    for number, boxed in masks:
        mask = boxed.mask
        if not mask.any():
            continue
        for labels in maps:
            there = boxed.cut(labels)
            if not (mask & (there != 0) & (there != number)).any():
                break
        else:
            maps.append(np.zeros(size, np.uint16))
            there = boxed.cut(maps[-1])
        np.copyto(there, number, where=mask)
    return tuple(LabelChannel(category, labels) for labels in maps)
