"""Placing: the network and its input on the device of the forward pass."""

from __future__ import annotations

import torch
from torch import nn

from fastdissect.errors import SettingError
from fastdissect.models.parallelism import is_sharded

__all__ = ["placed", "sent"]


def sent(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A batch on the network's device. To a GPU by way of pinned memory: from any other the host would wait until all
    that is queued there was done."""
    if device.type == "cuda" and images.device.type == "cpu":
        return images.pin_memory().to(device, non_blocking=True)
    return images.to(device)


def placed(module: nn.Module, device: torch.device) -> tuple[nn.Module, torch.device]:
    """The module on the device, and where its input goes. A module that is spread over several devices stays so:
    each layer is sifted where its output lies. So does one that is spread over processes.

    Raises:
        SettingError: it is spread over devices of another type.
    """
    if is_sharded(module):
        return module, next((p.device for p in module.parameters() if p.device.type == device.type), device)
    places = list(dict.fromkeys(p.device for p in module.parameters() if p.device.type != "meta"))
    if any(hasattr(part, "_hf_hook") for part in module.modules()):  # accelerate sends its input on
        return module, next((p for p in places if p.type == device.type), device)
    if len(places) < 2:
        return module.to(device), device
    if device.type not in {place.type for place in places}:
        raise SettingError(
            f"expected a network on {device.type!r}, or all on one device; it is spread over "
            f"{', '.join(map(str, places))}; give the type of these, or move it there with .to({str(device)!r})"
        )
    return module, places[0]
