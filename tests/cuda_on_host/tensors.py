"""Torch's CPU tensors in the part of CUDA tensors, where there is no GPU: what fastdissect asks of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch


class _Device(NamedTuple):
    type: str
    index: int

    def __str__(self) -> str:
        return f"{self.type}:{self.index}"


class CudaTensor:
    """A tensor that says that it lies on cuda:`index`; its memory is the host's."""

    is_cuda = True

    def __init__(self, tensor: torch.Tensor, index: int = 0) -> None:
        self.host, self.device = tensor, _Device("cuda", index)
        self.shape, self.dtype, self.layout = tensor.shape, tensor.dtype, tensor.layout

    def detach(self) -> CudaTensor:
        return CudaTensor(self.host.detach(), self.device.index)

    def is_neg(self) -> bool:
        return self.host.is_neg()

    def cpu(self) -> torch.Tensor:
        return self.host

    def numel(self) -> int:
        return self.host.numel()

    def stride(self) -> tuple[int, ...]:
        return self.host.stride()

    def data_ptr(self) -> int:
        return self.host.data_ptr()


CudaTensor.__module__ = "torch"


def on_cuda(tensor: torch.Tensor, index: int = 0) -> Any:
    """The tensor on a CUDA device: really where there is one, else in the part of one."""
    if torch.cuda.is_available():
        return tensor.to(f"cuda:{index}")
    return CudaTensor(tensor, index)
