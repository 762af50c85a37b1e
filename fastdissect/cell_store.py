"""The cell store: what is retained of one layer, in parts of consecutive images, and the bounds it was retained by.

The cells lie where they were sifted: in host memory, or on a GPU as long as they fit there. A store that has left the
GPU stays in host memory; what is sifted later follows it. Results do not depend on the side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fastdissect.device_arrays import is_on_device, to_host
from fastdissect.kernels import Backend
from fastdissect.kernels.stores import cells_beside, cells_on_host, value_starts, where_it_fits
from fastdissect.types import Kind, SparseActivations, Upsampling

__all__ = ["CellStore"]

Result = TypeVar("Result")


class CellStore:
    """Retained cells of one layer.

    Args:
        kind: dtype of the activations.
        upsampling: tables from map to mask; its reach is how far retention dilates.
        pixels: order statistics are over the pixels of the upsampled maps, not over the cells.
        bounds: uint32 keys [units]; what is not within reach of a cell above them is not retained.
    """

    def __init__(self, kind: Kind, upsampling: Upsampling, pixels: bool, bounds: NDArray[np.uint32]) -> None:
        self.kind, self.upsampling, self.pixels, self.bounds = kind, upsampling, pixels, bounds
        self.parts: list[SparseActivations] = []
        self.nbytes = 0
        self.left_device = False

    @property
    def on_device(self) -> bool:
        """True while cells lie on a GPU."""
        return bool(self.parts) and is_on_device(self.parts[0].values)

    def append(self, cells: SparseActivations) -> None:
        """Take the cells of the images that follow."""
        if self.left_device:
            cells = cells_on_host(cells)
        elif self.parts and is_on_device(cells.values) and not self.on_device:  # what a checkpoint kept
            self.parts = [cells_beside(part, cells.values) for part in self.parts]
        self.parts.append(cells)
        self.nbytes += cells.nbytes

    def replace(self, cells: SparseActivations | None) -> None:
        """Hold these cells instead."""
        self.parts = [] if cells is None else [cells]
        self.nbytes = 0 if cells is None else cells.nbytes

    def leave_device(self) -> None:
        """Bring everything to host memory, for good."""
        self.left_device = True
        self.bounds = to_host(self.bounds)
        for i, part in enumerate(self.parts):  # one by one: each frees its device memory
            self.parts[i] = cells_on_host(part)

    def raise_bounds(self, rank: int) -> None:
        """Raise the bounds towards the rank-th largest values, at the cost of one read of what is retained."""

        def risen(kernels: Backend, threads: int) -> NDArray[np.uint32]:
            if self.pixels:
                return kernels.raise_pixels(self.parts, self.bounds, rank, self.upsampling, threads)
            starts, values = self._values()
            return kernels.raise_bounds(starts, values, self.kind, self.bounds, rank, threads)

        self.bounds = self._where_it_fits(risen)

    def select(self, ranks: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Keys [units, j] of the ranks[k, j]-th largest values (1 = largest), the bound where there are fewer."""

        def chosen(kernels: Backend, threads: int) -> NDArray[np.uint32]:
            if self.pixels:
                return kernels.select_pixels(self.parts, self.bounds, ranks, self.upsampling, threads)
            starts, values = self._values()
            return kernels.select(starts, values, self.kind, self.bounds, ranks, threads)

        return to_host(self._where_it_fits(chosen))

    def raise_to(self, rank: int) -> None:
        """Raise the bounds to the rank-th largest values themselves."""
        ranks = np.full((len(self.bounds), 1), rank, np.int64)
        self.bounds = np.maximum(to_host(self.bounds), self.select(ranks)[:, 0])

    def forget(self) -> None:
        """Join the parts, without what the bounds leave behind."""
        reach, ring = self.upsampling.reach, self.upsampling.ring
        self.replace(self._where_it_fits(lambda own, n: own.prune(self.parts, self.bounds, reach, ring, n)))

    def _values(self) -> tuple[list[NDArray[np.int64]], list[NDArray[np.float32]]]:
        return [value_starts(part) for part in self.parts], [part.values for part in self.parts]

    def _where_it_fits(self, work: Callable[[Backend, int], Result]) -> Result:
        return where_it_fits(self, self.parts[0].values if self.parts else None, work)
