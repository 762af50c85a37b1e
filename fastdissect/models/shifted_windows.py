"""Shifted windows (Swin): from windows folded into the batch back to the image's cells.

    cells [h, w] -> padded to whole windows, moved up and left by the shift -> windows -> [N * windows, T, K]

Libraries differ in what comes first, the padding or the shift; that is found out on a forward pass (`observing`),
never assumed.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ShiftedWindows"]


@dataclass(frozen=True)
class ShiftedWindows:
    """How a grid of cells is cut into windows; all pairs are (vertical, horizontal), in cells.

    Windows follow each other row by row within an image, and so do the tokens of a window.

    >>> ShiftedWindows((2, 4), (2, 2), (0, 1)).places.tolist()
    [5, 0, 1, 4, 7, 2, 3, 6]
    """

    grid: tuple[int, int]
    window: tuple[int, int]
    shift: tuple[int, int] = (0, 0)
    padded_first: bool = True

    @property
    def counts(self) -> tuple[int, int]:
        """Windows of an image, vertically and horizontally; the last ones may hold padding."""
        (height, width), (rows, columns) = self.grid, self.window
        return -(-height // rows), -(-width // columns)

    @property
    def plain(self) -> bool:
        """Whether there is one window, the grid itself: its tokens lie in the grid's order."""
        return self.grid == self.window and self.shift == (0, 0)

    @functools.cached_property
    def places(self) -> Tensor:
        """int64 [h * w]: for each cell, row by row, its place among an image's tokens (window by window)."""
        down, across = self.counts
        y = self._moved(0, down)[:, None]
        x = self._moved(1, across)[None, :]
        rows, columns = self.window
        window = (y // rows) * across + x // columns
        return (window * (rows * columns) + (y % rows) * columns + x % columns).flatten()

    def _moved(self, axis: int, windows: int) -> Tensor:
        """Where each cell of an axis lies after padding and shift; no cell of the image lies in the padding."""
        cells = self.grid[axis]
        turn = windows * self.window[axis] if self.padded_first else cells
        return (torch.arange(cells) - self.shift[axis]) % turn

    def fit(self, shape: tuple[int, ...], images: int) -> bool:
        """Say whether [N * windows, T, K] is a shape that these windows give for so many images."""
        down, across = self.counts
        return len(shape) == 3 and shape[:2] == (images * down * across, self.window[0] * self.window[1])

    def cells_of(self, tensor: Tensor, images: int) -> Tensor:
        """[N * windows, T, K] -> [N, K, h, w], a copy."""
        tokens = tensor.reshape(images, -1, tensor.shape[2])
        cells = tokens.index_select(1, self.places.to(tensor.device))
        return cells.view(images, *self.grid, tensor.shape[2]).permute(0, 3, 1, 2)

    def put_back(self, tensor: Tensor, maps: Tensor) -> None:
        """Write maps [N, K, h, w] to where their cells lie in [N * windows, T, K]; padding keeps its values.

        `tensor` is contiguous: a copy would take the writing.
        """
        tokens = tensor.view(len(maps), -1, tensor.shape[2])
        tokens.index_copy_(1, self.places.to(tensor.device), maps.permute(0, 2, 3, 1).flatten(1, 2))
