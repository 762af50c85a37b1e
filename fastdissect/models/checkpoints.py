"""Checkpoints: a file's weights in a network, every entry of the one an entry of the other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastdissect.errors import ModelError
from fastdissect.models.checkpoint_files import (
    ENDINGS,
    Checkpoint,
    named,
    read_checkpoint,
    reason,
    renamed,
    without_wrappers,
)
from fastdissect.models.layers import unwrap

__all__ = ["ENDINGS", "Checkpoint", "load_checkpoint", "read_checkpoint"]

log = logging.getLogger("fastdissect")


def load_checkpoint(module: nn.Module, path: str | Path) -> Checkpoint:
    """Load a checkpoint's weights into a network: every entry of the one is an entry of the other.

    Weights are cast to the network's own types; a warning says where that rounds.

    Raises:
        ModelError: as `read_checkpoint`, or entries are missing, unexpected or of another shape; the network then
            may hold some of the weights.
    """
    found, module = read_checkpoint(path), unwrap(module)
    own = module.state_dict()
    here = {without_wrappers(name): name for name in own}  # a part of the network may be compiled
    state = renamed(found.state, {name: here.get(name, name) for name in found.state}, found.path)
    _check_types(found.path, state, own)
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes
        raise ModelError(
            f"{found.path}: expected weights of this network's shapes; got: {reason(error)}"
        ) from error
    if missing or unexpected:
        raise ModelError(
            f"{found.path}: expected the {len(own)} entries of this network ({type(module).__name__}); got "
            f"{named('missing', missing)}; {named('unexpected', unexpected)}; build the network that was trained, or "
            "save its state dict alone"
        )
    return found


def _check_types(path: Path, state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    rounded = []
    for name, value in state.items():
        target = own.get(name)
        if not isinstance(value, Tensor) or not isinstance(target, Tensor) or value.dtype == target.dtype:
            continue
        if value.is_quantized or not torch.can_cast(value.dtype, target.dtype):
            raise ModelError(f"{path}: {name}: expected {target.dtype}; got {value.dtype}")
        if torch.promote_types(value.dtype, target.dtype) != target.dtype:
            rounded.append(name)
    if rounded:
        log.warning("%s: %s, to the network's own type", path, named("rounded", rounded))
