"""Stat: what baukit's running statistics have in common, and several of them as one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastdissect.compat.running.batches import require_tensor
from fastdissect.compat.running.fields import Fields, prefixed
from fastdissect.compat.running.state_files import read_state, write_state
from fastdissect.errors import ActivationError, SettingError

__all__ = ["CombinedStat", "Stat", "features_of", "shape_of", "shaped"]


class Stat:
    """Base of a running statistic; write your own with `add`, `to_`, `state_dict` and `load_state_dict`.

    Args:
        state: a file or dictionary of fields, to go on from.
    """

    def __init__(self, state: Any) -> None:
        self.load_state_dict(read_state(state, cls_name=None))

    def add(self, x: Any, *args: Any, **kwargs: Any) -> None:
        """Take a batch; the first dimension is the samples'."""

    def load_state_dict(self, state: Any) -> None:
        """Go on from a state: a path, an open `.npz`, or a dictionary."""

    def state_dict(self) -> dict[str, Any]:
        """The statistic as plain values and numpy arrays."""
        return {}

    def save(self, filename: str | Path) -> None:
        """Write the state to an `.npz` file, beside and renamed."""
        write_state(filename, self.state_dict())

    def load(self, filename: str | Path) -> None:
        """Read what `save` wrote, here or in baukit.

        Raises:
            OutputError: the file is missing, damaged, or another statistic's.
        """
        self.load_state_dict(read_state(filename, cls_name=None))

    def to_(self, device: torch.device | str) -> None:
        """Move the statistic to a device."""

    def cpu_(self) -> None:
        """Move the statistic to the CPU."""
        self.to_("cpu")

    def cuda_(self) -> None:
        """Move the statistic to the default CUDA device."""
        self.to_("cuda")


class CombinedStat(Stat):
    """Several statistics that see the same data and share a file; each is an attribute.

    >>> from fastdissect.compat.baukit import Mean, TopK
    >>> both = CombinedStat(mean=Mean(), top=TopK(k=1))
    >>> both.add(torch.tensor([[1.0], [3.0]]))
    >>> both.mean.mean().item(), both.top.topk()[1].item()
    (2.0, 1)
    """

    def __init__(self, state: Any = None, **kwargs: Any) -> None:
        self._objs = kwargs
        if state is not None:
            super().__init__(state)

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__.get("_objs", {})
        if name not in own:
            raise AttributeError(f"this CombinedStat has {', '.join(own) or 'no statistics'}; not {name!r}")
        return own[name]

    def add(self, x: Any, *args: Any, **kwargs: Any) -> None:
        """Let each statistic take the batch."""
        for stat in self._objs.values():
            stat.add(x, *args, **kwargs)

    def load_state_dict(self, state: Any) -> None:
        fields = read_state(state, cls_name=None)
        for name, stat in self._objs.items():
            part = fields.part(name)
            if not part:
                raise fields.refuse(f"{name}.*", f"the fields of {type(stat).__name__}", sorted(fields)[:8])
            stat.load_state_dict(part)

    def state_dict(self) -> dict[str, Any]:
        """Each one's fields behind its name and a dot."""
        fields: dict[str, Any] = {}
        for name, stat in self._objs.items():
            if "." in name:
                raise SettingError(f"expected names without a dot; got {name!r}")
            fields |= prefixed(name, stat.state_dict())
        return fields

    def to_(self, device: torch.device | str) -> None:
        for stat in self._objs.values():
            stat.to_(device)


def features_of(data: Any, shape: tuple[int, ...] | None, caller: str) -> tuple[Tensor, tuple[int, ...]]:
    """([samples, features], the shape of a sample) of [samples, ...]; a single number is one sample.

    Raises:
        ActivationError: another shape of a sample than `shape`, or no numbers.
    """
    tensor = require_tensor(data if isinstance(data, Tensor) else torch.as_tensor(data), caller)
    tensor = tensor.reshape(1) if tensor.dim() == 0 else tensor
    own = tuple(tensor.shape[1:])
    if shape is not None and own != shape:
        raise ActivationError(f"{caller}: expected samples of shape {shape} as in the first batch; got {own}")
    return tensor.reshape(len(tensor), torch.Size(own).numel()), own


def shape_of(fields: Fields, features: int) -> tuple[int, ...] | None:
    """The shape of a sample in a state, if it has one, which must have so many features."""
    if not fields.has("data_shape"):
        return None
    shape = fields.shape("data_shape")
    if math.prod(shape) != features:
        raise fields.state.refuse("data_shape", f"a shape of {features} features, as the mean has", shape)
    return shape


def shaped(values: Tensor, shape: tuple[int, ...] | None) -> Tensor:
    """[features] as a sample is shaped, [features, features] as a pair of them."""
    return values if shape is None else values.view(shape * values.dim())
