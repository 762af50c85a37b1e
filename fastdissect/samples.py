"""Samples: images spread evenly over a data set, to learn from a few what all will need."""

from __future__ import annotations

import numpy as np

from fastdissect.batches import BatchSource, DatasetBatches
from fastdissect.errors import DataError

__all__ = ["spread_images"]


def spread_images(source: BatchSource, images: int, why: str) -> DatasetBatches:
    """Batches of some images of a source, the first and the last among them, at even distances between.

    Args:
        why: what they are for, for the message.

    Raises:
        DataError: images cannot be picked: a DataLoader.
    """
    if not isinstance(source, DatasetBatches):
        raise DataError(
            f"expected a data set, or its name, for {why}: it takes images from the whole of it; got a DataLoader; make a "
            "fastdissect.datasets.Dataset of it"
        )
    count = min(images, source.images)
    chosen = np.unique(np.linspace(0, source.images - 1, count).round().astype(np.int64))
    return source.only(chosen)
