"""Batches: what a running statistic demands of the tensors that it is given."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastdissect.errors import ActivationError

__all__ = ["as_samples", "require_match", "require_tensor"]


def require_tensor(data: Any, caller: str) -> Tensor:
    """A tensor of real numbers, out of any graph.

    Raises:
        ActivationError: something else.
    """
    if not isinstance(data, Tensor):
        raise ActivationError(f"{caller}: expected a torch tensor; got {type(data).__name__}")
    if data.dtype.is_complex:
        raise ActivationError(f"{caller}: expected real numbers; got {data.dtype}; give .real or .abs()")
    return data.detach()


def require_match(
    data: Tensor, features: int, device: torch.device, caller: str, dtype: torch.dtype | None = None
) -> None:
    """A further batch [samples, features] has the features, device and, where it matters, dtype of the first.

    Raises:
        ActivationError: it has not.
    """
    if data.shape[1] != features:
        raise ActivationError(
            f"{caller}: expected {features} features as in the first batch; got {data.shape[1]}"
        )
    if dtype is not None and data.dtype != dtype:
        raise ActivationError(
            f"{caller}: expected {dtype} as in the first batch; got {data.dtype}; convert with .to()"
        )
    if data.device != device:
        raise ActivationError(
            f"{caller}: expected data on {device}, where the statistic is; got {data.device}; "
            "move one of them (to_())"
        )


def as_samples(data: Tensor, caller: str) -> Tensor:
    """[features], [samples, features] or [images, features, ...] as [samples, features]; positions are samples.

    As netdissect's variances read their input.

    >>> as_samples(torch.zeros(2, 5, 3, 3), "example").shape
    torch.Size([18, 5])
    """
    if data.dim() == 0:
        raise ActivationError(f"{caller}: expected [samples, features]; got a single number")
    if data.dim() == 1:
        return data[None, :]
    if data.dim() == 2:
        return data
    return data.flatten(2).permute(0, 2, 1).reshape(-1, data.shape[1])
