"""One short name for a network's weights: equal if and only if what it computes was stored equally."""

from __future__ import annotations

import hashlib
import re

import torch
from torch import nn

from fastdissect.models.layers import unwrap
from fastdissect.models.whole_weights import plain_structure, whole_weights

__all__ = ["weights_digest"]

# Python's default repr shows where an object lies in memory: true for this process alone.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def weights_digest(module: nn.Module) -> str:
    """Hex digest (blake2b, 16 bytes) of a module's class, structure, parameters and persistent buffers.

    Names are sorted; of each tensor dtype, shape and bytes count, not its device or strides. Wrappers
    (DataParallel, `torch.compile`) are looked through; weights that are sharded over processes (which then call this
    together), or kept elsewhere by accelerate, count as the whole. A run refuses to go on with other weights by it.

    Raises:
        ModelError: a tensor without content (device "meta").

    >>> a = nn.Linear(2, 1, bias=False)
    >>> before = weights_digest(a)
    >>> with torch.no_grad(): _ = a.weight.add_(1)
    >>> before == weights_digest(a)
    False
    """
    module = unwrap(module)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(_ADDRESS.sub("", plain_structure(module)).encode())
    for name, value in whole_weights(module):
        digest.update(f"{name}\n".encode())
        if not isinstance(value, torch.Tensor):  # a module's get_extra_state
            digest.update(_ADDRESS.sub("", repr(value)).encode())
            continue
        digest.update(f"{value.dtype} {tuple(value.shape)}\n".encode())
        dense = value.detach().to_dense() if value.layout != torch.strided else value.detach()
        # bytes, because NumPy has no bfloat16; flattened first, because a 0-d tensor cannot change its dtype
        digest.update(dense.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
