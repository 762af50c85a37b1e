"""Names in relations -> labels of the vocabulary."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from fastdissect.datasets.relations import Relation
from fastdissect.errors import DataError, nearest
from fastdissect.types import Concepts

__all__ = ["check_children", "one_name_each"]


def one_name_each(
    relations: Sequence[Relation], concepts: Concepts
) -> tuple[tuple[Relation, ...], dict[str, int]]:
    """Return the relations with one name for each label, and {name: the label's column}.

    A name is the label that has it. Where several have it, "name#number" is the one of that number; that is a label's
    other name where it stands alone.

    Raises:
        DataError: a name that several labels have.
    """
    often = Counter(concepts.names)
    names: dict[str, str] = {}
    columns: dict[str, int] = {}
    for name in dict.fromkeys(name for one in relations for name in (one.child, one.parent)):
        at = _column(name, often, concepts)
        names[name] = name
        if at is not None:
            own = concepts.names[at]
            names[name] = own if often[own] == 1 else f"{own}#{concepts.numbers[at]}"
            columns[names[name]] = at
    told = dict.fromkeys(Relation(names[one.child], names[one.parent], one.kind) for one in relations)
    return tuple(told), columns


def _column(name: str, often: Mapping[str, int], concepts: Concepts) -> int | None:
    if often[name] == 1:
        return concepts.names.index(name)
    if often[name] > 1:
        at = [c for c, label in enumerate(concepts.names) if label == name]
        told = ", ".join(
            f"{name}#{concepts.numbers[c]} ({concepts.categories[concepts.category[c]]})" for c in at
        )
        raise DataError(
            f"expected relations between labels that one name tells apart; {name!r} may be {told}; write which in a "
            "file of relations (--relations FILE.csv, relations=)."
        )
    match = re.fullmatch(r"(.+)#([0-9]{1,18})", name, re.DOTALL)
    at = np.flatnonzero(concepts.numbers == int(match[2])).tolist() if match else []
    return at[0] if match and at and concepts.names[at[0]] == match[1] else None


def check_children(relations: Sequence[Relation], own: Mapping[str, set[int]], concepts: Concepts) -> None:
    """See that every child is a label, or has one below it.

    Args:
        own: {name: columns of the labels at and below it}.

    Raises:
        DataError: one does not: a name that is misspelt, or of another data set.
    """
    for child, parent, kind in relations:
        if not own[child]:
            raise DataError(
                f"expected children that are labels of the run, or have labels below them; got {child!r} ({kind} "
                f"{parent!r}), which is neither{nearest(child, concepts.names)}; mend the name, or leave the relation "
                "out."
            )
