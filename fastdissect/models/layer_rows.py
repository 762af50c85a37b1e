"""What layers a network has: one forward pass on zeros, and a row for each (`fastdissect layers MODEL`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fastdissect.errors import ActivationError, LayerError, ModelError
from fastdissect.models.layers import named_layers, unwrap
from fastdissect.models.outputs import Layout, TokenGrid, as_map, output_tensor

__all__ = ["BYTES_PER_RETAINED_CELL", "RETAINED_PER_TAIL", "LayerRow", "describe_layers"]

# A cell is retained where it or a neighbour lies in the top q: measured 4 q of all cells on bump-like maps,
# 8 q on spatially uncorrelated ones (DESIGN section 2: 2 % and 4 % at q = 0.005). The worse is predicted.
RETAINED_PER_TAIL = 8
# Two bytes of cell index, four of value, and a share of the record's twelve.
BYTES_PER_RETAINED_CELL = 7


@dataclass(frozen=True)
class LayerRow:
    """One layer as the forward pass saw it.

    `shape` is (units, height, width), or None with the `reason` why the output is no map; `reading` says
    how it was read. `parameters` counts those of the layer and all inside it. `activations` are numbers an
    image; `retained_bytes` predicts the memory of the retained cells of all images.
    """

    name: str
    type: str
    shape: tuple[int, int, int] | None
    reading: str
    reason: str
    calls: int
    parameters: int
    activations: int
    retained_bytes: int


def describe_layers(
    model: nn.Module,
    input_size: tuple[int, int],
    *,
    images: int = 1000,
    quantile: float = 0.005,
    layout: Layout = "auto",
    tokens: TokenGrid | None = None,
) -> list[LayerRow]:
    """Run a network once on zeros and describe every layer, in the order of `named_modules()`.

    Args:
        model: the network; its training flags are as before afterwards.
        input_size: height and width of the input in pixels, three channels.
        images: number of images that `retained_bytes` is predicted for.
        quantile: the top fraction that thresholds are to be taken at.
        layout, tokens: as for :func:`as_map`.

    Raises:
        ModelError: the forward pass fails on an input of this size.

    >>> rows = describe_layers(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (10, 10))
    >>> rows[1].name, rows[1].shape, rows[1].activations
    ('1', (8, 8, 8), 512)
    """
    model = unwrap(model)
    readings: dict[str, list[tuple[tuple[int, int, int] | None, str]]] = {}

    def reader(name: str) -> Callable[..., None]:
        def hook(_layer: nn.Module, _inputs: Any, output: Any) -> None:
            try:
                view = as_map(output_tensor(output, name), name, layout, tokens, input_size, images=1)
                _, units, height, width = view.map.shape
                readings.setdefault(name, []).append(((units, height, width), view.explanation))
            except (ActivationError, LayerError) as error:
                readings.setdefault(name, []).append((None, str(error).removeprefix(f"layer {name!r}: ")))

        return hook

    layers = named_layers(model)
    handles = [layer.register_forward_hook(reader(name)) for name, layer in layers.items()]
    modes = {part: part.training for part in model.modules()}
    try:
        model.eval()
        _forward_zeros(model, input_size)
    finally:
        for handle in handles:
            handle.remove()
        for part, training in modes.items():
            part.training = training
    retained = min(1.0, RETAINED_PER_TAIL * quantile) * BYTES_PER_RETAINED_CELL * images
    return [_row(name, layer, readings.get(name, []), retained) for name, layer in layers.items()]


def _forward_zeros(model: nn.Module, input_size: tuple[int, int]) -> None:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    zeros = torch.zeros(1, 3, *input_size, dtype=like.dtype, device=like.device)
    try:
        with torch.no_grad():
            model(zeros)
    except Exception as error:  # a model is a stranger's code: it may raise anything
        size = f"{input_size[0]} x {input_size[1]}"
        raise ModelError(
            f"{type(model).__name__}: expected a forward pass on an image of {size} pixels, three channels, "
            f"got {type(error).__name__}: {error}; give the input size that the model was made for"
        ) from error


def _row(
    name: str, layer: nn.Module, seen: list[tuple[tuple[int, int, int] | None, str]], retained: float
) -> LayerRow:
    shapes = {shape for shape, _ in seen}
    shape, reading, reason = None, "", ""
    if not seen:
        reason = "not called in the forward pass"
    elif len(shapes) > 1:
        reason = f"called {len(seen)} times with outputs of different shapes"
    else:
        shape = shapes.pop()
        reading, reason = (seen[0][1], "") if shape else ("", seen[0][1])
    activations = shape[0] * shape[1] * shape[2] if shape else 0
    return LayerRow(
        name=name,
        type=type(layer).__name__,
        shape=shape,
        reading=reading,
        reason=reason,
        calls=len(seen),
        parameters=sum(p.numel() for p in layer.parameters()),
        activations=activations,
        retained_bytes=round(activations * retained),
    )
