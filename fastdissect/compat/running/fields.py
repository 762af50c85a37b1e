"""Fields: what is read from a state, each checked, each error naming file and field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastdissect.compat.running.state_files import State, read_state

__all__ = ["Fields", "prefixed"]


_MOST = (1 << 63) - 1  # what torch's integers hold


def prefixed(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """`count` becomes `PREFIX.count`: how the peers put several states into one file."""
    return {f"{prefix}.{name}": value for name, value in state.items()}


class Fields:
    """The fields of one state, from a file, an open `.npz`, or a dictionary.

    Args:
        source: where from.
        cls_name: (one of) the classes whose state is expected.

    Raises:
        OutputError: missing, damaged, or of another class.
    """

    def __init__(self, source: Any, cls_name: str | tuple[str, ...]) -> None:
        self.state: State = read_state(source, cls_name=cls_name)

    def has(self, name: str) -> bool:
        """True if the field is there and not null."""
        return self.state.get(name) is not None

    def integer(self, name: str, at_least: int = 0) -> int:
        """A whole number."""
        expected = f"a whole number of at least {at_least}"
        value = np.asarray(self.state.need(name, expected))
        if value.shape != () or value.dtype.kind not in "iu" or not at_least <= int(value) <= _MOST:
            raise self.state.refuse(name, expected, _described(value))
        return int(value)

    def flag(self, name: str, default: bool) -> bool:
        """True or False; `default` where the field is absent."""
        value = np.asarray(self.state.get(name, default))
        if value.shape != () or value.dtype.kind not in "biu" or int(value) not in (0, 1):
            raise self.state.refuse(name, "True or False", _described(value))
        return bool(value)

    def tensor(self, name: str, dims: int, kinds: str = "fiu") -> Tensor:
        """A copy of an array of numbers, with this many dimensions; `kinds` are numpy's letters.

        Unsigned numbers wider than a byte, which torch hardly knows, come as int64.
        """
        words = {"f": "floating", "i": "integer", "u": "unsigned", "b": "bool"}
        expected = f"an array of {dims} dimensions, {' or '.join(words[kind] for kind in kinds)}"
        value = np.asarray(self.state.need(name, expected))
        if value.ndim != dims or value.dtype.kind not in kinds:
            raise self.state.refuse(name, expected, _described(value))
        if value.dtype.kind == "u" and value.itemsize > 1:
            if value.max(initial=0) > _MOST:
                raise self.state.refuse(name, f"numbers up to {_MOST}", int(value.max()))
            value = value.astype(np.int64)
        if value.dtype.kind == "f" and value.itemsize > 8:
            raise self.state.refuse(name, "float16, float32 or float64", value.dtype)
        return torch.from_numpy(value.astype(value.dtype.newbyteorder("="), order="C"))

    def shape(self, name: str) -> tuple[int, ...]:
        """A tuple of whole numbers; numpy keeps an empty one as floats."""
        value = np.asarray(self.state.need(name, "a shape"))
        if value.ndim != 1 or (value.size and (value.dtype.kind not in "iu" or value.min() < 0)):
            raise self.state.refuse(name, "a shape", _described(value))
        return tuple(int(size) for size in value)

    def sized(self, name: str, found: Tensor, shape: tuple[int, ...]) -> Tensor:
        """`found`, if it has this shape."""
        if tuple(found.shape) != shape:
            expected = f"shape {shape}, as the other fields say"
            raise self.state.refuse(name, expected, f"shape {tuple(found.shape)}")
        return found


def _described(value: Any) -> str:
    return repr(value.item()) if value.size == 1 else f"shape {value.shape}, dtype {value.dtype}"
