"""What a generator gives -> pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastdissect.errors import DataError

__all__ = ["as_pixels"]


def as_pixels(made: Any, images: int, span: tuple[float, float]) -> NDArray[np.uint8]:
    """A generator's output as pictures; grey ones are replicated to three channels.

    Args:
        made: [images, 3, H, W] or [images, 1, H, W], of a float type.
        span: values of black and white; what is a little beyond is clipped, as when such images are saved.

    Returns:
        uint8 [images, H, W, 3], rounded to the nearest.

    Raises:
        DataError: another type, shape or number of images, NaN, or values far beyond `span`.

    Example:
        >>> as_pixels(torch.tensor([-1.0, 0.0, 1.1]).view(3, 1, 1, 1), 3, (-1, 1))[:, 0, 0, 0].tolist()
        [0, 128, 255]
    """
    if not isinstance(made, torch.Tensor) or not made.is_floating_point():
        what = f"a tensor of {made.dtype}" if isinstance(made, torch.Tensor) else type(made).__name__
        raise DataError(
            f"the generator: expected images [n, 3, H, W] of a float type; got {what}; wrap it in a module that returns them"
        )
    if made.ndim != 4 or len(made) != images or made.shape[1] not in (1, 3) or not made.numel():
        raise DataError(
            f"the generator: expected {images} images [{images}, 3, H, W] or [{images}, 1, H, W] of {images} samples; got "
            f"{list(made.shape)}; wrap it in a module that returns them"
        )
    low, high = span
    found = made.detach().float()
    if not bool(found.isfinite().all()):
        raise DataError(
            "the generator: expected images of finite values; got NaN or infinity; look at its weights, and at what its samples "
            "should be"
        )
    least, most = float(found.min()), float(found.max())
    if least < 2 * low - high or most > 2 * high - low:
        raise DataError(
            f"the generator: expected images with values from {low:g} to {high:g}; got values from {least:g} to {most:g}; say "
            "what black and white are (range=, as in range=0..1)"
        )
    scaled = ((found - low) * (255 / (high - low))).add(0.5).clamp(0, 255)  # cut to whole numbers below
    pixels = scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:3], 3)))
