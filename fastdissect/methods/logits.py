"""Logits: which tensor [n, classes] is meant by what a network or a module returned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fastdissect.errors import LayerError

__all__ = ["as_logits", "describe", "logits_of", "near", "product_rounding", "rounding"]


def logits_of(output: Any) -> Tensor:
    """Return the logits [n, classes] in what a network returned.

    A tensor is itself; an object with `.logits` (transformers) gives these; of a tuple the first item, if no other
    item could be logits too. [n, classes, 1, 1] is flattened.

    Raises:
        LayerError: nothing, or more than one thing, could be meant.

    >>> logits_of((torch.zeros(2, 5), None)).shape
    torch.Size([2, 5])
    """
    found = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if found is None and isinstance(output, tuple | list) and output:
        others = [item for item in output[1:] if _matrix(item) is not None]
        found = None if others else output[0]
    matrix = _matrix(found)
    if matrix is None:
        raise LayerError(f"the network's output: expected logits [n, classes]; got {describe(output)}")
    return matrix


def as_logits(value: Any, n: int) -> Tensor | None:
    """Return the logits [n, classes] in a value, None where there are none."""
    try:
        matrix = logits_of(value)
    except LayerError:
        return None
    return matrix if len(matrix) == n else None


def _matrix(value: Any) -> Tensor | None:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return None
    if value.ndim == 4 and value.shape[2:] == (1, 1):
        return value.flatten(1)
    return value if value.ndim == 2 else None


def rounding(tensor: Tensor) -> float:
    """Relative difference that rounding can make: 1e-5 in float32, more in 16-bit types."""
    wide = tensor.dtype not in (torch.float16, torch.bfloat16)
    return 1e-5 if wide else 8 * torch.finfo(tensor.dtype).eps


def product_rounding(module: nn.Module, output: Tensor) -> float:
    """The same for what a linear module gave: on a GPU, torch may multiply in TF32, which has 10 bits."""
    if not output.is_cuda or output.dtype is not torch.float32:
        return rounding(output)
    if isinstance(module, nn.Conv2d):
        backend: Any = (
            torch.backends.cudnn if not hasattr(torch.backends.cudnn, "conv") else torch.backends.cudnn.conv
        )
    else:
        backend = torch.backends.cuda.matmul
    # torch refuses to mix its two interfaces: the newer one is asked where there is one
    said = getattr(backend, "fp32_precision", None)
    short = said == "tf32" if said is not None else bool(backend.allow_tf32)
    return 4e-3 if short else rounding(output)


def near(found: Tensor, expected: Tensor) -> bool:
    """Return whether two tensors are equal but for rounding (of `found`)."""
    tolerance = rounding(found)
    return torch.allclose(found.double().cpu(), expected.double().cpu(), rtol=tolerance, atol=tolerance)


def describe(value: Any) -> str:
    """Type and shape in words, for messages."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if isinstance(value, dict):
        return f"a dictionary of {', '.join(f'{k!r}: {describe(v)}' for k, v in value.items()) or 'nothing'}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {', '.join(map(describe, value)) or 'nothing'}"
    return type(value).__name__
