"""Changing units: a layer's output with some units' maps replaced, in the layout that it came in."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fastdissect.errors import LayerError, SettingError
from fastdissect.models import TokenGrid, as_map, output_tensor

__all__ = ["LayerReading", "checked_mode", "edited_output", "replaced"]

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
    output: Any, images: Tensor, reading: LayerReading, units: Tensor, mode: Mode, means: Tensor | None
) -> Any:
    """Return a layer's output in which the units' maps are zero, their means, or scaled; the given one stays as it is.

    Tokens that are no place (class tokens, registers) keep their values.

    Args:
        units: int64 [n], numbers from 0. means: float64 [units of the layer] on the CPU, for mode "mean".
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
    return replaced(output, tensor, changed)


def replaced(output: Any, old: Tensor, new: Tensor) -> Any:
    """Return what a module returned, with one tensor in another's place.

    >>> import torch
    >>> a, b = torch.zeros(1), torch.ones(1)
    >>> replaced((a, None), a, b)
    (tensor([1.]), None)
    """
    if output is old:
        return new
    if isinstance(output, Mapping):
        changed: Any = copy.copy(output)
        for key, value in output.items():
            if value is old:
                changed[key] = new
        return changed
    values = [new if value is old else value for value in output]
    return type(output)(*values) if hasattr(output, "_fields") else type(output)(values)
