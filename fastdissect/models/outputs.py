"""From what a layer returns to a map [images, units, height, width]: always a view, never a silent guess."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from fastdissect.errors import ActivationError, LayerError, SettingError

__all__ = ["Layout", "MapView", "TokenGrid", "as_map", "output_tensor"]

Layout = Literal["auto", "NCHW", "NHWC", "NTC"]
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_MAPPING_KEYS = ("last_hidden_state", "out")  # transformers; torchvision's segmentation models


@dataclass(frozen=True)
class TokenGrid:
    """How tokens lie on the image: `prefix` tokens that are no place (class, registers), then the grid.

    Either may be None: a prefix alone leaves a grid that is square (or has the image's aspect); a grid
    alone takes the last height x width tokens. The grid is row-major.
    """

    prefix: int | None = None
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.prefix is not None and self.prefix < 0:
            raise SettingError(f"tokens: expected a prefix of 0 or more tokens, got {self.prefix}")
        if self.grid is not None and min(self.grid) < 1:
            raise SettingError(f"tokens: expected a grid of (height, width) tokens, got {self.grid}")


class MapView(NamedTuple):
    """A view [images, units, height, width] of a layer's output, and in words how it was read."""

    map: Tensor
    explanation: str


def output_tensor(output: Any, layer_name: str) -> Tensor:
    """Pick the tensor out of whatever a layer's forward returned.

    A tensor is itself; of a tuple or list the first tensor; of a mapping (dict, transformers' ModelOutput)
    "last_hidden_state", "out", or the only tensor there is.

    Raises:
        LayerError: nothing, or more than one thing, could be meant; the message lists what there was.

    >>> output_tensor((None, torch.zeros(1, 2)), "encoder").shape
    torch.Size([1, 2])
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        tensors = {key: value for key, value in output.items() if isinstance(value, Tensor)}
        for key in _MAPPING_KEYS:
            if key in tensors:
                return tensors[key]
        if len(tensors) == 1:
            return next(iter(tensors.values()))
        found = ", ".join(f"{key!r}: {_word(value)}" for key, value in output.items())
    elif isinstance(output, tuple | list):
        for value in output:
            if isinstance(value, Tensor):
                return value
        found = ", ".join(_word(value) for value in output)
    else:
        found = _word(output)
    kind = type(output).__name__
    raise LayerError(
        f"layer {layer_name!r}: expected a tensor, or a {kind if found else 'tuple'} with one that is meant, "
        f"got {kind} ({found or 'empty'}); dissect one of the layers inside it instead"
    )


def _word(value: Any) -> str:
    return f"tensor {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def as_map(
    tensor: Tensor,
    layer_name: str,
    layout: Layout = "auto",
    tokens: TokenGrid | None = None,
    image_size: tuple[int, int] | None = None,
    images: int | None = None,
) -> MapView:
    """View a layer's output as a map, in place.

    Args:
        tensor: [N, K, h, w] (or [N, h, w, K] with `layout="NHWC"`), [N, K] (a 1x1 map) or tokens [N, T, K];
            float32, float16 or bfloat16.
        layer_name: for messages.
        layout: "auto" reads four dimensions as NCHW, three as tokens.
        tokens: prefix and grid of the tokens. Without it a T that is square (of the image's aspect, where
            `image_size` is not square) has no prefix, a T - 1 that is has one; anything else is an error.
        image_size: height and width of the network's input in pixels.
        images: number of images in the batch; None: not checked.

    Raises:
        LayerError: the shape has no one reading as a map; the message says which override would fit.
        ActivationError: float64, integers or complex numbers.

    >>> as_map(torch.zeros(2, 197, 8), "blocks.3").explanation
    'tokens [N, T, K]: 1 prefix token left out, 14 x 14 grid'
    """
    if layout not in ("auto", "NCHW", "NHWC", "NTC"):
        raise SettingError(f"layout: expected 'auto', 'NCHW', 'NHWC' or 'NTC', got {layout!r}")
    _check_dtype(tensor, layer_name)
    shape = list(tensor.shape)
    if images is not None and (not shape or shape[0] != images):
        raise LayerError(
            f"layer {layer_name!r}: expected one entry an image ({images}) in the first dimension, got shape "
            f"{shape}; layers that fold windows or heads into the batch, or put tokens first, cannot be read"
        )
    if tensor.ndim == 4 and layout in ("auto", "NCHW"):
        return MapView(tensor, "map [N, K, h, w]")
    if tensor.ndim == 4 and layout == "NHWC":
        return MapView(tensor.permute(0, 3, 1, 2), "map [N, h, w, K]")
    if tensor.ndim == 2:
        return MapView(tensor[:, :, None, None], "vector [N, K]: a 1x1 map")
    if tensor.ndim == 3 and layout in ("auto", "NTC"):
        prefix, (height, width) = _grid(shape[1], layer_name, tokens or TokenGrid(), image_size)
        view = tensor[:, prefix:].view(shape[0], height, width, shape[2]).permute(0, 3, 1, 2)
        left_out = f"{prefix} prefix token{'s' * (prefix != 1)} left out, " if prefix else ""
        return MapView(view, f"tokens [N, T, K]: {left_out}{height} x {width} grid")
    wanted = {"auto": "2, 3 or 4", "NTC": "2 or 3"}.get(layout, "2 or 4")
    raise LayerError(
        f"layer {layer_name!r}: expected {wanted} dimensions (layout {layout!r}), got shape {shape}; "
        "give another layout, or dissect another layer"
    )


def _check_dtype(tensor: Tensor, layer_name: str) -> None:
    if tensor.dtype in _FLOATS:
        return
    remedy = "call .float() on the model" if tensor.is_floating_point() else "dissect a layer before it"
    raise ActivationError(
        f"layer {layer_name!r}: expected float32, float16 or bfloat16 activations, "
        f"got {str(tensor.dtype).removeprefix('torch.')}; {remedy}"
    )


def _grid(
    count: int, layer_name: str, tokens: TokenGrid, image_size: tuple[int, int] | None
) -> tuple[int, tuple[int, int]]:
    """Prefix and grid of `count` tokens."""
    if tokens.grid is not None:
        cells = tokens.grid[0] * tokens.grid[1]
        prefix = count - cells if tokens.prefix is None else tokens.prefix
        if prefix >= 0 and prefix + cells == count:
            return prefix, tokens.grid
        asked = f"prefix {tokens.prefix}, grid {tokens.grid[0]} x {tokens.grid[1]}"
    else:
        for prefix in (0, 1) if tokens.prefix is None else (tokens.prefix,):
            grid = _fitting(count - prefix, image_size)
            if grid is not None:
                return prefix, grid
        asked = "a square grid" if _square(image_size) else f"a grid of the image's aspect {image_size}"
        asked += " with 0 or 1 prefix tokens" if tokens.prefix is None else f" after prefix {tokens.prefix}"
    fits = [(p, grid) for p in range(min(count, 33)) if (grid := _fitting(count - p, image_size))]
    advice = "; or ".join(f"prefix={p} ({g[0]} x {g[1]})" for p, g in fits[:3]) or "grid=(height, width)"
    raise LayerError(
        f"layer {layer_name!r}: expected tokens that make {asked}, got {count} tokens; "
        f"what would fit: TokenGrid with {advice}"
    )


def _square(image_size: tuple[int, int] | None) -> bool:
    return image_size is None or image_size[0] == image_size[1]


def _fitting(cells: int, image_size: tuple[int, int] | None) -> tuple[int, int] | None:
    """The grid of exactly `cells` cells whose sides are as the image's, if there is one."""
    height, width = (1, 1) if image_size is None else image_size
    shrink = math.gcd(height, width)
    height, width = height // shrink, width // shrink
    side = math.isqrt(max(cells, 0) // (height * width))
    return (side * height, side * width) if side and side * side * height * width == cells else None
