"""The images that excite a unit most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.kernels.keys import keys

__all__ = ["top_images"]

_BLOCK = 1 << 22  # keys at a time: 32 MB, whatever the size of `maxima`


def top_images(maxima: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return every unit's images by maximum, descending; of equal maxima the lower image number comes first.

    Value and image number make one unsigned integer, so that ties cannot exist and a selection is enough:

        key of the maximum (32 bits) | 2**32 - 1 - image (32 bits)

    Args:
        maxima: float32 [images, units]; NaN (a map without a usable value) comes last.
        count: images to return for each unit, at most as many as there are.

    Returns:
        int64 [units, min(count, images)].

    >>> top_images(np.array([[1.0], [3.0], [3.0]], np.float32), 2).tolist()
    [[1, 2]]
    """
    if count < 1:
        raise SettingError(f"expected a count of at least 1; got {count}")
    images, units = maxima.shape
    count = min(count, images)
    chosen = np.empty((units, count), np.int64)
    if not count:
        return chosen
    low = np.uint64(0xFFFFFFFF)
    order = low - np.arange(images, dtype=np.uint64)
    step = max(1, _BLOCK // images)
    for first in range(0, units, step):
        block = np.ascontiguousarray(maxima[:, first : first + step].T)
        missing = np.isnan(block)
        key = keys(np.where(missing, np.float32(0), block)).astype(np.uint64)
        key[missing] = 0
        key = (key << np.uint64(32)) | order
        top = np.partition(key, images - count, axis=1)[:, images - count :]
        top = np.sort(top, axis=1)[:, ::-1]
        chosen[first : first + step] = (low - (top & low)).astype(np.int64)
    return chosen
