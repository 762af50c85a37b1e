"""Pooling: a layer's map as a row of non-negative features for each example."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fastdissect.device_arrays import is_on_device
from fastdissect.errors import ActivationError, SettingError, nearest
from fastdissect.models import resolve_layers
from fastdissect.types import ActivationView

__all__ = ["POOLS", "FeatureError", "features_of", "map_of", "pooled_shape", "resolve_pools"]

POOLS = ("mean", "max", "full")


def resolve_pools(
    pool: str | Mapping[str, str], module: nn.Module, layers: tuple[str, ...]
) -> dict[str, str]:
    """Return how each layer is pooled.

    Args:
        pool: "mean", "max" or "full" for all layers; or {layer or pattern: how}, where a later entry goes before an
            earlier one, and a layer that none fits is pooled by its mean.

    Raises:
        SettingError: another word, or an entry that fits none of the layers. LayerError: it fits no layer at all.

    >>> resolve_pools({"**": "max", "1": "full"}, nn.Sequential(nn.ReLU(), nn.ReLU()), ("0", "1"))
    {'0': 'max', '1': 'full'}
    """
    pools = dict.fromkeys(layers, "mean")
    for pattern, how in ({"**": pool} if isinstance(pool, str) else dict(pool)).items():
        if how not in POOLS:
            raise SettingError(
                f"expected pool to be one of {', '.join(POOLS)}; got {how!r}{nearest(str(how), POOLS)}"
            )
        fitting = [name for name in resolve_layers(module, pattern) if name in pools]
        if not fitting:
            raise SettingError(
                f"pool: {pattern!r} is none of the layers {', '.join(layers)}{nearest(pattern, layers)}"
            )
        pools.update(dict.fromkeys(fitting, how))
    return pools


def pooled_shape(shape: tuple[int, ...], pool: str) -> tuple[int, int, int]:
    """(channels, height, width) of an example's features, from a map's shape [n, units, height, width]."""
    _, units, height, width = shape
    return (units, height, width) if pool == "full" else (units, 1, 1)


def map_of(view: ActivationView) -> Tensor:
    """A layer's output as a tensor where it lies, [n, units, height, width]."""
    tensor = (
        torch.utils.dlpack.from_dlpack(view.data) if is_on_device(view.data) else torch.from_numpy(view.data)
    )
    return tensor.view(torch.bfloat16) if view.kind == "bfloat16" else tensor


def features_of(maps: Tensor, pool: str, rectify: bool) -> Tensor:
    """Return features float32 [n, features]: channel after channel, row after row.

    Means are taken in float64, so that they do not depend on how many images come at once.

    Args:
        maps: [n, units, height, width].
        rectify: max(x, 0) first.

    Raises:
        FeatureError: a value that is NaN, infinite or, without `rectify`, negative.

    >>> features_of(torch.tensor([[[[1.0, 2.0]]]]), "mean", False)
    tensor([[1.5000]])
    """
    bad = ~torch.isfinite(maps)
    if bool(bad.any()):
        raise FeatureError(_first(bad), "NaN or infinity")
    if not rectify:
        bad = maps < 0
        if bool(bad.any()):
            image = _first(bad)
            raise FeatureError(image, f"{float(maps[image].min()):.4g}")
    else:
        maps = maps.clamp(min=0)
    if pool == "full":
        return maps.float().flatten(1)
    if pool == "max":
        return maps.amax((2, 3)).float()
    wide = torch.float32 if maps.device.type == "mps" else torch.float64  # MPS has no float64
    return maps.to(wide).mean((2, 3)).float()


class FeatureError(ActivationError):
    """A value that no factorisation takes. `image`: where in its batch; `problem`: "-1.5", "NaN or infinity"."""

    def __init__(self, image: int, problem: str) -> None:
        super().__init__(f"image {image}: expected finite values of 0 or more; got {problem}")
        self.image, self.problem = image, problem

    def at(self, layer: str, image: str) -> ActivationError:
        """The error for people."""
        where = f"layer {layer!r}, image {image!r}: expected"
        if self.problem.startswith("-"):
            return ActivationError(
                f"{where} activations of 0 or more, as after a ReLU; got {self.problem}; choose a layer after the "
                "activation function, or take max(x, 0) of it: rectify=True (--rectify)"
            )
        return ActivationError(
            f"{where} finite activations; got {self.problem}; look at the network's weights and precision"
        )


def _first(bad: Tensor) -> int:
    return int(bad.flatten(1).any(1).nonzero()[0])
