"""Counts image by image, kept sparse: what a reweighting of the images needs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels.mask_ranges import MaskRanges
from fastdissect.layer import LayerDissection
from fastdissect.methods.chance.masks import unit_masks
from fastdissect.methods.chance.permuting import Laid, check_planes, permuted_counts
from fastdissect.packing import slice_planes
from fastdissect.types import Counts, Planes

__all__ = ["ImageCounts", "image_counts"]

_ROOM = 64 << 20  # bytes of sums at a time


@dataclass(frozen=True, eq=False)
class _Sums:
    """Pixels by cell of a table and image; cell c owns entries start[c] : start[c + 1] of the filled cells."""

    shape: tuple[int, ...]
    cell: NDArray[np.int64]  # [filled cells], in rising order
    start: NDArray[np.int64]  # [filled cells]
    image: NDArray[np.int64]  # [entries]
    pixels: NDArray[np.int64]  # [entries]

    def weighted(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        table = np.zeros(int(np.prod(self.shape)), np.int64)
        if len(self.cell):
            table[self.cell] = np.add.reduceat(self.pixels * weights[self.image], self.start)
        return table.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """A layer's counts in every image, where they are not 0."""

    images: int
    intersection: _Sums  # [units, concepts]
    unit_area: _Sums  # [units, categories]
    concept_area: _Sums  # [concepts]
    mask_area: _Sums  # [units]

    def counts(self, weights: NDArray[np.int64]) -> Counts:
        """Return the counts of image n taken weights[n] times; with all ones, the layer's own, bit for bit.

        Args:
            weights: int64 [images], not negative. Sums are exact below 2**63.
        """
        sums = (self.intersection, self.unit_area, self.concept_area, self.mask_area)
        return Counts(*(one.weighted(weights) for one in sums))


def image_counts(layer: LayerDissection, planes: Planes, *, laid: Laid | None = None) -> ImageCounts:
    """Gather a layer's counts image by image.

    Memory: 16 bytes for each unit and concept that meet in an image, and some 100 while they are gathered.

    Args:
        planes: of the run's images (`planes_of`). laid: masks and planes that were made and checked already.

    Raises:
        SettingError: as `unit_masks`. DataError: the planes are not the run's.
    """
    if laid is None:
        laid = Laid(layer, unit_masks(layer), planes)
        check_planes(laid)
    masks, planes, units = laid.masks, laid.planes, layer.units_count
    image_of = np.repeat(np.arange(masks.images), np.diff(masks.image_start))
    one = 8 * (len(layer.concepts) + len(layer.concepts.categories) + 1)
    found: list[list[NDArray[np.int64]]] = [[], []]
    for first, last in _blocks(masks, max(1, _ROOM // one)):
        lo, hi = masks.image_start[first], masks.image_start[last]
        # every mask a unit of its own: the sums of one pass are then the masks' own counts
        apart = dataclasses.replace(
            _images(masks, first, last), units=int(hi - lo), unit=np.arange(hi - lo, dtype=np.int32)
        )
        block = Laid(layer, apart, slice_planes(planes, first, last))
        for table, sums in zip(found, permuted_counts(block, np.arange(last - first)[None]), strict=True):
            mask, column = np.nonzero(sums[0])
            table.append(
                np.stack([masks.unit[lo + mask], column, image_of[lo + mask], sums[0][mask, column]])
            )
    shapes = (units, len(layer.concepts)), (units, len(layer.concepts.categories))
    shared, area = (_sums(shape, table) for shape, table in zip(shapes, found, strict=True))
    plane_image = np.repeat(np.arange(planes.images), np.diff(planes.plane_start))
    nothing = np.zeros(len(plane_image), np.int64)
    covered = _sums(
        (1, len(layer.concepts)), [np.stack([nothing, planes.concept, plane_image, planes.pixels])]
    )
    whole = _sums((units, 1), [np.stack([masks.unit, np.zeros_like(image_of), image_of, masks.area])])
    return ImageCounts(
        masks.images,
        shared,
        area,
        dataclasses.replace(covered, shape=(len(layer.concepts),)),
        dataclasses.replace(whole, shape=(units,)),
    )


def _sums(shape: tuple[int, int], parts: list[NDArray[np.int64]]) -> _Sums:
    """From [row, column, image, pixels] of all entries."""
    row, column, image, pixels = np.concatenate([np.zeros((4, 0), np.int64), *parts], axis=1)
    key = row * shape[1] + column
    order = np.argsort(key, kind="stable")
    cell, start = np.unique(key[order], return_index=True)
    return _Sums(shape, cell, start.astype(np.int64), image[order], pixels[order])


def _blocks(masks: MaskRanges, most: int) -> list[tuple[int, int]]:
    """Runs of images with at most so many masks, and at least one image each."""
    blocks, first = [], 0
    while first < masks.images:
        last = int(np.searchsorted(masks.image_start, masks.image_start[first] + most, side="right")) - 1
        last = min(max(last, first + 1), masks.images)
        blocks.append((first, last))
        first = last
    return blocks


def _images(masks: MaskRanges, first: int, last: int) -> MaskRanges:
    """Masks of images first ... last - 1; the words are a view."""
    lo, hi = masks.image_start[first], masks.image_start[last]
    begin, end = masks.word_start[lo], masks.word_start[hi]
    return MaskRanges(
        masks.size,
        masks.units,
        masks.image_start[first : last + 1] - lo,
        masks.unit[lo:hi],
        masks.area[lo:hi],
        masks.first_word[lo:hi],
        masks.word_start[lo : hi + 1] - begin,
        masks.words[begin:end],
    )
