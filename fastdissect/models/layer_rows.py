"""What layers a network has: one forward pass on noise, and a row for each (`fastdissect layers MODEL`)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from fastdissect.errors import LayerError
from fastdissect.models.layers import named_layers, unwrap
from fastdissect.models.observing import observe
from fastdissect.models.outputs import Layout, TokenGrid
from fastdissect.models.readings import Readings

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
    """Run a network once on two images of noise and describe every layer, in the order of `named_modules()`.

    Args:
        model: the network; its training flags are as before afterwards.
        input_size: height and width of the input in pixels, three channels.
        images: number of images that `retained_bytes` is predicted for.
        quantile: the top fraction that thresholds are to be taken at.
        layout, tokens: overrides, as for :func:`observe`.

    Raises:
        ModelError: the forward pass fails on an input of this size.

    >>> rows = describe_layers(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (10, 10))
    >>> rows[1].name, rows[1].shape, rows[1].activations
    ('1', (8, 8, 8), 512)
    """
    model = unwrap(model)
    modes = {part: part.training for part in model.modules()}
    try:
        model.eval()
        found = observe(model, input_size, layout=layout, tokens=tokens)
    finally:
        for part, training in modes.items():
            part.training = training
    retained = min(1.0, RETAINED_PER_TAIL * quantile) * BYTES_PER_RETAINED_CELL * images
    return [_row(name, layer, _seen(name, found), retained) for name, layer in named_layers(model).items()]


def _seen(name: str, found: Readings) -> list[tuple[tuple[int, int, int] | None, str]]:
    seen: list[tuple[tuple[int, int, int] | None, str]] = []
    for reading in found.calls.get(name, ()):
        if isinstance(reading, LayerError):
            seen.append((None, str(reading).removeprefix(f"layer {name!r}: ")))
        else:
            seen.append(((reading.units, *reading.cells), reading.explanation))
    return seen


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
