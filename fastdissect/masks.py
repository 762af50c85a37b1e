"""Masks: a data set's label maps, of any size, -> packed planes of the masks' size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.resize import resize_labels
from fastdissect.errors import DataError
from fastdissect.packing import ImagePlanes, pack_channels
from fastdissect.types import LabelChannel

__all__ = ["image_planes"]

ASPECT_SLACK = 0.03  # beside a pixel: masks of 113 x 112 over images of 227 x 224 are in order


def image_planes(
    channels: Sequence[LabelChannel],
    columns: NDArray[np.int32],
    size: tuple[int, int],
    *,
    once: bool,
    image: str = "",
    aspect: float | None = None,
) -> ImagePlanes:
    """Pack one image's label channels.

    Args:
        channels: in the data set's order; maps are resized to `size` by nearest neighbour.
        columns: see `packing.columns_of`.
        once: a label counts once at a pixel, whatever channels carry it; else once a channel.
        aspect: height / width of the image: a mask of another aspect is an error.

    Raises:
        DataError: a label number that the vocabulary lacks, or a mask of another aspect; names the image.
    """
    resized = []
    for channel in channels:
        labels = channel.labels
        if isinstance(labels, np.ndarray):
            if aspect is not None:
                _check_aspect(labels.shape, aspect, image)
            channel = LabelChannel(channel.category, resize_labels(labels, size))
        resized.append(channel)
    return pack_channels(resized, columns, size, once=once, image=image)


def _check_aspect(shape: tuple[int, ...], aspect: float, image: str) -> None:
    height, width = shape
    # half of an odd size may be rounded either way: a pixel more or less is no other aspect
    off = min(abs(height - width * aspect), abs(width - height / aspect))
    if off > 1 and abs(height / width / aspect - 1) > ASPECT_SLACK:
        raise DataError(
            f"image {image}: expected masks of its aspect (height / width = {aspect:.3f}); got a mask of "
            f"{height} x {width}; make the mask from the whole image"
        )
