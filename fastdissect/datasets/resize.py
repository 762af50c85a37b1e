"""Bringing images and label maps to the sizes that the chain needs: no crop, both axes by themselves."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastdissect.errors import SettingError, nearest
from fastdissect.types import Array

__all__ = ["INTERPOLATIONS", "resize_image", "resize_labels"]

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@lru_cache(maxsize=64)
def _nearest_cells(cells: int, pixels: int) -> NDArray[np.intp]:
    # floor((i + 0.5) * cells / pixels) in integers: no rounding can move a sample to its neighbour.
    table = ((2 * np.arange(pixels, dtype=np.int64) + 1) * cells // (2 * pixels)).astype(np.intp)
    table.flags.writeable = False
    return table


def resize_labels(labels: Array, size: tuple[int, int]) -> Array:
    """Resize a label map by nearest neighbour.

    Output row i shows input row floor((i + 0.5) * n / m) (n input rows, m output rows), columns likewise: the
    input pixel under the output pixel's centre.

    Args:
        labels: [height, width], any dtype.
        size: the (height, width) wanted.

    Returns:
        [size], the same dtype; the very same array where the size is right already.

    Raises:
        SettingError: no two-dimensional map, or a size below 1.

    Example:
        >>> resize_labels(np.array([[1, 2, 3, 4]]), (1, 2))
        array([[2, 4]])
    """
    if labels.ndim != 2 or 0 in labels.shape or min(size) < 1:
        raise SettingError(
            f"expected a map [height, width] and a size of at least 1 x 1, got {labels.shape}, {size}."
        )
    if labels.shape == tuple(size):
        return labels
    rows = _nearest_cells(labels.shape[0], size[0])
    columns = _nearest_cells(labels.shape[1], size[1])
    return labels.take(rows, axis=0).take(columns, axis=1)


def resize_image(
    pixels: NDArray[np.uint8], size: tuple[int, int], interpolation: str = "bilinear"
) -> NDArray[np.uint8]:
    """Resize an image without cropping, by Pillow (which antialiases when it shrinks).

    Args:
        pixels: uint8 [height, width, 3].
        size: the (height, width) wanted.
        interpolation: "nearest", "box", "bilinear", "hamming", "bicubic" or "lanczos".

    Returns:
        uint8 [size, 3]; the very same array where the size is right already.

    Raises:
        SettingError: another shape or dtype, a size below 1, or an unknown interpolation.

    Example:
        >>> resize_image(np.zeros((4, 6, 3), np.uint8), (2, 3)).shape
        (2, 3, 3)
    """
    if interpolation not in INTERPOLATIONS:
        raise SettingError(
            f"unknown interpolation {interpolation!r}; expected one of {', '.join(INTERPOLATIONS)}"
            f"{nearest(interpolation, INTERPOLATIONS)}."
        )
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or min(size) < 1:
        raise SettingError(
            f"expected uint8 [height, width, 3] and a size of at least 1 x 1, got {pixels.dtype} "
            f"{pixels.shape} and {size}."
        )
    if pixels.shape[:2] == tuple(size):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    # A copy: torch warns of arrays that cannot be written.
    return np.array(image.resize((size[1], size[0]), INTERPOLATIONS[interpolation]))
