"""COCO's list of categories -> the vocabulary.

{"id": 18, "name": "dog", "supercategory": "animal"}        ids may have holes: COCO's go from 1 to 90 for 80 names
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, NamedTuple

from fastdissect.datasets.coco.annotations import whole_numbers
from fastdissect.datasets.relations import Relation
from fastdissect.datasets.vocabulary import MAX_LABEL
from fastdissect.errors import DataError

__all__ = ["Category", "check_known", "label_numbers", "read_categories", "super_categories"]


class Category(NamedTuple):
    """One entry of the list."""

    id: int
    name: str
    above: str  # its super-category; "" where none is stated
    entry: dict[str, Any]  # all that the set says of it


def read_categories(listed: Any, path: Path) -> list[Category]:
    """Read the list, in its order.

    Raises:
        DataError: no list, an entry without id or name, an id or a name twice, or more than 65,535.
    """
    if not isinstance(listed, list) or not listed:
        raise DataError(f"{path}: expected a list of categories that is not empty. Restore the file.")
    if len(listed) > MAX_LABEL:
        raise DataError(f"{path} lists {len(listed):,} categories; the limit is {MAX_LABEL:,}.")
    found: list[Category] = []
    names: set[str] = set()
    for number, entry in enumerate(listed):
        fields = entry if isinstance(entry, dict) else {}
        name, above = fields.get("name"), fields.get("supercategory")
        if not isinstance(name, str) or not name or "id" not in fields:
            raise DataError(f"{path}: category number {number} is {entry!r:.80}; expected an id and a name.")
        if name in names:
            raise DataError(f"{path}: the category name {name!r} comes twice. Rename one.")
        names.add(name)
        found.append(Category(fields["id"], name, above if isinstance(above, str) else "", fields))
    whole_numbers([category.id for category in found], f"{path}, categories")
    return found


def label_numbers(ids: Iterable[int]) -> dict[int, int]:
    """{id: label number}: the ids themselves where all are from 1 to 65,535, else their rank from 1.

    >>> label_numbers([90, 1]), label_numbers([7, 0])
    ({90: 90, 1: 1}, {0: 1, 7: 2})
    """
    ids = list(ids)
    if min(ids) >= 1 and max(ids) <= MAX_LABEL:
        return {id: id for id in ids}
    return {id: rank for rank, id in enumerate(sorted(ids), start=1)}


def check_known(used: AbstractSet[int], known: AbstractSet[int], path: Path) -> None:
    """See that every category id of the annotations is listed.

    Raises:
        DataError: one is not.
    """
    if not used <= known:
        raise DataError(
            f"{path}: annotations have the category_id {min(used - known)}, which is not in its list of categories. "
            "Restore the file, or remove them."
        )


def super_categories(categories: Iterable[Category]) -> tuple[Relation, ...]:
    """dog is an animal; a category that is its own super-category ("person") has none."""
    return tuple(
        Relation(category.name, category.above, "is-a")
        for category in categories
        if category.above and category.above != category.name
    )
