"""Vision transformers of `transformers`, built from their configurations with seeded random weights."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import nn

__all__ = ["base", "large"]


def base() -> nn.Module:
    """ViT-B/16 at 224 x 224: 12 blocks, MLPs of 3,072 units."""
    return _network(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)


def large() -> nn.Module:
    """ViT-L/16 at 224 x 224: 24 blocks, MLPs of 4,096 units, 98,304 together."""
    return _network(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)


def _network(**sizes: Any) -> nn.Module:
    if importlib.util.find_spec("torchvision") is not None:
        _declare_nms()
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    network: nn.Module = ViTModel(ViTConfig(image_size=224, patch_size=16, **sizes)).eval()
    return network


def _declare_nms() -> None:
    """Beside a CPU build of torch, the torchvision of PyPI fails to import for want of two operators; none is called."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        library.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        _kept.append(library)  # a library that is collected takes its operators along


_kept: list[Any] = []
