"""Activations: forward passes with hooks on the chosen layers; the pass stops after the last of them.

A layer's output is handed on while the hook runs, so that no activation outlives its batch, and before a
later in-place operation could change it.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from fastdissect.arrays import activation_view
from fastdissect.compiled_forward import CompiledForwards, compile_errors
from fastdissect.directions import Mix
from fastdissect.errors import LayerError
from fastdissect.forward_options import ForwardOptions
from fastdissect.mixed_views import mixed_view, units_of
from fastdissect.models import TokenGrid, as_map, get_layer, output_tensor
from fastdissect.models.channel_parts import ChannelPart
from fastdissect.models.forward_errors import forward_errors
from fastdissect.models.layouts import may_mix_layouts
from fastdissect.models.observing import observe
from fastdissect.models.parallelism import is_fully_sharded, is_sharded
from fastdissect.models.readings import Readings
from fastdissect.team_units import TeamUnits
from fastdissect.types import ActivationView

__all__ = ["LayerHooks", "forward_device", "input_dtype"]

OnLayer = Callable[
    [str, Any], None
]  # an ActivationView; any View (kernels/views.py) where the hooks are sparse
log = logging.getLogger("fastdissect")


class _StopForwardError(Exception):
    """Raised by the last layer's hook: nothing after it is needed."""


