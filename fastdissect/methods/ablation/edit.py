"""Changing units: a layer's output with some units' maps replaced, in the layout that it came in."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from fastdissect.errors import LayerError, SettingError
from fastdissect.methods.layer_outputs import LayerOutputs, copied
from fastdissect.methods.tracing import handed_on
from fastdissect.models import TokenGrid, output_tensor

__all__ = ["LayerReading", "checked_mode", "edited_output"]

Mode = str | float


def checked_mode(mode: Any) -> Mode:
    """Return "zero", "mean", or a finite factor.

    Raises:
        SettingError: anything else.
    """
    if mode in ("zero", "mean"):
        return str(mode)
    if isinstance(mode, (int, float)) and not isinstance(mode, bool) and math.isfinite(mode):
        return float(mode)
    raise SettingError(f'expected mode "zero", "mean", or a factor such as 0.5; got {mode!r}')


class LayerReading:
    """How a layer's output is read as a map, and changed, as the run read it."""

    def __init__(self, layer: str, units: int, layout: str = "auto", tokens: TokenGrid | None = None) -> None:
        self.layer, self.units = layer, units
        self.outputs = LayerOutputs(layer, layout, tokens)

    def watch(self, module: nn.Module, images: Tensor) -> None:
        """See how the layer's output lies for images of this size; before a pass, not within one."""
        self.outputs.of(module, images)

    def changed(
        self, module: nn.Module, tensor: Tensor, images: Tensor, change: Callable[[Tensor], None]
    ) -> Tensor:
        """A copy of the layer's output for images [n, channels, height, width], its map written to.

        Tokens that are no place (class tokens, registers), and what pads windows, keep their values.

        Args:
            module: the network, watched. change: is given the map [n, units, h, w] to write to.
        """
        reading = self.outputs.of(module, images)
        copy = copied(tensor, reading)
        maps = reading.view(copy, self.layer, len(images)).map
        if maps.shape[1] != self.units:
            raise LayerError(
                f"layer {self.layer!r}: expected {self.units} units, as the run has them; got {maps.shape[1]}"
            )
        change(maps)
        if not reading.in_place:
            reading.put_back(copy, maps, self.layer)
        return copy


def edited_output(
    output: Any,
    module: nn.Module,
    images: Tensor,
    reading: LayerReading,
    units: Tensor,
    mode: Mode,
    means: Tensor | None,
    arguments: tuple[Any, ...] = (),
) -> Any:
    """Return a layer's output in which the units' maps are zero, their means, or scaled, for its hook to return.

    Tokens that are no place (class tokens, registers) keep their values. The given output stays as it is, but
    where the layer works in place (`handed_on`).

    Args:
        module: the network, watched by the reading.
        units: int64 [n], numbers from 0. means: float64 [units of the layer] on the CPU, for mode "mean".
        arguments: what the layer was given.
    """

    def change(maps: Tensor) -> None:
        if mode == "zero":
            maps[:, units] = 0
        elif mode == "mean":
            assert means is not None
            maps[:, units] = means[units.cpu()].to(maps.dtype).to(maps.device)[:, None, None]
        else:
            assert isinstance(mode, float)
            maps[:, units] = maps[:, units] * mode

    tensor = output_tensor(output, reading.layer)
    return handed_on(output, tensor, reading.changed(module, tensor, images, change), arguments)
