"""Studies of a network's units, beyond their labels: functions that take runs or networks and return tables.

    explain(d, images)                      why did the network decide so?
    class_units(d, name)                    which units speak for a class?
    rotation.rotate(model, data, layer)     are units special directions?
    directions(d, matrix)                   any linear map of a layer as units
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastdissect.methods import rotation as rotation
    from fastdissect.methods.explanation import class_units, explain, explain_each
    from fastdissect.methods.linear import directions
    from fastdissect.methods.rotation.study import rotate

_WHERE = {
    "class_units": "explanation",
    "directions": "linear",
    "explain": "explanation",
    "explain_each": "explanation",
    "rotate": "rotation.study",
}
_MODULES = ("rotation",)

__all__ = ["class_units", "directions", "explain", "explain_each", "rotate", "rotation"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fastdissect.methods.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'fastdissect.methods' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"fastdissect.methods.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
