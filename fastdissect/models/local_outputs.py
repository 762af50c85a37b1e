"""Layers whose output, a plain tensor, is this process's own units of a tensor-parallel layer.

`ColwiseParallel()` gives such tensors unless it is told `use_local_output=False`. Nothing in the tensor says so: it is
proven for the Linear itself, by its sharded weight, and for an activation function that was handed its very output.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from fastdissect.models.parallelism import dtensor_type

__all__ = ["local_outputs"]

# One value in, one value out, of torch and (by their module) transformers.
_ELEMENTWISE = (
    *(nn.CELU, nn.ELU, nn.GELU, nn.LeakyReLU, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU),
    *(
        nn.Hardshrink,
        nn.Hardsigmoid,
        nn.Hardswish,
        nn.Hardtanh,
        nn.LogSigmoid,
        nn.Sigmoid,
        nn.Tanh,
        nn.Threshold,
    ),
    *(nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanhshrink, nn.Dropout, nn.Identity),
)


@contextlib.contextmanager
def local_outputs(model: nn.Module) -> Iterator[set[nn.Module]]:
    """Around a forward pass: gives the set of such layers, which fills during it."""
    found: set[nn.Module] = set()
    local: Any = WeakTensorKeyDictionary()

    def hook(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        if not isinstance(output, Tensor) or isinstance(output, dtensor_type() or ()):
            return
        given = arguments[0] if arguments and isinstance(arguments[0], Tensor) else None
        if _is_part(module, output) or (_elementwise(module) and given is not None and given in local):
            local[output] = True
            found.add(module)

    handles = [module.register_forward_hook(hook) for module in model.modules()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _is_part(module: nn.Module, output: Tensor) -> bool:
    weight, dtensor = getattr(module, "weight", None), dtensor_type()
    if not isinstance(module, nn.Linear) or dtensor is None or not isinstance(weight, dtensor):
        return False
    rows = [placement.is_shard(0) for placement in weight.placements]
    return rows == [True] and output.shape[-1] == weight.to_local().shape[0]


def _elementwise(module: nn.Module) -> bool:
    return type(module) in _ELEMENTWISE or type(module).__module__ == "transformers.activations"
