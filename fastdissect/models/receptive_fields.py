"""Where on the input a cell of a layer looks: offset, size and stride, composed along the static path.

Bau et al. 2017, section 2.1 (interpolants anchored at the centre of each unit's receptive field). From the
input up, starting at offset 0, size 1, stride 1, a window of kernel k, stride d, padding p, dilation e does

    offset' = offset - p stride;   size' = size + e (k - 1) stride;   stride' = stride d

and where branches meet, the one of largest size is kept. Dilation is our addition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import fx, nn

from fastdissect.errors import LayerError
from fastdissect.models.layers import get_layer, unwrap
from fastdissect.models.windows import NotStaticError, Windows, windows_of

__all__ = ["ReceptiveField", "receptive_field"]

Pair = tuple[int, int]


class ReceptiveField(NamedTuple):
    """Cell i of an axis sees the input pixels `offset + i stride` ... `offset + i stride + size - 1`.

    Each is a pair, height first, in input pixels; `cells` is the map's size for the input asked about.
    """

    offset: Pair
    size: Pair
    stride: Pair
    cells: Pair


def receptive_field(module: nn.Module, layer: str, input_size: Pair) -> ReceptiveField:
    """Compose the receptive field of a layer's cells.

    Args:
        module: the network; `torch.fx` must be able to trace it up to the layer.
        layer: a name from `named_modules()`.
        input_size: height and width of the input in pixels.

    Raises:
        LayerError: the layer is unknown, or something on the way to it is not static (adaptive pooling,
            resizing, attention, control flow that depends on the data): the message names it.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2, 2))
    >>> receptive_field(net, "1", (32, 32))
    ReceptiveField(offset=(-1, -1), size=(4, 4), stride=(2, 2), cells=(16, 16))
    """
    network = unwrap(module)
    target = _trace(network, layer)
    fields: dict[fx.Node, ReceptiveField | None] = {}  # None: does not depend on the image
    for node in _path(target):
        if node.op == "placeholder":
            fields[node] = ReceptiveField((0, 0), (1, 1), (1, 1), input_size)
            continue
        sources = [field for source in node.all_input_nodes if (field := fields[source]) is not None]
        if not sources:
            fields[node] = None
            continue
        try:
            windows = windows_of(network, node)
        except NotStaticError as error:
            raise _not_static(layer, str(error)) from error
        fields[node] = _slide(max(sources, key=lambda field: field.size), windows)
    field = fields[target]
    if field is None:
        raise _not_static(layer, "a layer that does not depend on the image")
    if min(field.cells) < 1:
        height, width = input_size
        raise LayerError(
            f"layer {layer!r}: expected an input that leaves at least one cell, got {height} x {width}"
        )
    return field


def _slide(field: ReceptiveField, windows: Windows) -> ReceptiveField:
    """Look through one more window."""
    axes = []
    for offset, size, stride, cells, window in zip(*field, windows, strict=True):
        axes.append(
            (
                offset - window.before * stride,
                size + window.dilation * (window.kernel - 1) * stride,
                stride * window.stride,
                window.cells(cells),
            )
        )
    vertical, horizontal = axes
    return ReceptiveField(*zip(vertical, horizontal, strict=True))


class _ReachedError(Exception):
    """Stops tracing at the layer: what comes after it need not be traceable."""


class _Tracer(fx.Tracer):
    """Traces until the layer has been called, also where the layer is a container that fx looks into."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.output: Any = None

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        output = super().call_module(m, forward, args, kwargs)
        if m is self.layer:
            self.output = output
            raise _ReachedError
        return output


def _trace(network: nn.Module, layer: str) -> fx.Node:
    """The node of the layer's output, in a graph that ends there."""
    tracer = _Tracer(get_layer(network, layer))
    try:
        tracer.trace(network)
    except _ReachedError:
        pass
    except Exception as error:  # tracing runs a stranger's forward on proxies: it may raise anything
        raise _not_static(layer, f"a network that torch.fx cannot trace ({error})") from error
    if not isinstance(tracer.output, fx.Proxy):
        kind = type(tracer.output).__name__
        raise _not_static(
            layer, "a forward pass without it" if tracer.output is None else f"output of type {kind}"
        )
    return tracer.output.node


def _path(target: fx.Node) -> list[fx.Node]:
    """The nodes that the target depends on, and itself, in the order of execution."""
    needed: set[fx.Node] = set()
    todo = [target]
    while todo:
        node = todo.pop()
        if node not in needed:
            needed.add(node)
            todo.extend(node.all_input_nodes)
    return [node for node in target.graph.nodes if node in needed]


def _not_static(layer: str, found: str) -> LayerError:
    return LayerError(
        f"layer {layer!r}: expected a static path of convolutions and poolings from the image, got {found}; "
        "use the upsampling 'half-pixel', which needs no receptive field"
    )
