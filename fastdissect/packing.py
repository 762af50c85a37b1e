"""Packing: label channels of the masks' size -> packed planes, one image at a time or joined (numpy alone)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import DataError
from fastdissect.kernels.selection import host_backend
from fastdissect.types import Concepts, LabelChannel, Planes, words_for

__all__ = [
    "ImagePlanes",
    "columns_of",
    "content_digest",
    "join_blocks",
    "join_planes",
    "no_planes",
    "pack_channels",
    "slice_planes",
]


class ImagePlanes(NamedTuple):
    """Planes of one image; word_row == -1: the plane covers the whole image."""

    concept: NDArray[np.int32]
    pixels: NDArray[np.int64]
    word_row: NDArray[np.int64]
    words: NDArray[np.uint64]


def columns_of(concepts: Concepts) -> NDArray[np.int32]:
    """columns[label number] = column, -1 where the vocabulary has no such label."""
    columns = np.full(int(concepts.numbers.max(initial=0)) + 1, -1, np.int32)
    columns[concepts.numbers] = np.arange(len(concepts), dtype=np.int32)
    return columns


def pack_channels(
    channels: Sequence[LabelChannel],
    columns: NDArray[np.int32],
    size: tuple[int, int],
    *,
    once: bool,
    image: str = "",
) -> ImagePlanes:
    """Pack one image's label channels.

    Args:
        channels: maps of the masks' size, or numbers for the whole image.
        columns: see `columns_of`.
        once: a label counts once at a pixel, whatever channels carry it; else once a channel.

    Raises:
        DataError: a label number that the vocabulary lacks; names the image.
    """
    whole = [int(c.labels) for c in channels if not isinstance(c.labels, np.ndarray)]
    maps = [c.labels for c in channels if isinstance(c.labels, np.ndarray)]
    for number in whole:
        if not (0 < number < len(columns)) or columns[number] < 0:
            raise _unknown(image, number)
    if once:
        whole = sorted(set(whole))
    concept, area = np.zeros(0, np.int32), np.zeros(0, np.int64)
    words = np.zeros((0, words_for(size[0] * size[1])), np.uint64)
    if maps:
        for labels in maps:  # before they are narrowed: a wide number must not wrap into a known one
            for extreme in (int(labels.max(initial=0)), int(labels.min(initial=0))):
                if not 0 <= extreme < len(columns):
                    raise _unknown(image, extreme)
        narrow = np.uint16 if len(columns) <= 1 << 16 else np.int32
        packed = host_backend().pack(np.stack(maps).astype(narrow, copy=False), columns, once)
        if packed.unknown:
            raise _unknown(image, packed.unknown)
        concept, area, words = packed.concept, packed.pixels, packed.words
    full = columns[whole].astype(np.int32)
    if once and len(full):  # a label of the whole image holds every pixel that a map gives it
        stays = ~np.isin(concept, full)
        concept, area, words = concept[stays], area[stays], words[stays]
    row = np.concatenate([np.arange(len(concept)), np.full(len(full), -1)]).astype(np.int64)
    concept = np.concatenate([concept, full])
    area = np.concatenate([area, np.full(len(full), size[0] * size[1], np.int64)])
    order = np.argsort(concept, kind="stable")
    return ImagePlanes(concept[order], area[order], row[order], words)


def _unknown(image: str, number: int) -> DataError:
    return DataError(
        f"image {image}: expected label numbers of the vocabulary; got {number}; add it to the label table, or "
        "mend the mask (`fastdissect data check` lists all)"
    )


def no_planes(size: tuple[int, int]) -> Planes:
    """Planes of no image."""
    nothing = np.zeros(0, np.int64)
    words = np.zeros((0, words_for(size[0] * size[1])), np.uint64)
    return Planes(size, np.zeros(1, np.int64), np.zeros(0, np.int32), nothing, nothing, words)


def join_planes(images: Iterable[ImagePlanes], size: tuple[int, int]) -> Planes:
    """The planes of consecutive images as one block."""
    empty = no_planes(size)
    start, first, row = [0], 0, [empty.word_row]
    images = list(images)
    for one in images:
        start.append(start[-1] + len(one.concept))
        row.append(np.where(one.word_row < 0, -1, one.word_row + first))
        first += len(one.words)

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(empty, name), *(getattr(one, name) for one in images)])

    return Planes(
        size=size,
        plane_start=np.array(start, np.int64),
        concept=joined("concept"),
        pixels=joined("pixels"),
        word_row=np.concatenate(row),
        words=joined("words"),
    )


def join_blocks(blocks: Sequence[Planes], size: tuple[int, int]) -> Planes:
    """Blocks of consecutive images as one."""
    base = np.cumsum([0, *(len(block.words) for block in blocks)])
    starts = [np.zeros(1, np.int64), *(np.diff(block.plane_start) for block in blocks)]
    none = no_planes(size)

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(none, name), *(getattr(block, name) for block in blocks)])

    rows = [np.where(b.word_row < 0, -1, b.word_row + first) for b, first in zip(blocks, base, strict=False)]
    return Planes(
        size,
        np.concatenate(starts).cumsum(),
        joined("concept"),
        joined("pixels"),
        np.concatenate([none.word_row, *rows]),
        joined("words"),
    )


def slice_planes(planes: Planes, first: int, last: int) -> Planes:
    """Planes of images first ... last - 1; the words are a view.

    An image's rows follow the rows of the images before it.
    """
    lo, hi = int(planes.plane_start[first]), int(planes.plane_start[last])
    rows = planes.word_row[lo:hi]
    held = rows[rows >= 0]
    base, stop = (int(held.min()), int(held.max()) + 1) if len(held) else (0, 0)
    return Planes(
        planes.size,
        planes.plane_start[first : last + 1] - lo,
        planes.concept[lo:hi],
        planes.pixels[lo:hi],
        np.where(rows < 0, -1, rows - base),
        np.asarray(planes.words[base:stop]),
    )


def content_digest(image: str, planes: Planes, index: int) -> bytes:
    """Digest (blake2b, 16 bytes) of an image's content (hex digest `image`) and of the planes of its masks."""
    own = slice_planes(planes, index, index + 1)
    digest = hashlib.blake2b(image.encode() + b"\0", digest_size=16)
    for array in (own.concept, own.pixels, own.word_row, own.words):
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
