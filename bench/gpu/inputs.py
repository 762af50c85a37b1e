"""Random activations on the device: the shapes that are measured, in the layouts and dtypes that networks give.

The maps are those of bench/maps.py (ReLU-like, one bump each), made by torch where they are needed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastdissect.arrays import activation_view
from fastdissect.types import ActivationView

__all__ = ["LAYOUTS", "SHAPES", "Shape", "bump_tensor", "exact_thresholds", "traffic", "view_of"]


class Shape(NamedTuple):
    """A layer's maps."""

    units: int
    side: int
    layouts: tuple[str, ...]
    batch: int  # images a forward pass
    images: int  # 134 million activations or so: far more than a cache, and below the sift's limit for not waiting

    @property
    def title(self) -> str:
        return f"{self.units} x {self.side} x {self.side}"

    @property
    def cells(self) -> int:
        return self.side * self.side


MAPS, TOKENS = ("NCHW", "channels last"), ("tokens",)
SHAPES = (
    Shape(512, 7, MAPS, 256, 5120),
    Shape(1024, 14, MAPS, 256, 640),
    Shape(256, 56, MAPS, 64, 160),
    Shape(4096, 16, TOKENS, 64, 128),
)
LAYOUTS = {"NCHW": "contiguous", "channels last": "units last", "tokens": "a class token, then units last"}


def view_of(tensor: Any, side: int, layout: str) -> ActivationView:
    """The view that the sift is given, in place. Tokens [n, 1 + side * side, units]: without the first."""
    if layout == "tokens":
        return activation_view(tensor[:, 1:].unflatten(1, (side, side)), "NHWC")
    return activation_view(tensor)


def bump_tensor(
    torch: Any, shape: Shape, images: int, layout: str, dtype: Any, seed: int, device: str
) -> Any:
    """[images, units, side, side], or for tokens [images, 1 + side * side, units]."""
    units, side = shape.units, shape.side
    generator = torch.Generator(device).manual_seed(seed)
    if layout == "tokens":
        out = torch.zeros((images, 1 + side * side, units), dtype=dtype, device=device)
        maps = out[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    else:
        order = torch.channels_last if layout == "channels last" else torch.contiguous_format
        out = torch.empty((images, units, side, side), dtype=dtype, device=device, memory_format=order)
        maps = out

    def random(kind: str, *size: int) -> Any:
        return getattr(torch, kind)(size, generator=generator, device=device)

    at, width = torch.arange(side, device=device, dtype=torch.float32), 2 * (side / 6) ** 2
    block = max(1, (1 << 25) // (units * side * side))
    for first in range(0, images, block):
        n = min(block, images - first)
        amplitude = random("randn", n, units).relu()
        centre = random("rand", n, units, 2) * side - 0.5
        rows, columns = (torch.exp(-((at - centre[..., i, None]) ** 2) / width) for i in (0, 1))
        bump = amplitude[..., None, None] * rows[..., :, None] * columns[..., None, :]
        maps[first : first + n] = (bump + 0.1 * random("randn", n, units, side, side)).relu()
    return out


def exact_thresholds(torch: Any, values: Any, quantile: float) -> Any:
    """float32 [units] on the host: the largest value with more than quantile * n above or at it, of [units, n]."""
    rank = int(quantile * values.shape[1])  # 0 is the largest
    found = torch.kthvalue(values.float(), values.shape[1] - rank, dim=1).values
    return np.asarray(found.cpu().numpy(), np.float32)


def traffic(shape: Shape, images: int, itemsize: int, firing: float, kept: float) -> tuple[float, float]:
    """Bytes that a sift moves: (by the sift kernel, by all its launches).

    A map costs its cells, once; 12 bytes written (mean, maximum, length); 44 for two scans of the lengths and what
    the gathering reads of them. A map with a cell kept: its bits (4 bytes a row of up to 32 cells), written and read.
    A kept cell: its value read again (a sector of 32 bytes, at most the map), its number and value written.

    Args:
        firing: maps with a cell above the bound, of all. kept: cells, of all.
    """
    maps = images * shape.units
    bits = 4 * shape.side * -(-shape.side // 32)
    first = maps * (shape.cells * itemsize + 12 + firing * bits)
    values = min(firing * shape.cells * itemsize, kept * shape.cells * 32)
    again = maps * (44 + firing * bits + values + kept * shape.cells * (2 + itemsize))
    return first, first + again
