"""Errors of a forward pass whose cause is where the network's parts lie, said in our words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn

from fastdissect.errors import BackendError, FastdissectError, ModelError
from fastdissect.models.parallelism import is_sharded

__all__ = ["forward_errors"]

_APART = ("same device", "on different devices", "mixed torch.Tensor and DTensor")
_GONE = ("gloo", "Connection", "connection", "NCCL", "peer", "ProcessGroup")


@contextlib.contextmanager
def forward_errors(module: nn.Module) -> Iterator[None]:
    """Around a forward pass.

    Raises:
        ModelError: a part of the network was handed what lies on another device, or in another process.
        BackendError: another process, which the pass needs, is gone.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, FastdissectError):
            raise
        reason = str(error).partition("\n")[0]
        if any(text in reason for text in _APART):
            places = sorted({str(p.device) for p in module.parameters()})
            raise ModelError(
                "expected a network whose parts hand each other what they can compute with; a layer got a tensor from "
                f"elsewhere (images go to the device of the first parameter; parameters lie on {', '.join(places)}): "
                f"{reason:.200}; move it in forward(), let accelerate's dispatch_model do it, or put the layers that need "
                "each other in one place"
            ) from error
        if is_sharded(module) and any(text in reason for text in _GONE):
            raise BackendError(
                "expected all processes to run the network together; another one ended or cannot be reached "
                f"({reason:.120}); look at what it said; the same command goes on from the last checkpoints"
            ) from error
        raise
