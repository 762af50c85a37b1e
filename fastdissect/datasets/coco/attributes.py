"""PACO's list of attributes: colours, patterns and markings, materials, transparency."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from fastdissect.errors import DataError

__all__ = ["Attribute", "read_attributes"]

_WORDS = {"pattern_marking": "texture"}  # the set's word for a type -> the category's name, as in Broden


class Attribute(NamedTuple):
    """One attribute."""

    id: int
    name: str
    category: str  # color, texture, material, transparency


def read_attributes(parts: dict[str, Any], path: Path) -> list[Attribute]:
    """Read `attributes` and `attr_type_to_attr_idxs`; in the order of the types, then of the ids.

    Raises:
        DataError: one of them is missing or has another form, or an attribute has not exactly one type.
    """
    listed, types = parts.get("attributes"), parts.get("attr_type_to_attr_idxs")
    if not isinstance(listed, list) or not isinstance(types, dict):
        raise DataError(
            f"{path}: expected PACO's attributes and attr_type_to_attr_idxs; write attributes=none for a file "
            "without them."
        )
    names: dict[int, str] = {}
    for entry in listed:
        fields = entry if isinstance(entry, dict) else {}
        id, name = fields.get("id"), fields.get("name")
        if (
            type(id) is not int
            or not 0 <= id < 10_000
            or id in names
            or not isinstance(name, str)
            or not name
        ):
            raise DataError(
                f"{path}: the attribute {entry!r:.60} needs a name and an id from 0 that comes once."
            )
        names[id] = name
    found: list[Attribute] = []
    for kind, ids in types.items():
        if not isinstance(ids, list) or not all(type(id) is int and id in names for id in ids):
            raise DataError(
                f"{path}: attr_type_to_attr_idxs[{kind!r}] is {ids!r:.60}; expected ids of attributes."
            )
        found += [Attribute(id, names[id], _WORDS.get(kind, str(kind))) for id in sorted(ids)]
    if sorted(attribute.id for attribute in found) != sorted(names):
        raise DataError(
            f"{path}: attr_type_to_attr_idxs does not list every attribute once. Restore the file."
        )
    return found
