"""Views of activations that never lie in memory as a whole.

    CodesView      a few values a place, each with its unit; every other unit is 0 there
    BlockedView    the maps of some units at a time, made when they are asked for

Both stand where an `ActivationView` does. Of the array that is not there, `data` tells the shape alone: whoever would
read values from it fails loudly.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastdissect.device_arrays import to_host
from fastdissect.types import ActivationView, Kind

__all__ = ["BlockedView", "CodesView", "Outline", "View", "piece_of"]

Shape: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True)
class Outline:
    """The shape of an array that is not there: images, units, height, width."""

    shape: Shape

    def __len__(self) -> int:
        return self.shape[0]


@dataclass(frozen=True, eq=False)
class CodesView:
    """Maps given as codes, such as a top-k sparse autoencoder's.

    An entry of 0 (or -0) says nothing, whichever unit it names: it fills rows of unequal length. At one place a unit has
    at most one entry that is not 0 (the caller checks).

    Args:
        shape: images, units, height, width of the maps.
        indices: int64 [images, places, k], units; place p is cell p of the row-major map.
        values: float32 [images, places, k].
    """

    shape: Shape
    indices: NDArray[np.int64]
    values: NDArray[np.float32]

    @property
    def kind(self) -> Kind:
        return "float32"

    @property
    def data(self) -> Outline:
        return Outline(self.shape)

    def piece(self, first: int, last: int) -> CodesView:
        """Images first ... last - 1."""
        shape = (last - first, *self.shape[1:])
        return CodesView(shape, self.indices[first:last], self.values[first:last])


@dataclass(frozen=True, eq=False)
class BlockedView:
    """Maps that are made a block of units at a time, always for all images of the batch.

    Args:
        shape: images, units, height, width of the maps.
        edges: unit numbers, 0 ... units: where blocks begin and end.
        make: the maps of units first ... last - 1, [all images of the batch, last - first, height, width].
        first: the batch's image that is the view's first.
    """

    shape: Shape
    kind: Kind
    edges: Sequence[int]
    make: Callable[[int, int], ActivationView]
    first: int = 0

    @property
    def data(self) -> Outline:
        return Outline(self.shape)

    def piece(self, first: int, last: int) -> BlockedView:
        """Images first ... last - 1; all of the batch are still made together: arithmetic may depend on their number."""
        return replace(self, shape=(last - first, *self.shape[1:]), first=self.first + first)

    def blocks(self) -> Iterator[tuple[int, int, ActivationView]]:
        """(first unit, one past the last, their maps), in order; each can be let go before the next one is made."""
        for begin, end in itertools.pairwise(self.edges):
            whole = self.make(begin, end)
            yield begin, end, ActivationView(whole.data[self.first : self.first + self.shape[0]], whole.kind)

    def whole(self) -> ActivationView:
        """The maps of all units, in memory after all, on the host."""
        data: NDArray[Any] = np.empty(self.shape, np.float32 if self.kind == "float32" else np.uint16)
        for begin, end, block in self.blocks():
            data[:, begin:end] = to_host(block.data)
        return ActivationView(data, self.kind)


View: TypeAlias = ActivationView | CodesView | BlockedView


def piece_of(view: View, first: int, last: int) -> View:
    """Images first ... last - 1 of a view."""
    if isinstance(view, ActivationView):
        return ActivationView(view.data[first:last], view.kind)
    return view.piece(first, last)
