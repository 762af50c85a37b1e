"""Seeded activations for the benchmarks: ReLU-like maps with one bump each, and the rate at which they fire.

A map is max(0, amplitude * bump + noise): amplitude max(0, N(0, 1)) a map, a Gaussian bump of width h / 6 at a
random place, noise N(0, 0.1). About half of the maps have no bump. It resembles the last layers of a trained
network more than independent noise does: cells above a high threshold come in clumps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bump_maps(images: int, units: int, side: int, seed: int = 0) -> NDArray[np.float32]:
    """float32 [images, units, side, side], contiguous."""
    rng = np.random.default_rng(seed)
    amplitude = np.maximum(0, rng.standard_normal((images, units, 1, 1), np.float32))
    cy = rng.random((images, units, 1, 1), np.float32) * side
    cx = rng.random((images, units, 1, 1), np.float32) * side
    at = np.arange(side, dtype=np.float32)
    distance = (at[:, None] - cy) ** 2 + (at - cx) ** 2
    bump = amplitude * np.exp(-distance / np.float32(2 * (side / 6) ** 2))
    noise = np.float32(0.1) * rng.standard_normal((images, units, side, side), np.float32)
    return np.maximum(0, bump + noise)


def channels_last(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same values as torch's channels-last layout keeps them (a view [N, K, h, w])."""
    return np.ascontiguousarray(maps.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
