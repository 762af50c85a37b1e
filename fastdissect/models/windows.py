"""The window of one operation in a traced network: what it does to a receptive field, axis by axis."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import fx, nn
from torch.nn.modules import activation, batchnorm, dropout, instancenorm, padding

__all__ = ["NotStaticError", "Window", "windows_of"]


class NotStaticError(Exception):
    """An operation whose geometry is not fixed; the message names it."""


class Window(NamedTuple):
    """One axis of a convolution, pooling or padding, in cells of its input."""

    kernel: int = 1
    stride: int = 1
    before: int = 0  # cells added in front
    after: int = 0
    dilation: int = 1
    ceil: bool = False  # a last, incomplete window is kept

    def cells(self, count: int) -> int:
        """Outputs on an axis of `count` cells (torch's own rule, ceil mode included)."""
        room = count + self.before + self.after - self.dilation * (self.kernel - 1) - 1
        if not self.ceil:
            return room // self.stride + 1
        outputs = -(-room // self.stride) + 1
        # in ceil mode a window may hang over the end, but must not start in the padding there
        return outputs - 1 if (outputs - 1) * self.stride >= count + self.before else outputs


Windows = tuple[Window, Window]
_POINT = Window(), Window()

# Normalisations rescale cells and do not move them.
_POINTWISE: tuple[type[nn.Module], ...] = (
    nn.Identity,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    batchnorm._BatchNorm,
    dropout._DropoutNd,
    instancenorm._InstanceNorm,
    *(getattr(activation, name) for name in activation.__all__ if name != "MultiheadAttention"),
)
_PADDINGS = (
    padding._ConstantPadNd,
    padding._ReflectionPadNd,
    padding._ReplicationPadNd,
)
# Functions and tensor methods by name, in-place forms without their underscore.
_POINTWISE_NAMES = (
    "add iadd sub isub mul imul div truediv itruediv neg pow abs sqrt exp maximum minimum clamp relu relu6 "
    "leaky_relu elu selu gelu silu mish hardswish hardsigmoid hardtanh sigmoid tanh softplus dropout "
    "dropout2d feature_dropout batch_norm instance_norm group_norm local_response_norm contiguous clone "
    "detach float half to type type_as"
)


def windows_of(network: nn.Module, node: fx.Node) -> Windows:
    """Windows (vertical, horizontal) of a node that has the image among its inputs.

    Raises:
        NotStaticError: the node is none of convolution, plain pooling, padding, or pointwise.
    """
    if node.op == "call_module":
        return _of_module(network.get_submodule(str(node.target)), str(node.target))
    name = str(node.target if node.op == "call_method" else getattr(node.target, "__name__", node.target))
    if name.rstrip("_") in _POINTWISE_NAMES.split():
        return _POINT
    if name in ("cat", "concat", "concatenate"):
        if _argument(node, 1, "dim", 0) in (1, -3):
            return _POINT
        raise NotStaticError("torch.cat along another dimension than the units")
    if name == "max_pool2d":
        return _pooling(*(_argument(node, i, key, default) for i, key, default in _MAX_POOL))
    if name == "avg_pool2d":
        kernel, stride, before, ceil = (_argument(node, i, key, default) for i, key, default in _AVG_POOL)
        return _pooling(kernel, stride, before, 1, ceil)
    if name == "pad":
        return _padding(_argument(node, 1, "pad", None), "torch.nn.functional.pad")
    inside = [path for path in node.meta.get("nn_module_stack", {}) if path]
    raise NotStaticError(f"the operation {name!r}" + (f" in {inside[-1]!r}" if inside else ""))


_MAX_POOL: Any = (
    (1, "kernel_size", None),
    (2, "stride", None),
    (3, "padding", 0),
    (4, "dilation", 1),
    (5, "ceil_mode", False),
)
_AVG_POOL: Any = ((1, "kernel_size", None), (2, "stride", None), (3, "padding", 0), (4, "ceil_mode", False))


def _of_module(module: nn.Module, name: str) -> Windows:
    if isinstance(module, nn.Conv2d):
        same = module.padding == "same"
        spans = [e * (k - 1) for e, k in zip(module.dilation, module.kernel_size, strict=True)]
        before = (
            [span // 2 for span in spans]
            if same
            else _pair(0 if module.padding == "valid" else module.padding)
        )
        after = [span - span // 2 for span in spans] if same else before
        shape = zip(module.kernel_size, module.stride, before, after, module.dilation, strict=True)
        vertical, horizontal = (Window(*axis) for axis in shape)
        return vertical, horizontal
    if isinstance(module, nn.MaxPool2d):
        pool = module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode
        return _pooling(*pool)
    if isinstance(module, nn.AvgPool2d):
        return _pooling(module.kernel_size, module.stride, module.padding, 1, module.ceil_mode)
    if isinstance(module, _PADDINGS):
        return _padding(module.padding, repr(name))
    if isinstance(module, _POINTWISE):
        return _POINT
    raise NotStaticError(f"{name!r} ({type(module).__name__})")


def _pooling(kernel: Any, stride: Any, before: Any, dilation: Any, ceil: bool) -> Windows:
    kernels, pads = _pair(kernel), _pair(before)
    strides = kernels if stride is None or stride == [] else _pair(stride)
    shape = zip(kernels, strides, pads, pads, _pair(dilation), strict=True)
    vertical, horizontal = (Window(*axis, bool(ceil)) for axis in shape)
    return vertical, horizontal


def _padding(pad: Any, name: str) -> Windows:
    if not isinstance(pad, tuple | list) or len(pad) != 4 or not all(isinstance(n, int) for n in pad):
        raise NotStaticError(f"{name} with padding {pad}")
    left, right, top, bottom = pad
    return Window(before=top, after=bottom), Window(before=left, after=right)


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    if isinstance(value, tuple | list) and len(value) in (1, 2) and all(isinstance(n, int) for n in value):
        return int(value[0]), int(value[-1])
    raise NotStaticError(f"a window of {value}")


def _argument(node: fx.Node, position: int, name: str, default: Any) -> Any:
    if name in node.kwargs:
        return node.kwargs[name]
    return node.args[position] if position < len(node.args) else default
