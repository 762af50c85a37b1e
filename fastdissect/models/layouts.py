"""Channels first or last: what the type of a module says of its output."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

__all__ = ["is_sequence", "keeps_order", "layout_of", "may_mix_layouts"]

_FIRST: tuple[type[nn.Module], ...] = (
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.ChannelShuffle,
    nn.Upsample,
)
_FORMATS: dict[Any, Literal["NCHW", "NHWC"]] = {"channels_first": "NCHW", "channels_last": "NHWC"}
_PERMUTED: dict[Any, Literal["NCHW", "NHWC"]] = {(0, 3, 1, 2): "NCHW", (0, 2, 3, 1): "NHWC"}
_POINTWISE = ("torch.nn.modules.activation", "torch.nn.modules.dropout", "transformers.activations")
# Only networks with one of these have tokens or channels last.
_TOKENS = ("LayerNorm", "RMSNorm", "RmsNorm", "Attention", "Permute", "Mixer", "Transformer")


def layout_of(module: nn.Module) -> Literal["NCHW", "NHWC"] | None:
    """How a module's output of four dimensions lies, where its type alone says so; else None.

    A subclass of LayerNorm may permute before it normalises (LayerNorm2d does), so that only LayerNorm by that
    very name counts.

    >>> layout_of(nn.Conv2d(3, 8, 3)), layout_of(nn.Linear(3, 8)), layout_of(nn.ReLU())
    ('NCHW', 'NHWC', None)
    """
    given = _FORMATS.get(getattr(module, "data_format", None))
    if given is not None:
        return given
    own = type(module).__name__
    if own == "Permute":  # torchvision's
        dims = getattr(module, "dims", None)
        return _PERMUTED.get(tuple(dims)) if isinstance(dims, list | tuple) else None
    # Conv2d, BatchNorm2d, MaxPool2d, LayerNorm2d, what derives from them, and libraries' own of such names
    names = [kind.__name__ for kind in type(module).__mro__]
    if isinstance(module, _FIRST) or any(name.endswith("2d") for name in names):
        return "NCHW"
    if isinstance(module, nn.Linear):
        return "NHWC"
    if own in ("LayerNorm", "RMSNorm", "RmsNorm") and len(getattr(module, "normalized_shape", ())) == 1:
        return "NHWC"
    return None


def is_sequence(module: nn.Module) -> bool:
    """Whether a module's output of three dimensions is [N, K, length], by its type."""
    names = [kind.__name__ for kind in type(module).__mro__]
    return isinstance(module, nn.Flatten) or any(name.endswith("1d") for name in names)


def keeps_order(module: nn.Module) -> bool:
    """Whether a module works on each number by itself: activation functions, dropout."""
    return isinstance(module, nn.Identity) or type(module).__module__ in _POINTWISE


def may_mix_layouts(module: nn.Module) -> bool:
    """Whether a network may give tokens or channels last: it normalises or attends over a last dimension.

    >>> may_mix_layouts(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))), may_mix_layouts(nn.LayerNorm(8))
    (False, True)
    """
    names = {kind.__name__ for part in module.modules() for kind in type(part).__mro__}
    return any(word in name and not name.endswith("2d") for name in names for word in _TOKENS)
