"""Heads: how a network gets from a layer's map to its logits.

    map a [units, h, w]  --pool-->  x [units]  --W x + b-->  logits [classes]  (--softmax-->  output)

Found by looking at what modules are given and give for real images, not at how the network is written.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastdissect.methods.layer_outputs import LayerOutputs
from fastdissect.methods.logits import as_logits, logits_of, product_rounding, rounding
from fastdissect.methods.read_outs import After, is_linear, named_logits, read_logits
from fastdissect.methods.tracing import Call, Traced, trace
from fastdissect.models import TokenGrid, get_layer
from fastdissect.models.layers import named_layers

__all__ = ["Head", "find_head", "logits_of"]


@dataclass(frozen=True, eq=False)
class Head:
    """The way from a layer to the logits.

    linear     logits = weight @ x + bias, x the map pooled over its positions: contributions are exact
    gradient   anything else
    """

    kind: Literal["linear", "gradient"]
    layer: str
    logits: str | None  # the module whose output the logits are; None: the network's own output
    classes: int
    after: After  # what the network makes of the logits
    weight: NDArray[np.float64] | None = None  # [classes, units]; linear alone
    bias: NDArray[np.float64] | None = None  # [classes]; linear alone
    pooling: Literal["mean", "sum"] | None = None  # linear alone
    tolerance: float = 1e-5  # relative, between the logits and weight @ x + bias; linear alone
    outputs: LayerOutputs | None = None  # how the layer's output lies; None: found for each batch

    def trace(self, module: nn.Module, images: Tensor, *, gradients: bool = False) -> tuple[Traced, Tensor]:
        """Run images [n, channels, height, width]; return what the pass showed and the logits [n, classes].

        Raises:
            LayerError: the logits are not there any more, or of another shape.
        """
        watch = () if self.logits is None else (self.logits,)
        traced = trace(module, self.layer, images, watch=watch, gradients=gradients, outputs=self.outputs)
        if self.logits is None:
            return traced, logits_of(traced.output)
        return traced, named_logits(traced, self.logits, len(images)).logits

    def pool(self, maps: NDArray[Any]) -> NDArray[np.float64]:
        """float [n, units, h, w] -> x, float64 [n, units]: the sum over the positions where the head sums, or the mean."""
        wide = np.asarray(maps, np.float64)
        pooled: NDArray[np.float64] = wide.sum((2, 3)) if self.pooling == "sum" else wide.mean((2, 3))
        return pooled

    def sentence(self) -> str:
        """What contributions mean under this head, for people."""
        where = "the network's output" if self.logits is None else f"the output of {self.logits!r}"
        if self.after == "probabilities":
            where += " (probabilities already)"
        elif self.after:
            where += f", before the network's {self.after}"
        if self.kind == "linear":
            return (
                f"The logits are {where}: a linear read-out of {self.layer!r}, pooled by its {self.pooling}. "
                "Contributions are weight times activation; with the bias they add up to the logit, exactly."
            )
        return (
            f"The logits are {where}, which is no single linear read-out of {self.layer!r}. Contributions are the "
            "gradient of the logit times the activation, summed over the positions; what they leave of the logit is "
            "a line of its own, the remainder."
        )


def find_head(
    module: nn.Module,
    layer: str,
    images: Tensor,
    head: str | None = None,
    *,
    layout: str = "auto",
    tokens: TokenGrid | None = None,
) -> Head:
    """Find the head that reads a layer.

    It is linear where, for all images, an nn.Linear or a 1 x 1 convolution of a 1 x 1 map gives the network's
    output (or what a final softmax, log-softmax or sigmoid makes the output of), and its input is the layer's map
    pooled by mean or sum over the positions, to 1e-5 relative.

    Args:
        module: the network, in eval mode.
        layer: dotted name.
        images: a few real ones, [n, channels, height, width], on the network's device.
        head: the module whose output are the logits; default: found.
        layout, tokens: how the layer's output lies, as in `dissect`.

    Raises:
        LayerError: the network's output is no [n, classes]; or `head` is not called after the layer, or gives no
            [n, classes]. The message lists what could be meant.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
        >>> find_head(net, "0", torch.rand(2, 3, 9, 9)).kind
        'linear'

    Source: for the explanations of "Interpreting Deep Visual Representations via Network Dissection" (Zhou, Bau et
    al. 2018, section on explaining predictions); the search is our formulation.
    """
    watch = [name for name, child in named_layers(module).items() if is_linear(child)]
    if head is not None:
        get_layer(module, head)  # an unknown name has an error of its own, with the nearest
        watch = [*(name for name in watch if name != head), head]
    outputs = LayerOutputs(layer, layout, tokens)
    traced = trace(module, layer, images, watch=watch, outputs=outputs)
    read = read_logits(traced, len(images)) if head is None else named_logits(traced, head, len(images))
    name = head if head is not None or read.call is None else read.call.name
    found = Head("gradient", layer, name, int(read.logits.shape[1]), read.after, outputs=outputs)
    return found if read.call is None else _as_linear(found, read.call, traced)


def _as_linear(found: Head, call: Call, traced: Traced) -> Head:
    """The head as a linear one, if the numbers say that it is; else as it came."""
    maps = traced.maps.double().cpu()
    given = as_logits(call.input, len(maps))  # [n, units], or [n, units, 1, 1]
    logits = as_logits(call.output, len(maps))
    weight, bias = _weights(call.module)
    if given is None or logits is None or given.shape != maps.shape[:2] or weight.shape[1] != given.shape[1]:
        return found
    x, product = given.double().cpu(), product_rounding(call.module, logits)
    terms = x.abs() @ weight.abs().T + bias.abs()
    if ((x @ weight.T + bias - logits.double().cpu()).abs() > product * terms).any():
        return found  # a subclass that does more than its weights say
    poolings: dict[Literal["mean", "sum"], Any] = {"mean": torch.mean, "sum": torch.sum}
    for pooling, pool in poolings.items():
        if ((x - pool(maps, (2, 3))).abs() <= rounding(given) * pool(maps.abs(), (2, 3))).all():
            return dataclasses.replace(
                found,
                kind="linear",
                weight=weight.numpy(),
                bias=bias.numpy(),
                pooling=pooling,
                tolerance=product,
            )
    return found


def _weights(module: nn.Module) -> tuple[Tensor, Tensor]:
    """float64 [classes, units] and [classes] of an nn.Linear or a convolution of 1 x 1."""
    assert isinstance(module, nn.Linear | nn.Conv2d)
    weight = module.weight.detach().double().cpu().flatten(1)
    bias = module.bias  # its declared type leaves out that it may be None
    zeros = torch.zeros(len(weight), dtype=torch.float64)
    return weight, (zeros if bias is None else bias.detach().double().cpu())
