"""COCO's segment maps -> label maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.decoding import decode_image
from fastdissect.errors import DataError

__all__ = ["label_segments"]

_IDS = 1 << 24


def label_segments(
    data: bytes, segments: dict[int, int], what: str, *, max_pixels: int
) -> NDArray[np.uint16]:
    """Read a segment map and label its segments.

    Args:
        data: a PNG; a pixel's segment id is R + 256 G + 65536 B, 0 = void.
        segments: {segment id: label number}.
        what: names the map in errors.
        max_pixels: height x width allowed.

    Returns:
        uint16 [height, width], 0 = none.

    Raises:
        DataError: no PNG, an id that is not listed, or a listed segment without a pixel.
    """
    if not data.startswith(b"\x89PNG"):
        raise DataError(f"{what} is no PNG; other formats may change a segment's colour, which is its id.")
    wrong = [id for id in segments if not 0 < id < _IDS]
    if wrong:
        raise DataError(
            f"{what}: the segment id {wrong[0]} is not from 1 to {_IDS - 1}. Restore the annotation file."
        )
    colours = decode_image(data, what, max_pixels=max_pixels)
    ids = colours[:, :, 0].astype(np.uint32)
    ids |= colours[:, :, 1].astype(np.uint32) << 8
    ids |= colours[:, :, 2].astype(np.uint32) << 16
    # A segment is looked up once for a run of its pixels: a map has some thousand runs.
    flat = ids.ravel()
    start = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    length = np.diff(start, append=flat.size)
    listed = np.array(sorted({0, *segments}), np.int64)
    rank = np.minimum(np.searchsorted(listed, flat[start]), listed.size - 1)
    unlisted = listed[rank] != flat[start]
    if unlisted.any():
        raise DataError(
            f"{what} holds the segment id {int(flat[start][unlisted][0])}, which its segments_info does not list. "
            "Restore the map or the annotation file."
        )
    absent = listed[(np.bincount(rank, minlength=listed.size) == 0) & (listed > 0)]
    if absent.size:
        raise DataError(
            f"{what} has no pixel of its segment {int(absent[0])}. Restore the map or remove the segment."
        )
    numbers = np.array([segments.get(id, 0) for id in listed.tolist()], np.uint16)
    return np.repeat(numbers[rank], length).reshape(ids.shape)
