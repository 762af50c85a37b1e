"""Images as Python holds them -> uint8 [height, width, 3].

PIL image                        any mode with an RGB meaning
torch tensor (tv_tensors too)    [3, H, W] or [1, H, W]: uint8, or floats that are k / 255
NumPy array                      uint8 [H, W, 3], [H, W, 1] or [H, W]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastdissect.arrays import host_array, owner
from fastdissect.errors import ActivationError, DataError, SettingError
from fastdissect.types import Array

__all__ = ["pixels_of"]

# k / 255 in float32 is off by less than 2^-24 of itself; float images that were resized or normalised miss by far more.
_ROUNDING = 1e-4


def pixels_of(image: Any, what: str) -> NDArray[np.uint8]:
    """One image's pixels; nothing is rounded that was not rounded before.

    Args:
        what: names the image in errors.

    Raises:
        DataError: another type or shape, or floats that are no 8-bit values.

    Example:
        >>> pixels_of(np.zeros((4, 6), np.uint8), "image 0").shape
        (4, 6, 3)
    """
    if isinstance(image, Image.Image):
        return _from_pil(image, what)
    if owner(image) == "torch":
        try:
            found = host_array(image)
        except (ActivationError, SettingError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(f"{what} cannot be read ({error}); expected a dense tensor with data.") from error
        if found.ndim == 3:
            found = found.transpose(1, 2, 0)
        form = "[3, H, W] or [1, H, W]"
    elif isinstance(image, np.ndarray):
        found = image[:, :, None] if image.ndim == 2 else image
        form = "[H, W, 3], [H, W, 1] or [H, W]"
    else:
        raise DataError(
            f"{what} is a {type(image).__name__}; expected a PIL image, a torch tensor or a NumPy array."
        )
    if found.ndim != 3 or found.shape[2] not in (1, 3) or not found.size:
        raise DataError(f"{what} is a {owner(image)} array {list(image.shape)}; expected {form}.")
    if found.dtype.kind == "f":
        found = _eight_bit(found, what)
    if found.dtype != np.uint8:
        raise DataError(f"{what} is {found.dtype}; expected uint8, or floats from 0 to 1.")
    return np.ascontiguousarray(np.broadcast_to(found, (*found.shape[:2], 3)))


def _from_pil(image: Image.Image, what: str) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        raise DataError(
            f"{what} is a PIL image of mode {image.mode}; expected 8 bits a channel. Convert it to RGB."
        )
    if not image.width * image.height:
        raise DataError(
            f"{what} is a PIL image of {image.height} x {image.width} pixels; expected at least one."
        )
    try:
        return np.array(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{what} is a PIL image of mode {image.mode} that cannot be turned into RGB ({error})."
        ) from error


def _eight_bit(values: Array, what: str) -> NDArray[np.uint8]:
    scaled = values.astype(np.float64) * 255
    rounded = np.rint(scaled)
    # the negated comparison also catches NaN
    if not ((np.abs(scaled - rounded) <= _ROUNDING).all() and 0 <= rounded.min() <= rounded.max() <= 255):
        raise DataError(
            f"{what} has floats from {values.min():g} to {values.max():g} that are not k / 255, so that rounding them "
            "to 8 bits would change the image; expected it as it was decoded. Leave normalisation and float transforms "
            "out (fastdissect resizes and normalises), or give a DataLoader, whose images are taken as they are."
        )
    return rounded.astype(np.uint8)
