"""Arrays of any library -> one strided view [images, units, height, width], in place, on the CPU or on a GPU.

torch is looked up by the array's own type, never imported: whoever holds a tensor has it loaded.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastdissect.device_arrays import foreign_to_device, is_on_device, to_host, torch_to_device
from fastdissect.errors import ActivationError, SettingError
from fastdissect.types import ActivationView, Kind

__all__ = ["LAYOUTS", "activation_view", "host_array", "owner"]

Layout = Literal["NCHW", "NHWC", "NTC"]
LAYOUTS = ("NCHW", "NHWC", "NTC")
_KINDS: dict[str, Kind] = {"float32": "float32", "float16": "float16", "bfloat16": "bfloat16"}


def owner(array: Any) -> str:
    """Name of the library an array belongs to: "numpy", "torch" (subclasses too), "cupy", or its module's first name."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return "torch"
    return type(array).__module__.partition(".")[0]


def host_array(values: Any) -> NDArray[Any]:
    """Thresholds, labels and the like, of any library and on any device, as a NumPy array; bfloat16 as float32.

    >>> host_array([1, 2])
    array([1, 2])
    """
    if owner(values) == "torch":
        values = values.detach().cpu().resolve_neg()
        return (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()  # type: ignore[no-any-return]
    if not isinstance(values, np.ndarray) and not is_on_device(values):
        found = foreign_to_device(values)
        values = values if found is None else found
    return np.asarray(to_host(values))


def activation_view(array: Any, layout: str = "NCHW") -> ActivationView:
    """View activations in place as [images, units, height, width]; nothing is copied.

    Args:
        array: float32, float16 or bfloat16, of any strides: a numpy array, a torch tensor on the CPU or a CUDA
            device, a CuPy array, or anything that lies on a CUDA device and says so by DLPack or
            `__cuda_array_interface__`. [N, K, h, w] for "NCHW", [N, h, w, K] for "NHWC", [N, T, K] for "NTC"
            (a 1 x T map), and [N, K] (fully connected: a 1 x 1 map) for either.

    Raises:
        SettingError: unknown layout.
        ActivationError: another dtype, number of dimensions or device, or a CUDA device without CuPy; each with
            the remedy.

    >>> activation_view(np.zeros((2, 7, 7, 5), np.float32), "NHWC").data.shape
    (2, 5, 7, 7)
    """
    if layout not in LAYOUTS:
        raise SettingError(f"expected a layout of {', '.join(LAYOUTS)}; got {layout!r}")
    data, kind = _strided(array)
    if data.ndim == 2:
        return ActivationView(data[:, :, None, None], kind)
    if layout == "NTC" and data.ndim == 3:
        return ActivationView(data.transpose(0, 2, 1)[:, :, None, :], kind)
    if layout != "NTC" and data.ndim == 4:
        return ActivationView(data if layout == "NCHW" else data.transpose(0, 3, 1, 2), kind)
    shapes = {"NCHW": "[N, K, h, w]", "NHWC": "[N, h, w, K]", "NTC": "[N, T, K]"}
    raise ActivationError(
        f"expected activations {shapes[layout]} for layout {layout!r}, or [N, K]; got shape {tuple(data.shape)}; "
        f"pass layout= for another order"
    )


def _strided(array: Any) -> tuple[Any, Kind]:
    """The array in place, as a NumPy or CuPy array (bfloat16: its bits), and its kind."""
    if owner(array) == "torch":
        return _from_torch(array)
    if not isinstance(array, np.ndarray) and not is_on_device(array):
        found = foreign_to_device(array)
        if found is None:
            raise ActivationError(
                f"expected a numpy array, a torch tensor, or an array on a CUDA device; got {type(array).__name__}; "
                "pass numpy.asarray(array)"
            )
        array = found
    name = array.dtype.name
    if name not in _KINDS or not array.dtype.isnative:
        raise _wrong_dtype(name, f"array.astype({'np' if isinstance(array, np.ndarray) else 'cupy'}.float32)")
    data = array.view(np.uint16) if name == "bfloat16" else array
    aligned = data.flags.aligned if isinstance(array, np.ndarray) else data.data.ptr % data.itemsize == 0
    if any(s % data.itemsize for s in data.strides) or not aligned:
        raise ActivationError(
            f"expected aligned activations; got strides {data.strides} of {name}; pass np.ascontiguousarray(array)"
        )
    return data, _KINDS[name]


def _from_torch(tensor: Any) -> tuple[Any, Kind]:
    torch = sys.modules["torch"]
    if tensor.device.type not in ("cpu", "cuda"):
        raise ActivationError(
            f"expected activations on the CPU or a CUDA device; got a tensor on {tensor.device}; pass tensor.cpu()"
        )
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in _KINDS:
        raise _wrong_dtype(name, "tensor.float()")
    if tensor.layout is not torch.strided:
        raise ActivationError(f"expected a dense tensor; got layout {tensor.layout}; pass tensor.to_dense()")
    if tensor.is_neg():  # its memory holds other numbers than it says
        raise ActivationError(
            "expected a tensor as it lies in memory; got one with the negative bit; pass tensor.resolve_neg()"
        )
    tensor = tensor.detach()
    if tensor.device.type == "cuda":
        return torch_to_device(tensor), _KINDS[name]
    if name == "bfloat16":  # numpy has no bfloat16: its bits travel
        return tensor.view(torch.int16).numpy().view(np.uint16), "bfloat16"
    return tensor.numpy(), _KINDS[name]


def _wrong_dtype(name: str, remedy: str) -> ActivationError:
    return ActivationError(
        f"expected float32, float16 or bfloat16 activations; got {name}; "
        f"convert them knowingly, e.g. {remedy} (thresholds are exact for what is passed)"
    )
