"""An image and its labels, painted together: what covers a pixel takes its colour and all its labels.

There is no antialiasing, so a label's mask is exactly the set of pixels that were painted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.shapes.draws import Draws
from fastdissect.datasets.shapes.vocabulary import COLORS, NUMBER

__all__ = ["Box", "Canvas", "Colour", "Mask", "Shade"]

Box = tuple[slice, slice]
Mask = NDArray[np.bool_]
Colour = int | NDArray[np.uint8]  # index in COLORS, one for all pixels or one each
Shade = float | NDArray[np.floating[Any]]  # brightness, 1 = the colour itself

_PALETTE = np.array(
    [
        (24, 24, 26),
        (48, 92, 212),
        (122, 74, 36),
        (130, 130, 132),
        (48, 150, 62),
        (240, 134, 28),
        (246, 152, 192),
        (132, 56, 172),
        (206, 34, 40),
        (240, 240, 238),
        (242, 218, 52),
    ],
    dtype=np.float32,
)
_JITTER = 12.0  # a colour's channels differ from image to image by up to this
_NOISE = 8  # a pixel's channels by up to this; a power of two


class Canvas:
    """Layers of one square image, `size` pixels a side. Coordinates run from 0 to 1, x right and y down."""

    def __init__(self, size: int) -> None:
        self.size = size
        shape = (size, size)
        self.colour = np.zeros(shape, dtype=np.uint8)
        self.shade = np.ones(shape, dtype=np.float32)
        self.labels = {
            layer: np.zeros(shape, dtype=np.uint16)
            for layer in ("object", "part", "nested part", "material", "texture")
        }
        centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
        self.x = centres[None, :]
        self.y = centres[:, None]

    def box(self, x: float, y: float, reach: float) -> Box:
        """The pixels whose centre may lie within `reach` of a point, on both axes."""
        n = self.size
        top, bottom = int((y - reach) * n), int((y + reach) * n) + 2
        left, right = int((x - reach) * n), int((x + reach) * n) + 2
        return slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0))

    def paint(self, box: Box, mask: Mask, colour: Colour, shade: Shade = 1.0, /, **labels: str) -> None:
        """Paint the pixels of `mask`, a map of the box, and give them labels by layer: object="sky".

        Layers that are not named keep what they have; `cover` clears them.
        """
        np.copyto(self.colour[box], np.uint8(colour) if isinstance(colour, int) else colour, where=mask)
        np.copyto(self.shade[box], np.float32(shade) if isinstance(shade, float) else shade, where=mask)
        for layer, name in labels.items():
            np.copyto(self.labels[layer.replace("_", " ")][box], np.uint16(NUMBER[name]), where=mask)

    def cover(self, box: Box, mask: Mask) -> None:
        """Take all labels from the pixels of `mask`: something new stands in front."""
        for layer in self.labels.values():
            np.copyto(layer[box], np.uint16(0), where=mask)

    def colour_labels(self) -> NDArray[np.uint16]:
        """Every pixel's colour label: the paint it was given, whatever light and noise make of it."""
        return np.array([NUMBER[f"{name}-c"] for name in COLORS], dtype=np.uint16)[self.colour]

    def pixels(self, draws: Draws) -> NDArray[np.uint8]:
        """Mix the paints: palette x shade x light + noise, uint8 [size, size, 3]."""
        palette = _PALETTE.copy()
        for channel in palette.reshape(-1, 1):
            channel += np.float32(draws.uniform(-_JITTER, _JITTER))
        slope = np.float32(draws.uniform(-0.12, 0.12)), np.float32(draws.uniform(-0.12, 0.12))
        half = np.float32(0.5)
        light = self.shade * (1 + slope[0] * (self.x - half) + slope[1] * (self.y - half))
        rgb = palette[self.colour]
        rgb *= light[:, :, None]
        noise = draws.bytes(rgb.size) & np.uint8(2 * _NOISE - 1)
        rgb += noise.reshape(rgb.shape)
        rgb += np.float32(0.5 - _NOISE)
        return np.clip(rgb, 0, 255, out=rgb).astype(np.uint8)
