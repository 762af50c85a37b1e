"""Real vision networks with random weights, tiny, built from their configurations; nothing is downloaded."""

from __future__ import annotations

import importlib
import importlib.util
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

_OPERATORS: list[torch.library.Library] = []  # they last as long as this list


def library(name: str) -> Any:
    """An optional library, or a skip that says why.

    Beside a CPU build of torch, torchvision may have been built for another and lack its operators; transformers and
    timm need none of them, only their names.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            pytest.skip(f"{name} is not installed: {error}")
        except RuntimeError as error:
            if "torchvision::nms" not in str(error):
                raise
    return importlib.import_module(name)


def _name_operators() -> None:
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("torchvision")
    except RuntimeError:
        own = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            own.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _OPERATORS.append(own)


_VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
_MLP = {**_VIT, "intermediate_size": 24}
_SWIN = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 8,
    "depths": [2, 2],
    "num_heads": [2, 2],
    "window_size": 4,
}
_SEGFORMER = {
    "num_encoder_blocks": 3,
    "hidden_sizes": [8, 16, 24],
    "depths": [1, 1, 1],
    "num_attention_heads": [1, 2, 2],
    "sr_ratios": [4, 2, 1],
    "patch_sizes": [7, 3, 3],
    "strides": [4, 2, 2],
    "mlp_ratios": [2, 2, 2],
    "decoder_hidden_size": 16,
}
# name: class, configuration, tokens before the grid
TRANSFORMERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "vit": ("ViTModel", _MLP, 1),
    "deit": ("DeiTModel", _MLP, 2),
    "dinov2": ("Dinov2Model", _VIT, 1),
    "dinov2 with registers": ("Dinov2WithRegistersModel", {**_VIT, "num_register_tokens": 3}, 4),
    "clip": ("CLIPVisionModel", _MLP, 1),
    "siglip": ("SiglipVisionModel", _MLP, 0),
    "beit": ("BeitModel", {**_MLP, "use_relative_position_bias": True}, 1),
    "swin": ("SwinModel", _SWIN, 0),
    "convnext": (
        "ConvNextModel",
        {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "patch_size": 4},
        0,
    ),
    "segformer": ("SegformerForSemanticSegmentation", _SEGFORMER, 0),
    "resnet": (
        "ResNetModel",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
        0,
    ),
}
_CONFIGS = {"SegformerForSemanticSegmentation": "SegformerConfig"}
TIMM: dict[str, tuple[str, dict[str, Any], int]] = {
    "vit with registers": (
        "vit_tiny_patch16_224",
        {"embed_dim": 16, "depth": 2, "num_heads": 2, "reg_tokens": 4, "patch_size": 8},
        5,
    ),
    "deit": (
        "deit_tiny_distilled_patch16_224",
        {"embed_dim": 16, "depth": 2, "num_heads": 2, "patch_size": 8},
        2,
    ),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"window_size": 4, "embed_dim": 20, "depths": (2, 2), "num_heads": (2, 2), "patch_size": 2},
        0,
    ),
    "convnext": ("convnext_tiny", {"depths": (1, 1, 1, 1), "dims": (8, 16, 16, 24)}, 0),
}
_MIXES_PLACES = re.compile(r"\.(o_proj|out_proj|output\.dense)$|attn\.proj$")


def built(name: str, **more: Any) -> nn.Module:
    """A network of TRANSFORMERS in eval mode, weights drawn with a fixed seed."""
    _name_operators()
    transformers = library("transformers")
    kind, settings, _ = TRANSFORMERS[name]
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        config = getattr(transformers, _CONFIGS.get(kind, kind.removesuffix("Model") + "Config"))
        module: nn.Module = getattr(transformers, kind)(config(**{**settings, **more}))
    return _lively(module)


def built_timm(name: str, size: tuple[int, int]) -> nn.Module:
    _name_operators()
    timm = library("timm")
    kind, settings, _ = TIMM[name]
    sized = {} if name == "convnext" else {"img_size": size}
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        module: nn.Module = timm.create_model(kind, pretrained=False, **settings, **sized)
    return _lively(module)


def _lively(module: nn.Module) -> nn.Module:
    """Small weights would hide a change behind rounding: draw them larger."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
            elif parameter.ndim == 1 and parameter.abs().max() < 1e-3:
                parameter.fill_(0.1)  # layer scales that begin near 0
    return module.eval()


def without_attention(module: nn.Module) -> nn.Module:
    """Let no token see another: what attention adds to the residual stream is 0, so that each layer stays local."""
    found = [layer for name, layer in module.named_modules() if _MIXES_PLACES.search(name)]
    with torch.no_grad():
        for layer in found:
            for parameter in layer.parameters():
                parameter.zero_()
    return module


def without_spread(module: nn.Module) -> nn.Module:
    """Let convolutions that overlap see the middle of their window alone."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d) and layer.kernel_size > layer.stride:
                middle = layer.weight[:, :, layer.kernel_size[0] // 2, layer.kernel_size[1] // 2].clone()
                layer.weight.zero_()
                layer.weight[:, :, layer.kernel_size[0] // 2, layer.kernel_size[1] // 2] = middle
    return module


def images_with_patch(size: tuple[int, int], box: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """Two images of noise [2, 3, h, w], and the same with the first one bright in a box (top, left, height, width)."""
    plain = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(5))
    bright = plain.clone()
    top, left, height, width = box
    bright[0, :, top : top + height, left : left + width] += 2
    return plain, bright


def outputs(module: nn.Module, images: Tensor, pick: Callable[[Any, str], Tensor]) -> dict[str, Tensor]:
    """{layer: what it gave at its first call}."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _arguments: Any, output: Any) -> None:
            if name not in found:
                found[name] = pick(output, name).clone()

        return hook

    handles = [layer.register_forward_hook(keep(name)) for name, layer in module.named_modules() if name]
    with torch.no_grad():
        module(images)
    for handle in handles:
        handle.remove()
    return found
