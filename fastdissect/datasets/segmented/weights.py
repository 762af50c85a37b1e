"""Digests of networks, by content."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

__all__ = ["state_digest"]


def state_digest(module: nn.Module) -> str:
    """Hex digest (blake2b, 16 bytes) of a network's class, parameters and persistent buffers, names sorted."""
    digest = hashlib.blake2b(type(module).__qualname__.encode(), digest_size=16)
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            # bytes, because NumPy has no bfloat16; flattened first, because a 0-d tensor cannot change its dtype
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
