"""Mixed views: what a virtual layer makes of its layer's maps, as the kernels read it.

a part of its channels, up to 4,096 directions   the maps
more directions                                  a block of units at a time (kernels/views.py)
codes                                            indices and values, on the host: there is no kernel for a GPU
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from fastdissect.codes import CodeMix
from fastdissect.directions import LinearMix, Mix
from fastdissect.kernels.views import BlockedView, CodesView, View
from fastdissect.types import ActivationView

__all__ = ["mixed_view", "units_of"]

KernelView = Callable[[torch.Tensor], ActivationView]


class VirtualLayer(Protocol):
    """Directions, codes, or a part of a layer's channels."""

    @property
    def units(self) -> int: ...
    def __call__(self, maps: torch.Tensor, /) -> torch.Tensor: ...


def mixed_view(mix: VirtualLayer, maps: torch.Tensor, sparse: bool, kernel_view: KernelView) -> View:
    """What a virtual layer gives for its layer's maps [n, channels, h, w].

    Args:
        sparse: codes stay codes, and many directions are mixed block by block; else all maps are made at once.
        kernel_view: a tensor as the kernels read it.
    """
    if sparse and isinstance(mix, CodeMix):
        indices, values = mix.codes(maps)
        return CodesView(_shape(mix, maps), indices.numpy(), values.numpy())
    if sparse and isinstance(mix, LinearMix) and len(mix.edges) > 2:
        return _blocks(mix, maps, kernel_view)
    return kernel_view(mix(maps))


def units_of(mix: VirtualLayer) -> str:
    """In words: "32768 codes"."""
    what = "codes" if isinstance(mix, CodeMix) else "directions" if isinstance(mix, LinearMix) else "channels"
    return f"{mix.units} {what}"


def _blocks(mix: LinearMix, maps: torch.Tensor, kernel_view: KernelView) -> BlockedView:
    flat = mix.flat(maps)

    def make(first: int, last: int) -> ActivationView:
        block = mix.block(flat, first, last)
        return kernel_view(block.view(len(maps), last - first, *maps.shape[2:]))

    return BlockedView(_shape(mix, maps), "float32", mix.edges, make)


def _shape(mix: Mix, maps: torch.Tensor) -> tuple[int, int, int, int]:
    return len(maps), mix.units, int(maps.shape[2]), int(maps.shape[3])
