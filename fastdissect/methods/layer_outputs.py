"""How a layer's outputs lie, in passes that a study makes by itself: read, and written back, as the run read them."""

from __future__ import annotations

from typing import NamedTuple, cast

from torch import Tensor, nn

from fastdissect.models import TokenGrid, as_map
from fastdissect.models.layouts import may_mix_layouts
from fastdissect.models.observing import observe
from fastdissect.models.outputs import Layout, MapView
from fastdissect.models.readings import Reading

__all__ = ["LayerOutputs", "ShapeReading", "copied"]


class ShapeReading(NamedTuple):
    """Outputs that are read by their shapes: of a network that has neither tokens nor channels last."""

    layout: str
    tokens: TokenGrid | None
    size: tuple[int, int]

    @property
    def in_place(self) -> bool:
        return True

    def view(self, tensor: Tensor, layer_name: str, images: int) -> MapView:
        """The map [images, units, height, width] of an output, and how it was read."""
        return as_map(tensor, layer_name, cast(Layout, self.layout), self.tokens, self.size, images)

    def put_back(self, tensor: Tensor, maps: Tensor, layer_name: str) -> None:
        """Write a map back to where its cells lie in an output of the layer; all else keeps its values."""
        self.view(tensor, layer_name, len(tensor)).map.copy_(maps)


class LayerOutputs:
    """How the outputs of one layer lie, for each size of the network's input, found as a run finds it.

    Args:
        layout, tokens: as in `dissect`.
    """

    def __init__(self, layer: str, layout: str = "auto", tokens: TokenGrid | None = None) -> None:
        self.layer, self.layout, self.tokens = layer, layout, tokens
        self._found: dict[tuple[nn.Module, tuple[int, int]], Reading | ShapeReading] = {}

    def of(self, module: nn.Module, images: Tensor) -> Reading | ShapeReading:
        """The reading for images [n, channels, height, width] on the network's device.

        To be asked before a pass, not within one: a network that may give tokens or channels last is run on noise,
        once for each size.

        Raises:
            LayerError: the layer is not called, or its output is no map; the message says what would fit.
            ModelError: the network fails on noise of this size.
        """
        size = int(images.shape[-2]), int(images.shape[-1])
        if (module, size) not in self._found:
            self._found[module, size] = self._read(module, images, size)
        return self._found[module, size]

    def _read(self, module: nn.Module, images: Tensor, size: tuple[int, int]) -> Reading | ShapeReading:
        if not may_mix_layouts(module):
            return ShapeReading(self.layout, self.tokens, size)
        return observe(
            module,
            size,
            channels=int(images.shape[1]),
            device=images.device,
            layout=cast(Layout, self.layout),
            tokens=self.tokens,
        ).of(self.layer)


def copied(tensor: Tensor, reading: Reading | ShapeReading) -> Tensor:
    """A copy of a layer's output that a map can be put back into; its strides stay, but those of windows."""
    return tensor.clone() if reading.in_place else tensor.clone().contiguous()
