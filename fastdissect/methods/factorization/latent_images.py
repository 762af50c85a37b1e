"""What a factor looks like: its latent image, and what that keeps of a picture (METHODS 4.5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.result import Factorization

__all__ = ["GREY", "latent_image", "latent_pixels", "masked_copy"]

GREY = 128
"""The value of a dead factor's latent image, everywhere."""
_COLOURS = ("red", "green", "blue")


def latent_pixels(f: Factorization, factor: int) -> NDArray[np.float32] | None:
    """Return a factor's pixel loadings, float32 [height, width, 3]; a single channel stands for all three.

    The channels are the matrices of kind "pixels": red, green and blue by their names where they have these, else in
    their order. None where there are no such matrices, or not one or three channels of one size.

    Raises:
        SettingError: no such factor.
    """
    if not 0 <= factor < f.mixtures.shape[1]:
        raise SettingError(f"expected a factor of 0 to {f.mixtures.shape[1] - 1}; got {factor}")
    matrices = {one.name: one for one in f.loadings if one.kind == "pixels"}
    order = _COLOURS if set(matrices) == set(_COLOURS) else tuple(matrices)
    parts = [matrices[name].values[:, factor].reshape(matrices[name].shape) for name in order]
    if len({part.shape[1:] for part in parts}) != 1:
        return None
    planes = np.concatenate(parts)
    if len(planes) not in (1, 3):
        return None
    return np.ascontiguousarray(np.broadcast_to(planes, (3, *planes.shape[1:])).transpose(1, 2, 0))


def latent_image(f: Factorization, factor: int) -> NDArray[np.uint8] | None:
    """Return (P_red, P_green, P_blue)[:, factor] as a picture, each channel scaled by 255 / its maximum.

    Returns:
        uint8 [height, width, 3]; grey everywhere for a factor without pixel loadings (dead); a channel of zeros stays
        black; None where nothing was factorised that is a picture.

    Raises:
        SettingError: no such factor.
    """
    pixels = latent_pixels(f, factor)
    if pixels is None:
        return None
    if not pixels.any() or not f.mixtures[:, factor].any():
        return np.full(pixels.shape, GREY, np.uint8)
    wide = pixels.astype(np.float64)
    largest = wide.max((0, 1))
    scaled = np.divide(wide, largest, out=np.zeros(wide.shape), where=largest > 0)
    picture: NDArray[np.uint8] = np.rint(255 * scaled).astype(np.uint8)
    return picture


def masked_copy(picture: NDArray[np.uint8], pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Keep of each channel the pixels where the latent image exceeds the channel's own median; the others become 0.

    Args:
        picture: uint8 [H, W, 3].
        pixels: [height, width, 3], of `latent_pixels`. Of another size than the picture: the picture's pixel (y, x) asks
            the latent pixel that it falls into, (y height // H, x width // W).

    Raises:
        SettingError: another shape.

    >>> masked_copy(np.full((1, 4, 3), 9, np.uint8), np.float32([[[0] * 3, [1] * 3]]))[0, :, 0].tolist()
    [0, 0, 9, 9]
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise SettingError(
            f"expected a picture, uint8 [height, width, 3]; got shape {list(picture.shape)} of {picture.dtype}"
        )
    keep = pixels > np.median(pixels, axis=(0, 1))
    rows = np.arange(picture.shape[0]) * keep.shape[0] // picture.shape[0]
    columns = np.arange(picture.shape[1]) * keep.shape[1] // picture.shape[1]
    return np.where(keep[rows][:, columns], picture, np.uint8(0))
