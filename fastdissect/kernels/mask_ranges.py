"""Unit masks as ranges of words: made once from the sparse activations, then laid over any image's label planes.

A mask is mostly one small blob, so of its words only those from the first to the last that are not zero are
kept:

    words of the whole mask   0 0 0 0 5 7 0 2 0 0 0
    kept                              5 7 0 2          first_word 4

Masks lie image by image, and within an image by unit: the order in which they meet the image's planes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MaskRanges", "trim_masks"]


@dataclass(frozen=True, eq=False)
class MaskRanges:
    """The masks of a layer that are not empty.

    image n   owns masks  image_start[n] : image_start[n + 1], units in rising order
    mask r    is of unit  unit[r], covers area[r] pixels; its words from first_word[r] on are
              words[word_start[r] : word_start[r + 1]], the first and the last of them not zero
    """

    size: tuple[int, int]  # height, width of the masks
    units: int
    image_start: NDArray[np.int64]  # [images + 1]
    unit: NDArray[np.int32]  # [masks]
    area: NDArray[np.int64]  # [masks]
    first_word: NDArray[np.int32]  # [masks]
    word_start: NDArray[np.int64]  # [masks + 1]
    words: NDArray[np.uint64]  # all masks' words

    @property
    def images(self) -> int:
        return len(self.image_start) - 1

    @property
    def nbytes(self) -> int:
        arrays = (self.image_start, self.unit, self.area, self.first_word, self.word_start, self.words)
        return sum(a.nbytes for a in arrays)


def trim_masks(
    packed: Callable[[slice], NDArray[np.uint64]],
    unit: NDArray[Any],
    image: NDArray[Any],
    size: tuple[int, int],
    units: int,
    images: int,
    *,
    block: int = 1024,
    progress: Callable[[int], None] | None = None,
) -> MaskRanges:
    """Put packed masks into the order image, unit, and keep their ranges; empty ones are left out.

    Args:
        packed: gives the packed masks uint64 [masks, words] of a slice of the records
            (`reference.pack_bits`).
        unit, image: of each record, in rising order of unit, then image.
        block: records that are packed together.
        progress: is told the number of records packed.

    >>> one = trim_masks(lambda own: np.array([[0, 6, 0]], np.uint64)[own], np.array([3]), np.array([1]), (4, 48), 5, 2)
    >>> one.first_word.tolist(), one.words.tolist(), one.area.tolist(), one.image_start.tolist()
    ([1], [6], [2], [0, 0, 1])
    """
    first, count, area, pieces = [], [], [], []
    for start in range(0, len(unit), block):
        own = slice(start, min(start + block, len(unit)))
        words = packed(own)
        held = words != 0
        low = held.argmax(1)
        length = np.where(held.any(1), held.shape[1] - held[:, ::-1].argmax(1) - low, 0)
        word = np.arange(held.shape[1])
        pieces.append(words[(word >= low[:, None]) & (word < (low + length)[:, None])])
        first.append(low)
        count.append(length)
        area.append(np.bitwise_count(words).sum(1, dtype=np.int64))
        if progress is not None:
            progress(own.stop - own.start)
    none = [np.zeros(0, np.int64)]
    lengths, lows, areas = (np.concatenate([*none, *parts]) for parts in (count, first, area))
    kept = np.flatnonzero(areas)
    kept = kept[np.argsort(image[kept], kind="stable")]
    word_start = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[kept])])
    place = np.zeros(len(areas), np.int64)
    place[kept] = word_start[:-1]
    words = np.empty(word_start[-1], np.uint64)
    for number, piece in enumerate(pieces):
        own = slice(number * block, (number + 1) * block)
        to = np.repeat(place[own] - np.cumsum(lengths[own]) + lengths[own], lengths[own])
        words[to + np.arange(len(piece))] = piece
    return MaskRanges(
        size=size,
        units=units,
        image_start=np.searchsorted(image[kept], np.arange(images + 1)).astype(np.int64),
        unit=unit[kept].astype(np.int32),
        area=areas[kept].astype(np.int64),
        first_word=lows[kept].astype(np.int32),
        word_start=word_start,
        words=words,
    )
