"""Masks at a layer's resolution: how many of a cell's pixels a concept covers, counted exactly.

    mask 4 x 4      map 2 x 2, area mean
    # # . .
    # # # .         4 1        of 4 pixels a cell
    . . . .         0 0
    . . . .

Where a cell's edge cuts a pixel, the pixel counts by the part that lies inside: in units of 1 / (h w) of a pixel all
numbers are whole. Every map's mean is the mask's own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.types import Planes

__all__ = ["CellAreas", "cell_areas"]

_BLOCK = 256  # planes at a time: 13 MB of pixels at 112 x 112
_EXACT = 1 << 24  # whole numbers below it are exact in float32


class CellAreas(NamedTuple):
    """Covered area of cells, a row for each image and concept that it shows, by image, then concept.

    Memory: 2 bytes (4 for masks of more than 65,535 pixels) a cell of each mask; labels of whole images need none.
    """

    cells: tuple[int, int]  # height, width of the map
    whole: int  # area of a cell that is covered entirely
    image: NDArray[np.int64]  # [pairs]
    concept: NDArray[np.int64]  # [pairs], columns
    row: NDArray[np.int64]  # [pairs], of `areas`; -1: the whole image
    areas: NDArray[np.unsignedinteger]  # [rows, height * width], 0 to `whole`

    def of(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Areas of some pairs, int64 [pairs, height * width]."""
        found = np.full((len(pairs), self.cells[0] * self.cells[1]), self.whole, np.int64)
        rows = self.row[pairs]
        found[rows >= 0] = self.areas[rows[rows >= 0]]
        return found


def cell_areas(planes: Planes, cells: tuple[int, int]) -> CellAreas:
    """Return how much of every cell of a map each concept covers, in each image.

    Args:
        planes: of all images; several planes of a concept in one image count together (their union).
        cells: height and width of the layer's map.
    """
    image = np.repeat(np.arange(planes.images, dtype=np.int64), np.diff(planes.plane_start))
    concept = planes.concept.astype(np.int64)
    new = np.ones(len(image), bool)
    new[1:] = (image[1:] != image[:-1]) | (concept[1:] != concept[:-1])
    first = np.flatnonzero(new)
    pair = np.cumsum(new) - 1
    full = np.zeros(len(first), bool)
    np.logical_or.at(full, pair, planes.word_row < 0)
    row = np.full(len(first), -1, np.int64)
    row[~full] = np.arange(int((~full).sum()))

    rows, columns = (_overlaps(m, n) for m, n in zip(planes.size, cells, strict=True))
    whole = planes.size[0] * planes.size[1]
    areas = np.empty((int((~full).sum()), cells[0] * cells[1]), np.uint16 if whole < 1 << 16 else np.uint32)
    with_map = np.flatnonzero(~full)
    last = np.append(first, len(image))[1:]
    for start in range(0, len(with_map), _BLOCK):
        own = with_map[start : start + _BLOCK]
        words = np.asarray(planes.words[planes.word_row[first[own]]])
        for place in np.flatnonzero(last[own] - first[own] > 1):
            more = planes.word_row[first[own[place]] : last[own[place]]]
            words[place] = np.bitwise_or.reduce(np.asarray(planes.words[more]), axis=0)
        areas[start : start + _BLOCK] = _sums(words, planes.size, rows, columns)
    return CellAreas(cells, whole, image[first], concept[first], row, areas)


def _overlaps(pixels: int, cells: int) -> NDArray[np.int64]:
    """int64 [cells, pixels]: pixel i lies at [i, i + 1) cells, cell r at [r, r + 1) pixels; what they share."""
    edge = np.arange(cells, dtype=np.int64)[:, None] * pixels
    start = np.arange(pixels, dtype=np.int64)[None] * cells
    shared: NDArray[np.int64] = np.minimum(edge + pixels, start + cells) - np.maximum(edge, start)
    return np.maximum(shared, 0)


def _sums(
    words: NDArray[np.uint64], size: tuple[int, int], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Covered area of each cell, int64 [planes, cells]."""
    pixels = size[0] * size[1]
    kind = np.float32 if pixels < _EXACT else np.float64  # every partial sum is a whole number up to `pixels`
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little", count=pixels)
    masks = bits.reshape(len(words), *size).astype(kind)
    sums = rows.astype(kind) @ (masks @ columns.T.astype(kind))
    found: NDArray[np.int64] = sums.reshape(len(words), -1).astype(np.int64)
    return found
