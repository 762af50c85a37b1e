"""Models from torchvision and timm, imported only when one is asked for.

Nothing is downloaded unless `download=True`: pretrained weights are taken from the library's own cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fastdissect.errors import ModelError, nearest
from fastdissect.models.code_models import call_seeded
from fastdissect.models.libraries import advising, import_library, is_weights_file, not_cached, with_weights
from fastdissect.models.preprocessing import Preprocessing

__all__ = ["load_timm", "load_torchvision"]


def load_torchvision(
    name: str, options: Mapping[str, str], seed: int, download: bool
) -> tuple[nn.Module, Preprocessing | None]:
    """Load "torchvision:NAME[?weights=none|DEFAULT|a name|a file]"; DEFAULT where nothing is said.

    Raises:
        ModelError: the library is missing or broken, the name is unknown, the weights are not in the cache.
    """
    spec = f"torchvision:{name}"
    models = import_library("torchvision", spec).models
    if name not in models.list_models():
        raise ModelError(f"{spec}: unknown model{nearest(name, models.list_models())}")
    choices = models.get_model_weights(name)
    wanted = options.get("weights", "DEFAULT" if len(choices) else "none")
    if wanted.lower() == "none" or is_weights_file(wanted):
        module = call_seeded(lambda: models.get_model(name, weights=None), seed, spec)
        return with_weights(module, wanted, spec), _from_transforms(choices.DEFAULT) if len(choices) else None
    known = ["DEFAULT", *(entry.name for entry in choices)]
    if wanted not in known:
        raise ModelError(f"{spec}: unknown weights {wanted!r}; there are {', '.join(known)}, none, or a file")
    weights = choices[wanted]
    file = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    if not download and not file.is_file():
        raise not_cached(spec, f"{weights} at {file}")
    return call_seeded(lambda: models.get_model(name, weights=weights), seed, spec), _from_transforms(weights)


def _from_transforms(weights: Any) -> Preprocessing | None:
    transforms = weights.transforms()
    crop = getattr(transforms, "crop_size", None) or getattr(transforms, "resize_size", None)
    if crop is None or not hasattr(transforms, "mean"):
        return None
    interpolation = str(getattr(transforms, "interpolation", "bilinear")).rsplit(".", 1)[-1].lower()
    return Preprocessing(
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        size=(crop[0], crop[-1]),
        interpolation="bicubic" if interpolation == "bicubic" else "bilinear",
        source=f"torchvision's transforms of {weights}",
    )


def load_timm(
    name: str, options: Mapping[str, str], seed: int, download: bool
) -> tuple[nn.Module, Preprocessing | None]:
    """Load "timm:NAME[?weights=none|DEFAULT|a file]"; preprocessing is the model's `pretrained_cfg`.

    Raises:
        ModelError: the library is missing or broken, the name is unknown, the weights are not in the cache.
    """
    spec = f"timm:{name}"
    timm = import_library("timm", spec)
    if not timm.is_model(name):
        raise ModelError(f"{spec}: unknown model{nearest(name, timm.list_models())}")
    cfg = timm.get_pretrained_cfg(name, allow_unregistered=True)
    wanted = options.get("weights", "DEFAULT" if cfg is not None and cfg.has_weights else "none")
    if wanted.lower() == "none" or is_weights_file(wanted):
        module = call_seeded(lambda: timm.create_model(name, pretrained=False), seed, spec)
        return with_weights(module, wanted, spec), None
    if wanted != "DEFAULT":
        raise ModelError(f"{spec}: unknown weights {wanted!r}; expected DEFAULT, none, or a file")
    overlay = None
    if not download:
        file = _timm_cache(cfg, spec)
        if file is None:
            raise not_cached(spec, f"{cfg.hf_hub_id or cfg.url}")
        overlay = {"file": file}
    return call_seeded(
        lambda: timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay), seed, spec
    ), None


def _timm_cache(cfg: Any, spec: str) -> str | None:
    if cfg.hf_hub_id:
        hub = import_library("huggingface_hub", spec)
        for filename in (cfg.hf_hub_filename, "model.safetensors", "pytorch_model.bin"):
            with advising("huggingface_hub", spec):
                file = hub.try_to_load_from_cache(cfg.hf_hub_id, filename) if filename else None
            if isinstance(file, str):
                return file
    if cfg.url:
        path = Path(torch.hub.get_dir()) / "checkpoints" / str(cfg.url).rsplit("/", 1)[-1]
        return str(path) if path.is_file() else None
    return None
