"""Seeded activations: ReLU-like maps with one bump each, in float32 or bfloat16.

A map is max(0, amplitude * bump + noise): amplitude max(0, N(0, 1)) a map, a Gaussian bump of width h / 6 at a
random place, noise N(0, 0.1). About half of the maps have no bump. It resembles the last layers of a trained
network more than independent noise does: cells above a high threshold come in clumps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_bfloat16", "as_float32", "bump_maps", "concept_maps"]

Maps = NDArray[np.float32]


def bump_maps(images: int, units: int, side: int, seed: int = 0) -> Maps:
    """float32 [images, units, side, side], contiguous; made in blocks of images, so that memory stays small."""
    return _maps(images, units, side, seed, None)


def concept_maps(presence: NDArray[np.bool_], centres: NDArray[np.float32], units: int, side: int) -> Maps:
    """As `bump_maps`, but unit k likes concept k mod C: where an image shows it, the bump is there, and higher.

    Args:
        presence: [images, C], the image shows the concept.
        centres: [images, C, 2], a place (y, x) of it, in fractions of the image.
    """
    liked = np.arange(units) % presence.shape[1]
    return _maps(len(presence), units, side, 0, (presence[:, liked], centres[:, liked]))


def _maps(
    images: int,
    units: int,
    side: int,
    seed: int,
    liked: tuple[NDArray[np.bool_], NDArray[np.float32]] | None,
) -> Maps:
    rng = np.random.default_rng(seed)
    maps = np.empty((images, units, side, side), np.float32)
    at = np.arange(side, dtype=np.float32)
    width = np.float32(2 * (side / 6) ** 2)
    block = max(1, (1 << 22) // (units * side * side))
    for first in range(0, images, block):
        some = slice(first, min(first + block, images))
        shape = (some.stop - first, units)
        amplitude = np.maximum(0, rng.standard_normal(shape, np.float32))
        centre = rng.random((*shape, 2), np.float32)
        if liked is not None:
            present, places = liked[0][some], liked[1][some]
            amplitude += present
            centre = np.where(present[..., None], places, centre)
        cy, cx = (centre[..., axis, None] * side - np.float32(0.5) for axis in (0, 1))
        rows, columns = (np.exp(-((at - c) ** 2) / width) for c in (cy, cx))
        bump = amplitude[..., None, None] * rows[..., :, None] * columns[..., None, :]
        noise = np.float32(0.1) * rng.standard_normal((*shape, side, side), np.float32)
        np.maximum(0, bump + noise, out=maps[some])
    return maps


def as_bfloat16(maps: Maps) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16, ties to even; the values are finite and not negative."""
    bits = maps.view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)


def as_float32(data: NDArray[Any]) -> Maps:
    """The float32 values of float32, or of bfloat16's bits in uint16.

    >>> as_float32(as_bfloat16(np.array([1.0, 1.01], np.float32))).tolist()
    [1.0, 1.0078125]
    """
    if data.dtype == np.uint16:
        return (data.astype(np.uint32) << 16).view(np.float32)
    return data
