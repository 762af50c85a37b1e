"""One forward pass, watched: the map of a layer, what came after it, and the network's output.

    images -> ... -> layer -> leaf -> ... -> Linear -> output
                       |        |              |
                      maps   gradients       calls

The layer's output is replaced by a copy, so that a later in-place operation changes neither the map that is
handed on nor what gradients refer to; gradients are kept from there on alone.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from fastdissect.activations import input_dtype
from fastdissect.errors import LayerError
from fastdissect.methods.layer_outputs import LayerOutputs, ShapeReading, copied
from fastdissect.models import get_layer, output_tensor
from fastdissect.models.readings import Reading

__all__ = ["Call", "Traced", "handed_on", "replaced", "trace"]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a module after the layer; tensors as they were then."""

    name: str
    module: nn.Module
    input: Tensor | None  # None: no tensor came first
    output: Any


@dataclass(frozen=True, eq=False)
class Traced:
    """What a forward pass of n images showed."""

    maps: Tensor  # [n, units, height, width], the layer's
    calls: tuple[Call, ...]  # of the watched modules, in their order
    output: Any  # the network's

    def gradient(self, scores: Tensor) -> Tensor:
        """Return d sum(scores) / d maps, [n, units, height, width]; can be asked several times.

        Raises:
            LayerError: the scores do not depend on the layer in a way that torch can differentiate.
        """
        if not scores.requires_grad:
            raise LayerError(
                "expected logits that torch can differentiate by the layer's output; they do not depend on it, or "
                "the network switches gradients off (torch.no_grad, detach, NumPy)"
            )
        found: Any = torch.autograd.grad(scores.sum(), self.maps, retain_graph=True, allow_unused=True)[0]
        return torch.zeros_like(self.maps) if found is None else found


def trace(
    module: nn.Module,
    layer: str,
    images: Tensor,
    *,
    watch: Iterable[str] = (),
    gradients: bool = False,
    outputs: LayerOutputs | None = None,
) -> Traced:
    """Run images through a network in eval mode and watch a layer and some modules after it.

    Args:
        images: [n, channels, height, width], on the network's device; cast to its dtype.
        watch: names of modules whose calls after the layer are kept.
        gradients: keep what `Traced.gradient` needs.
        outputs: how the layer's output lies; None: found anew.

    Raises:
        LayerError: a layer that is not called exactly once, or whose output is no map.
    """
    reading = (outputs or LayerOutputs(layer)).of(module, images)
    maps: list[Tensor] = []
    calls: list[Call] = []

    def at_layer(_module: nn.Module, arguments: Any, output: Any) -> Any:
        tensor = output_tensor(output, layer)
        found = reading.view(tensor.detach(), layer, len(images)).map.clone()
        maps.append(found)
        if not gradients or len(maps) > 1:
            return None
        torch.set_grad_enabled(True)  # until the end of the block around the pass
        found.requires_grad_(True)
        return handed_on(output, tensor, _put_back(tensor, found, layer, reading), arguments)

    def at_call(name: str) -> Any:
        def hook(called: nn.Module, arguments: Any, output: Any) -> None:
            if maps:
                first = arguments[0] if arguments and isinstance(arguments[0], Tensor) else None
                kept = None if first is None else first.detach().clone()
                calls.append(
                    Call(name, called, kept, output.clone() if isinstance(output, Tensor) else output)
                )

        return hook

    handles = [get_layer(module, name).register_forward_hook(at_call(name)) for name in watch]
    handles.append(get_layer(module, layer).register_forward_hook(at_layer))
    try:
        with torch.no_grad(), _OfNoRun() if gradients else contextlib.nullcontext():
            dtype = input_dtype(module)
            output = module(images.to(dtype) if images.is_floating_point() else images)
    finally:
        for handle in handles:
            handle.remove()
    if len(maps) != 1:
        raise LayerError(
            f"layer {layer!r}: expected one call a forward pass; got {len(maps) or 'none'}; explain by a layer that is "
            "used once, in eval mode"
        )
    return Traced(maps[0], tuple(calls), output)


class _OfNoRun(TorchFunctionMode):
    """Tensors that a network remembers from a run before (tables of positions) were made in inference mode, and torch
    refuses to differentiate by what they index: copies of them take their place."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def usable(tensor: Tensor) -> Tensor:
            with torch._C.DisableTorchFunction():
                return tensor.clone() if tensor.is_inference() else tensor

        return func(*tree_map_only(Tensor, usable, args), **tree_map_only(Tensor, usable, kwargs or {}))


def _put_back(tensor: Tensor, found: Tensor, layer: str, reading: Reading | ShapeReading) -> Tensor:
    """The layer's output again, with the map's cells taken from `found`, so that gradients reach them.

    Tokens that are no place, and what pads windows, keep their values.
    """
    whole = copied(tensor.detach(), reading)
    reading.put_back(whole, found, layer)
    return whole


def handed_on(output: Any, old: Tensor, new: Tensor, arguments: tuple[Any, ...]) -> Any:
    """Return what a forward hook of a module is to return, so that the network goes on with another tensor.

    A module that works in place returns the tensor that it was given. The network may go on with that, whatever
    is returned (`self.relu(x)` without `x =`), so it is written to; a hook that returns None changes nothing else.
    """
    if any(given is old for given in arguments):
        old.copy_(new)
        return None
    return replaced(output, old, new)


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
