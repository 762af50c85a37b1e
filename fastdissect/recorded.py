"""What run.json says of a run's network and input, checked: a file that people can edit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastdissect.errors import OutputError
from fastdissect.models import TokenGrid
from fastdissect.results import Dissection

__all__ = ["recorded_input", "recorded_key", "recorded_layout"]


def recorded_input(d: Dissection) -> tuple[tuple[int, int], tuple[int, int], int]:
    """Input size, mask size (height, width) and batch size of a run."""
    key = recorded_key(d)
    size, mask = key["input size"], key["mask size"]
    return (int(size[0]), int(size[1])), (int(mask[0]), int(mask[1])), int(key["batch size"])


def recorded_layout(d: Dissection) -> tuple[str, TokenGrid | None]:
    """How a run read its layers' outputs: `layout` and `tokens`, as `dissect` takes them."""
    key = recorded_key(d)
    tokens = key.get("tokens")
    grid = None if tokens is None else TokenGrid(tokens[0], None if tokens[1] is None else tuple(tokens[1]))
    return str(key.get("layout", "auto")), grid


def recorded_key(d: Dissection) -> dict[str, Any]:
    key = d.run.get("key")
    needed = {"weights", "preprocessing", "input size", "mask size", "batch size", "data set"}
    if not isinstance(key, dict) or not needed <= set(key):
        raise OutputError(
            "expected a run that dissect() wrote, with the network's weights and the input's size in run.json; got "
            "none of that; dissect again"
        )
    for what, holds in _HOLDS.items():
        if what in key and not holds(key[what]):
            raise OutputError(f"run.json is damaged: its key's {what!r} is {key[what]!r:.60}; dissect again")
    return key


def _size(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_count, value))


def _count(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 1 << 31


def _preprocessing(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 3 or not isinstance(value[2], str):
        return False
    three = [isinstance(part, list | tuple) and len(part) == 3 for part in value[:2]]
    return all(three) and all(
        isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 1e30
        for part in value[:2]
        for n in part
    )


def _tokens(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return (value[0] is None or _count(value[0], 0)) and (value[1] is None or _size(value[1]))


_HOLDS: dict[str, Callable[[Any], bool]] = {
    "input size": _size,
    "mask size": _size,
    "batch size": _count,
    "preprocessing": _preprocessing,
    "tokens": _tokens,
    "forward": lambda value: value is None or isinstance(value, dict),
}
