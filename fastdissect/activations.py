"""Activations: forward passes with hooks on the chosen layers; the pass stops after the last of them.

A layer's output is handed on while the hook runs, so that no activation outlives its batch, and before a
later in-place operation could change it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from fastdissect.arrays import activation_view
from fastdissect.errors import LayerError
from fastdissect.models import TokenGrid, as_map, get_layer, output_tensor
from fastdissect.types import ActivationView

__all__ = ["LayerHooks", "forward_device", "input_dtype"]

OnLayer = Callable[[str, ActivationView], None]


class _StopForwardError(Exception):
    """Raised by the last layer's hook: nothing after it is needed."""


def forward_device(device: str) -> torch.device:
    """The device of the forward pass: "auto" takes CUDA, then MPS, then the CPU."""
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def input_dtype(module: nn.Module) -> torch.dtype:
    """What the network computes in: the dtype of its first floating-point parameter, or float32."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)


class LayerHooks:
    """Runs batches through a network and hands on the outputs of some layers.

    The first batch runs to the end, to see how often each layer is called and which comes last.

    Args:
        module: the network, in eval mode; images are cast to its own dtype (`input_dtype`).
        layers: dotted names.
        layout: of all layers' outputs: "auto", "NCHW", "NHWC" or "NTC".
        tokens: how tokens lie on the image, where a layer gives tokens.

    Raises:
        LayerError: a layer that a pass does not call, calls several times, or whose output is no map.
    """

    def __init__(
        self,
        module: nn.Module,
        layers: tuple[str, ...],
        *,
        layout: str = "auto",
        tokens: TokenGrid | None = None,
    ) -> None:
        self.module, self.layers, self.layout, self.tokens = module, layers, layout, tokens
        self.dtype = input_dtype(module)
        self.explanations: dict[str, str] = {}
        self._last: str | None = None

    @contextlib.contextmanager
    def _hooked(self, images: torch.Tensor, on_layer: OnLayer, order: list[str]) -> Iterator[None]:
        size = (int(images.shape[-2]), int(images.shape[-1]))

        def hook_of(name: str) -> Callable[[nn.Module, Any, Any], None]:
            def hook(_module: nn.Module, _arguments: Any, output: Any) -> None:
                order.append(name)
                if order.count(name) == 1:
                    tensor = output_tensor(output, name).detach()
                    found = as_map(tensor, name, self.layout, self.tokens, size, len(images))  # type: ignore[arg-type]
                    self.explanations[name] = found.explanation
                    on_layer(name, activation_view(found.map.cpu()))
                if name == self._last:
                    raise _StopForwardError

            return hook

        handles = []
        try:
            for name in self.layers:
                handles.append(get_layer(self.module, name).register_forward_hook(hook_of(name)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def run(self, images: torch.Tensor, on_layer: OnLayer) -> None:
        """One batch: on_layer(name, view [n, K, h, w]) for each layer, in the order of their calls."""
        order: list[str] = []
        with (
            self._hooked(images, on_layer, order),
            torch.inference_mode(),
            contextlib.suppress(_StopForwardError),
        ):
            self.module(images.to(self.dtype) if images.is_floating_point() else images)
        for name in self.layers:
            count = order.count(name)
            if count == 0:
                raise LayerError(
                    f"layer {name!r}: expected one call a forward pass; got none; is it used in eval mode? "
                    "`fastdissect layers` lists the layers that are"
                )
            if count > 1:
                raise LayerError(
                    f"layer {name!r}: expected one call a forward pass; got {count} (a module used in several "
                    "places); dissect a layer around it, or give each use its own module"
                )
        if self._last is None:
            self._last = order[-1]

    def probe(self, image: torch.Tensor) -> dict[str, ActivationView]:
        """What each layer gives for two copies of one image [1, channels, height, width], in the order of calls."""
        found: dict[str, ActivationView] = {}
        self.run(torch.cat([image, image]), found.__setitem__)
        return found
