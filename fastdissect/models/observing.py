"""One forward pass, watched as a whole: how the output of every layer lies.

A layer's reading rests on what came before it: the grids that convolutions gave, the tensor that it was handed,
its neighbours of the same shape, and the tokens that the network says it adds. Where these do not decide, there is
no reading, and the message says which override would fit.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from fastdissect.errors import ActivationError, FastdissectError, LayerError, ModelError
from fastdissect.models.forward_errors import forward_errors
from fastdissect.models.grids import Grids
from fastdissect.models.layers import named_layers, unwrap
from fastdissect.models.layouts import may_mix_layouts
from fastdissect.models.outputs import Layout, TokenGrid, output_tensor
from fastdissect.models.reading_rules import enter, read_output
from fastdissect.models.readings import Reading, Readings
from fastdissect.models.special_tokens import special_tokens
from fastdissect.models.watching import IMAGES, Call, Watch

__all__ = ["observe"]


def observe(
    model: nn.Module,
    size: tuple[int, int],
    *,
    channels: int = 3,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    layout: Layout = "auto",
    tokens: TokenGrid | None = None,
) -> Readings:
    """Run a network in eval mode on two images of noise and read the output of every layer.

    Args:
        size: height and width of the input in pixels.
        dtype, device: of the images; the network's own if not given.
        layout, tokens: overrides, as for :func:`as_map`; a prefix alone takes the grid from the network.

    Noise, because windows are proven by the values that they hold; its seed is fixed, and torch's own generators
    are left as they are.

    Raises:
        ModelError: the forward pass fails on an input of this size, or over where the network's parts lie.

    >>> found = observe(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).eval(), (10, 10))
    >>> found.of("1").explanation
    'map [N, K, h, w]'
    """
    model = unwrap(model)
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    noise = torch.rand(IMAGES, channels, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noise = noise.to(device or like.device, dtype or like.dtype)
    layers = named_layers(model)
    watch = Watch(size, layout, tokens, Grids(model, size), special_tokens({"": model, **layers}))
    watch.may_mix = may_mix_layouts(model)
    calls: dict[str, list[Reading | LayerError]] = {}

    def before(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            first = [value for value in (*arguments, *named.values()) if isinstance(value, Tensor)]
            call = Call(name, module, first[0] if first else None)
            enter(watch, call, (*arguments, *named.values()))
            watch.stack.append(call)

        return hook

    def after(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _arguments: Any, output: Any) -> None:
            call = watch.stack.pop()
            found: Reading | LayerError
            try:
                tensor = output_tensor(output, name)
                found = read_output(watch, call, tensor)
                found.view(tensor, name, IMAGES)  # its dtype
                watch.keep(tensor, found, name)
            except (ActivationError, LayerError) as error:
                found = LayerError(str(error))
            calls.setdefault(name, []).append(found)

        return hook

    handles = []
    try:
        for name, layer in layers.items():
            handles.append(layer.register_forward_pre_hook(before(name), with_kwargs=True))
            handles.append(layer.register_forward_hook(after(name)))
        with torch.no_grad(), _uncompiled(), forward_errors(model):
            model(noise)
    except FastdissectError:
        raise
    except Exception as error:  # a model is a stranger's code: it may raise anything
        raise ModelError(
            f"{type(model).__name__}: expected a forward pass on an image of {size[0]} x {size[1]} pixels, {channels} "
            f"channels, got {type(error).__name__}: {error}; give the input size that the model was made for"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return Readings({name: tuple(found) for name, found in calls.items()})


def _uncompiled() -> AbstractContextManager[Any]:
    """A part that its owner compiled would compile the hooks."""
    stance: Any = getattr(torch.compiler, "set_stance", None)  # from torch 2.6
    return nullcontext() if stance is None else stance("force_eager")
