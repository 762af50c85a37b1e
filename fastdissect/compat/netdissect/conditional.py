"""Conditional: a running statistic for each of many conditions, and their states in one file."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, KeysView
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch

from fastdissect.compat.running.fields import prefixed
from fastdissect.compat.running.state_files import read_state
from fastdissect.errors import SettingError

__all__ = ["Conditional", "Statistic"]


class Statistic(Protocol):
    """What the classes of netdissect.runningstats have in common."""

    def to_(self, device: torch.device | str) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def set_state_dict(self, dic: Any) -> None: ...


S = TypeVar("S", bound=Statistic)


class Conditional(Generic[S]):
    """From condition (a number or a string) to statistic.

    Args:
        state: a file or dictionary that this class or the peer's wrote.
    """

    statistic: ClassVar[Callable[[], Statistic]]

    def __init__(self, state: Any = None) -> None:
        self.conditionals: dict[Hashable, S] = {}
        if state is not None:
            self.set_state_dict(state)

    def of(self, condition: Hashable, begin: Callable[[], S]) -> S:
        """The statistic of a condition, begun if it is new."""
        if condition not in self.conditionals:
            self.conditionals[condition] = begin()
        return self.conditionals[condition]

    def keys(self) -> KeysView[Hashable]:
        """The conditions."""
        return self.conditionals.keys()

    def conditional(self, c: Hashable) -> S:
        """The statistic of a condition; KeyError if it was never added."""
        return self.conditionals[c]

    def has_conditional(self, c: Hashable) -> bool:
        """True if the condition was added."""
        return c in self.conditionals

    def to_(self, device: torch.device | str, conditions: Iterable[Hashable] | None = None) -> None:
        """Move all, or those of some conditions, to a device."""
        for condition in list(self.conditionals) if conditions is None else conditions:
            if condition in self.conditionals:
                self.conditionals[condition].to_(device)

    def state_dict(self) -> dict[str, Any]:
        """The conditions in order, and each one's fields behind its number and a dot.

        Raises:
            SettingError: conditions that cannot be put in an order or an array, such as tuples.
        """
        try:
            conditions = sorted(self.conditionals)  # type: ignore[type-var]
        except TypeError as error:
            raise SettingError(
                f"expected conditions of one kind, numbers or strings, to save; {error}"
            ) from error
        if any(not isinstance(c, (int, float, str, np.generic)) for c in conditions):
            raise SettingError(
                f"expected conditions to be numbers or strings, to save them; got {conditions[0]!r}"
            )
        name = type(self).__name__
        state: dict[str, Any] = {"constructor": f"netdissect.runningstats.{name}()", "conditions": conditions}
        for i, condition in enumerate(conditions):
            state |= prefixed(str(i), self.conditionals[condition].state_dict())
        return state

    def set_state_dict(self, dic: Any) -> None:
        """Go on from a state: a path, an open `.npz`, or a dictionary."""
        state = read_state(dic, cls_name=type(self).__name__)
        conditions = np.asarray(state.need("conditions", "the list of conditions"))
        listed = conditions.tolist()
        if conditions.ndim != 1 or not all(_is_condition(c) for c in listed):
            found = f"{conditions.dtype} of shape {conditions.shape}"
            raise state.refuse("conditions", "the list of conditions, numbers or strings", found)
        parts = sum(key.endswith(".constructor") and key[:-12].isdigit() for key in state)
        if len(set(listed)) != len(listed) or parts > len(listed):
            expected = f"{max(parts, len(listed))} conditions, each once, as there are parts"
            raise state.refuse("conditions", expected, f"{len(set(listed))}")
        self.conditionals = {}
        for i, condition in enumerate(conditions.tolist()):
            statistic: Any = type(self).statistic()
            statistic.set_state_dict(state.part(str(i)))
            self.conditionals[condition] = statistic


def _is_condition(found: object) -> bool:
    return isinstance(found, (int, str)) or (isinstance(found, float) and not math.isnan(found))
