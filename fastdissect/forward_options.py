"""Options of the forward pass: mixed precision, channels last, compiled; and torch's own switches, recorded.

None of them changes what a layer's activations mean; each may change their last bits. So they are part of a
run's key: a run goes on under the options that it began with.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fastdissect.errors import SettingError

__all__ = ["DTYPES", "ForwardOptions", "checked_forward", "in_channels_last"]

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class ForwardOptions:
    """How the network runs.

    Args:
        dtype: "bfloat16" or "float16": mixed precision (`torch.autocast`), where torch takes each operation
            in the type that suits it; "float32": a network in float32, and no autocast; None: as it is.
        compile: by `torch.compile`, around the dissected layers.
        channels_last: weights and images in torch's memory format of that name.
    """

    dtype: str | None = None
    compile: bool = False
    channels_last: bool = False

    def precision(self, device: torch.device) -> AbstractContextManager[Any]:
        """Around each forward pass: autocast keeps no copies of the weights between two of them."""
        if self.dtype in ("bfloat16", "float16"):
            return torch.autocast(device.type, getattr(torch, self.dtype))
        if self.dtype == "float32" and _surrounding(device) is not None:
            return torch.autocast(device.type, enabled=False)
        return nullcontext()

    def key(self, device: torch.device) -> dict[str, Any]:
        """What must be equal for a run to go on."""
        own = {"dtype": self.dtype, "compile": self.compile, "channels last": self.channels_last}
        return own | ({"tf32": _tf32()} if device.type == "cuda" else {})

    def record(self, device: torch.device) -> dict[str, Any]:
        """What run.json says: the options, and torch's switches as they were found; none is changed."""
        return self.key(device) | {
            "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
            "cudnn benchmark": torch.backends.cudnn.benchmark if device.type == "cuda" else None,
        }


def checked_forward(
    module: nn.Module,
    device: torch.device,
    *,
    dtype: str | None = None,
    compile: bool = False,
    channels_last: bool = False,
) -> ForwardOptions:
    """Options that this network and this device can have; within `torch.autocast`, dtype None takes its dtype.

    Raises:
        SettingError: another dtype, one that the device lacks, float32 for a network of another type, or channels last
            for weights that lie elsewhere.
    """
    if dtype not in (None, *DTYPES):
        raise SettingError(f"expected dtype to be one of {', '.join(DTYPES)}, or None; got {dtype!r}")
    for name, value in (("compile", compile), ("channels_last", channels_last)):
        if not isinstance(value, bool):
            raise SettingError(f"expected {name} to be True or False; got {value!r}")
    options = ForwardOptions(dtype or _surrounding(device), compile, channels_last)
    if dtype == "float32":
        _check_float32(module)
    if channels_last:
        _check_here(module)
    try:
        with options.precision(device):
            taken = options.dtype in (None, "float32") or _surrounding(device) == options.dtype
    except RuntimeError as error:
        raise _no_precision(options, device, str(error).partition("\n")[0]) from error
    if not taken:
        raise _no_precision(options, device, "torch switches it off there")
    return options


def _no_precision(options: ForwardOptions, device: torch.device, reason: str) -> SettingError:
    return SettingError(
        f"expected a dtype in which torch mixes precision on {device.type!r}; got {options.dtype!r}: {reason}; "
        "leave dtype out, or take the other 16-bit type"
    )


def _check_float32(module: nn.Module) -> None:
    """Nothing would make a float16 network compute in float32 but new weights: that is the user's to do."""
    for name, parameter in module.named_parameters():
        if parameter.is_floating_point() and parameter.dtype is not torch.float32:
            raise SettingError(
                f"expected a network in float32 for dtype 'float32'; got {name} in "
                f"{str(parameter.dtype).removeprefix('torch.')}; call .float() on the network, or leave dtype out"
            )


def _check_here(module: nn.Module) -> None:
    """Weights that are gathered or loaded layer by layer would come as they were stored."""
    for name, parameter in module.named_parameters():
        if parameter.device.type == "meta" or hasattr(parameter, "full_tensor"):
            raise SettingError(
                f"expected channels_last=False with a network whose weights are sharded over processes, or kept elsewhere; got "
                f"{name}; lay them out before they are (module.to(memory_format=torch.channels_last))"
            )


def _surrounding(device: torch.device) -> str | None:
    """The dtype of the `torch.autocast` around this call; None without one (and in torch before 2.4)."""
    if not hasattr(torch, "get_autocast_dtype") or not torch.is_autocast_enabled(device.type):
        return None
    return str(torch.get_autocast_dtype(device.type)).removeprefix("torch.")


def _tf32() -> dict[str, Any]:
    """Whether float32 products are rounded to TF32. torch refuses to mix its two interfaces: ask the newer one."""
    cuda: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    if hasattr(cuda, "fp32_precision"):
        return {"matmul": cuda.fp32_precision, "cudnn": cudnn.conv.fp32_precision}
    return {"matmul": cuda.allow_tf32, "cudnn": cudnn.allow_tf32}


@contextlib.contextmanager
def in_channels_last(module: nn.Module, options: ForwardOptions) -> Iterator[None]:
    """Lay the module's four-dimensional weights out channels last, where asked; as they were at the end."""
    if not options.channels_last:
        yield
        return
    held = [*module.parameters(), *module.buffers()]
    changed = [
        (tensor, tensor.stride())
        for tensor in held
        if tensor.ndim == 4 and not tensor.is_contiguous(memory_format=torch.channels_last)
    ]
    try:
        for tensor, _ in changed:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
        yield
    finally:
        for tensor, stride in changed:
            tensor.data = _laid_out(tensor.data, stride)


def _laid_out(data: torch.Tensor, stride: tuple[int, ...]) -> torch.Tensor:
    if 0 in stride:  # expanded: it cannot be written to
        return data.contiguous()
    return torch.empty_strided(data.shape, stride, dtype=data.dtype, device=data.device).copy_(data)
