"""A network's weights as a whole, wherever they lie: sharded over processes (DTensor), or kept on the CPU or on disk
by accelerate until their module is called.

Tensors are made whole one at a time, so that a network which does not fit one device still has its digest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from fastdissect.errors import ModelError
from fastdissect.models.parallelism import dtensor_type, is_fully_sharded

__all__ = ["plain_structure", "whole_weights"]


def whole_weights(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """(name, value) of a module's state dict, sorted by name; a tensor is whole, on any device.

    Where parameters are sharded, all processes must call this together.

    Raises:
        ModelError: a tensor without content (device "meta") that nothing would load.
    """
    dtensor = dtensor_type()
    for name, value in sorted(module.state_dict().items()):
        if dtensor is not None and isinstance(value, dtensor):
            yield name, value.full_tensor()
        elif isinstance(value, Tensor) and value.device.type == "meta":
            yield name, _loaded(module, name)
        else:
            yield name, value


def _loaded(module: nn.Module, name: str) -> Tensor:
    """A copy of a tensor that accelerate keeps elsewhere."""
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    if getattr(owner, "_hf_hook", None) is not None:
        from accelerate.utils import align_module_device  # whoever put the hook there has it

        with align_module_device(owner, "cpu"):
            found = getattr(owner, leaf)
            if isinstance(found, Tensor) and found.device.type != "meta":
                return found.detach().clone()
    raise ModelError(f"{name}: expected weights, got a tensor on the device 'meta'; load them first")


def plain_structure(module: nn.Module) -> str:
    """Class and repr of a module as they were before `fully_shard`, which puts FSDP in front of classes' names."""
    kinds = {type(m) for m in module.modules() if is_fully_sharded(m)}
    plain = {kind.__name__: kind.__bases__[1] for kind in kinds}
    own = plain.get(type(module).__name__, type(module)) if is_fully_sharded(module) else type(module)
    text = repr(module)
    for name, kind in plain.items():
        text = re.sub(rf"\b{re.escape(name)}(?=\()", kind.__name__, text)
    return f"{own.__module__}.{own.__qualname__}\n{text}\n"
