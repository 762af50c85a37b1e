"""Four dimensions: channels first or last.

The module's type decides; then the tensor that a module inside gave, that it was handed, or that was given beside
it, of the same shape; then the grids seen so far, unless both readings fit them. [N, heads, T, T] is no map.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from fastdissect.errors import LayerError
from fastdissect.models.layouts import keeps_order, layout_of
from fastdissect.models.readings import Axes, Reading
from fastdissect.models.watching import Call, Watch

__all__ = ["read_map"]


def read_map(watch: Watch, call: Call, tensor: Tensor) -> Reading:
    """How an output [N, a, b, c] lies.

    Raises:
        LayerError: nothing decides, or attention.
    """
    shape = tuple(tensor.shape)
    if watch.layout != "auto":
        return Reading(cast("Axes", watch.layout), shape[1:], "as given")
    known = watch.reading_of(tensor)
    if known is not None and known.shape == shape[1:]:
        return known  # what a module inside gave
    own = layout_of(call.module)
    _refuse_attention(watch, call, shape, own)
    if own is not None:
        return Reading(own, shape[1:], type(call.module).__name__)
    near = _neighbours(watch, call, shape)
    if len(near) == 1:
        ((axes, other),) = near.items()
        return Reading(axes, shape[1:], f"the same as layer {other}")
    if near:
        raise LayerError(
            f"layer {call.name!r}: expected neighbours that agree, got shape {list(shape)} channels first in layer "
            f"{near['NCHW']!r} and channels last in {near['NHWC']!r}; give --layout NCHW or NHWC, or dissect one of these"
        )
    seen = watch.grids.seen
    first, last = seen.get((shape[2], shape[3])), seen.get((shape[1], shape[2]))
    if last and not first:
        return Reading("NHWC", shape[1:], f"the grid of {last}")
    if first and last:
        raise LayerError(
            f"layer {call.name!r}: expected an output with one reading, got shape {list(shape)}, whose channels may come "
            "first or last; give --layout NCHW or NHWC (layout=), or dissect a layer inside it"
        )
    if first or not watch.mixed or shape[2:] == (1, 1):
        return Reading("NCHW", shape[1:], f"the grid of {first}" if first else "")
    raise LayerError(
        f"layer {call.name!r}: expected a map of one of the network's grids "
        f"({', '.join(f'{h} x {w}' for h, w in seen)}), got shape {list(shape)}; if it is a map, give "
        "--layout NCHW or NHWC (layout=)"
    )


def _neighbours(watch: Watch, call: Call, shape: tuple[int, ...]) -> dict[Axes, str]:
    """{axes: a layer} of tensors of the same shape: given inside, or else handed in, or else given beside."""
    handed = watch.reading_of(call.input)
    from_before = [] if call.input is None or handed is None else [(watch.giver_of(call.input), handed)]
    beside = watch.stack[-1].gave if watch.stack else []
    if len(set(shape[1:])) == 1:  # as many units as rows and columns: axes could be permuted unseen
        beside = []
        from_before = from_before if keeps_order(call.module) else []
    for near in (call.gave, from_before, beside):
        found: dict[Axes, str] = {reading.axes: name for name, reading in near if reading.shape == shape[1:]}
        if found:
            return found
    return {}


def _refuse_attention(watch: Watch, call: Call, shape: tuple[int, ...], own: str | None) -> None:
    """[N, heads, T, T] and [N, heads, T, channels] are no maps, whatever their numbers fit."""
    heads = next((n for at in (call, *reversed(watch.stack)) if (n := _heads(at.module)) is not None), None)
    of_heads = shape[1] == heads and shape[2] in watch.counts and own != "NCHW"
    if of_heads or isinstance(call.module, nn.Softmax):
        raise LayerError(
            f"layer {call.name!r}: expected units at places of the image, got {list(shape)}: attention, head by head; "
            "dissect the attention's layers that give [N, T, K] (queries, keys, values, its output)"
        )


def _heads(module: nn.Module) -> int | None:
    found = [getattr(module, name, None) for name in ("num_heads", "num_attention_heads")]
    return next((n for n in found if isinstance(n, int)), None)
