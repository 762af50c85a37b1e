"""Changing units: a layer's output with some units' maps replaced, in the layout that it came in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fastdissect.errors import LayerError, SettingError
from fastdissect.methods.tracing import handed_on
from fastdissect.models import TokenGrid, as_map, output_tensor

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


@dataclass(frozen=True)
class LayerReading:
    """How a layer's output is read as a map, as the run read it."""

    layer: str
    units: int
    layout: str = "auto"
    tokens: TokenGrid | None = None

    def map_of(self, tensor: Tensor, images: Tensor) -> Tensor:
        """The view [n, units, h, w] of a layer's output for images [n, channels, height, width]."""
        size = (int(images.shape[-2]), int(images.shape[-1]))
        found = as_map(tensor, self.layer, self.layout, self.tokens, size, len(images)).map  # type: ignore[arg-type]
        if found.shape[1] != self.units:
            raise LayerError(
                f"layer {self.layer!r}: expected {self.units} units, as the run has them; got {found.shape[1]}"
            )
        return found


def edited_output(
    output: Any,
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
        units: int64 [n], numbers from 0. means: float64 [units of the layer] on the CPU, for mode "mean".
        arguments: what the layer was given.
    """
    tensor = output_tensor(output, reading.layer)
    changed = tensor.clone()
    maps = reading.map_of(changed, images)  # a view of `changed`
    if mode == "zero":
        maps[:, units] = 0
    elif mode == "mean":
        assert means is not None
        maps[:, units] = means[units.cpu()].to(maps.dtype).to(maps.device)[:, None, None]
    else:
        assert isinstance(mode, float)
        maps[:, units] = maps[:, units] * mode
    return handed_on(output, tensor, changed, arguments)