def forward_device(device: str) -> torch.device:
    """The device of the forward pass: "auto" takes CUDA where our kernels run on it, then MPS, then the CPU."""
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        from fastdissect.kernels.cuda.problem import cuda_problem

        problem = cuda_problem()
        if problem is None:
            return torch.device("cuda")
        log.warning("the GPU is left idle, the CPU does all: %s", problem)
        return torch.device("cpu")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def input_dtype(module: nn.Module) -> torch.dtype:
    """What the network computes in: the dtype of its first floating-point parameter, or float32."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)


def kernel_view(tensor: torch.Tensor) -> ActivationView:
    """A layer's output as the kernels read it: in place on a CUDA device, where they run too; else on the CPU.

    Under FASTDISSECT_BACKEND=<a backend of the host> a CUDA tensor is brought to the CPU.
    """
    forced = os.environ.get("FASTDISSECT_BACKEND") or "cuda"
    return activation_view(tensor if tensor.is_cuda and forced == "cuda" else tensor.cpu())


class LayerHooks:
    """Runs batches through a network and hands on the outputs of some layers.

    The first batch (or `probe`) runs to the end, to see how often each layer is called and which comes last.
    A network that may give tokens or channels last is watched before it, once for each size of its input
    (`observe`).

    Args:
        module: the network, in eval mode; images are cast to its own dtype (`input_dtype`).
        layers: dotted names, and names of `mixes`.
        mixes: {name: mix}: handed on under these names, the layer's outputs mixed, or a part of its channels.
        layout: of all layers' outputs: "auto", "NCHW", "NHWC" or "NTC".
        tokens: how tokens lie on the image, where a layer gives tokens.
        options: mixed precision, compiled, channels last (the weights are laid out by `in_channels_last`).
        sparse: codes are handed on as such, and many directions block by block (`mixed_view`); else as whole maps.
        team: which units are this process's, of a tensor-parallel network.

    Raises:
        LayerError: a layer that a pass does not call, calls several times, or whose output is no map.
        BackendError: the network cannot be compiled.
    """

    def __init__(
        self,
        module: nn.Module,
        layers: tuple[str, ...],
        *,
        layout: str = "auto",
        tokens: TokenGrid | None = None,
        options: ForwardOptions | None = None,
        mixes: Mapping[str, Mix | ChannelPart] | None = None,
        sparse: bool = False,
        team: TeamUnits | None = None,
    ) -> None:
        self.module, self.layers, self.layout, self.tokens = module, layers, layout, tokens
        self.mixes, self.sparse = mixes or {}, sparse
        self.team, self.sharded = team, is_sharded(module)
        self.options = options or ForwardOptions()
        self.dtype = input_dtype(module)
        self.explanations: dict[str, str] = {}
        self._order: tuple[str, ...] = ()  # of the layers' calls, once it is known
        self._readings: dict[tuple[int, int], Readings | None] = {}  # of each size; None: as the shapes say
        self._compiled = (
            CompiledForwards(module, [get_layer(module, name) for name in self._hooks])
            if self.options.compile
            else None
        )

    def only(self, layers: tuple[str, ...]) -> LayerHooks:
        """The same, for some of the layers: the pass stops after the last of these."""
        fewer = copy.copy(self)
        fewer.layers = layers
        return fewer

    @property
    def _hooks(self) -> tuple[str, ...]:
        """The network's own layers that are read, each once."""
        return tuple(
            dict.fromkeys(self.mixes[name].layer if name in self.mixes else name for name in self.layers)
        )

    @property
    def _last(self) -> str | None:
        hooks = self._hooks
        return next((name for name in reversed(self._order) if name in hooks), None)

    @contextlib.contextmanager
    def _hooked(
        self, images: torch.Tensor, on_layer: OnLayer, order: list[str], compiled: bool
    ) -> Iterator[None]:
        size = (int(images.shape[-2]), int(images.shape[-1]))
        last, readings = self._last, self._readings[size]

        def hook_of(name: str) -> Callable[[nn.Module, Any, Any], None]:
            def hook(module: nn.Module, _arguments: Any, output: Any) -> None:
                order.append(name)
                if order.count(name) == 1:
                    tensor = output_tensor(output, name).detach()
                    found = (
                        readings.of(name).view(tensor, name, len(images))
                        if readings is not None
                        else as_map(tensor, name, self.layout, self.tokens, size, len(images))  # type: ignore[arg-type]
                    )
                    if self.team is not None:
                        found = found._replace(map=self.team.take(name, module, found.map))
                    if name in self.layers:
                        self.explanations[name] = found.explanation
                        on_layer(name, kernel_view(found.map))
                    for mix in (self.mixes[own] for own in self.layers if own in self.mixes):
                        if mix.layer == name:
                            self.explanations[mix.name] = f"{found.explanation}, {units_of(mix)} in it"
                            on_layer(mix.name, mixed_view(mix, found.map, self.sparse, kernel_view))
                if name == last:
                    raise _StopForwardError

            if not compiled:
                return hook
            # torch would compile the hook too, with whatever it calls
            return torch.compiler.disable(hook)  # type: ignore[no-untyped-call,no-any-return]

        handles = []
        try:
            for name in self._hooks:
                handles.append(get_layer(self.module, name).register_forward_hook(hook_of(name)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def run(self, images: torch.Tensor, on_layer: OnLayer) -> None:
        """One batch: on_layer(name, view [n, K, h, w]) for each layer, in the order of their calls."""
        self._run(images, on_layer, self._compiled)

    def probe(self, image: torch.Tensor) -> dict[str, ActivationView]:
        """What each layer gives for two copies of one image [1, channels, height, width], in the order of calls.

        Never compiled: shapes and dtypes are the same, and two images would be a batch size of their own.
        """
        found: dict[str, ActivationView] = {}
        with contextlib.nullcontext() if self.team is None else self.team.watching(self.module):
            self._run(torch.cat([image, image]), found.__setitem__, None)
        return found

    def _run(self, images: torch.Tensor, on_layer: OnLayer, compiled: CompiledForwards | None) -> None:
        order: list[str] = []
        self._watch(images)
        with (
            forward_errors(self.module),
            self._hooked(images, on_layer, order, compiled is not None),
            self._gradless(),
            self.options.precision(images.device),
            compile_errors() if compiled else contextlib.nullcontext(),
            compiled.installed() if compiled else contextlib.nullcontext(),
            contextlib.suppress(_StopForwardError),
        ):
            self.module(self._input(images))
        for module in filter(is_fully_sharded, self.module.modules() if self.sharded else ()):
            module.reshard()  # type: ignore[operator]  # as at the end of a pass, which this one may have stopped before
        for name in self._hooks:
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
        self._order = self._order or tuple(order)

    def _watch(self, images: torch.Tensor) -> None:
        """Find out how the layers' outputs lie for images of this size, if that is not known."""
        size = (int(images.shape[-2]), int(images.shape[-1]))
        if size in self._readings:
            return
        if images.ndim != 4 or not may_mix_layouts(self.module):  # a generator's samples are no images
            self._readings[size] = None
            return
        with self._gradless(), self.options.precision(images.device):
            self._readings[size] = observe(
                self.module,
                size,
                channels=int(images.shape[1]),
                dtype=self.dtype,
                device=images.device,
                layout=self.layout,  # type: ignore[arg-type]
                tokens=self.tokens,
            )

    def _gradless(self) -> contextlib.AbstractContextManager[Any]:
        """Weights that FSDP2 gathers in inference mode could never be trained again."""
        return torch.no_grad() if self.sharded else torch.inference_mode()

    def _input(self, images: torch.Tensor) -> torch.Tensor:
        if images.is_floating_point():
            images = images.to(self.dtype)
        return images.contiguous(memory_format=torch.channels_last) if self.options.channels_last else images
