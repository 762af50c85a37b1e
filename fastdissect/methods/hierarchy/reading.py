"""Relations as they are given: a CSV file or a list. A data set's own come with it (`Dataset.relations`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from fastdissect.datasets.relations import Relation
from fastdissect.datasets.tables import read_table
from fastdissect.errors import DataError

__all__ = ["check_relations", "read_relations"]

_KINDS = ("is-a", "part-of")


def read_relations(path: str | Path) -> tuple[Relation, ...]:
    """Read a CSV file with the columns child, parent and kind (is-a or part-of); without `kind` all are is-a.

    child,parent,kind
    poodle,dog,is-a
    wheel,car,part-of

    Further columns are not read. A relation that comes twice counts once.

    Raises:
        DataError: the file or a column is missing, a name is empty, a label its own parent, a kind is none, or there
            is no relation.

    Example:
        >>> read_relations("animals.csv")[0]            # doctest: +SKIP
        Relation(child='poodle', parent='dog', kind='is-a')
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path}: expected a CSV file with the columns child,parent,kind; there is no such file."
        )
    table = read_table(path, ["child", "parent"])
    child, parent = table.columns.index("child"), table.columns.index("parent")
    kind = table.columns.index("kind") if "kind" in table.columns else None
    found: dict[Relation, None] = {}
    for line, fields in table.rows():
        given = (fields[child], fields[parent], "is-a" if kind is None else fields[kind])
        found[_checked(given, f"{path}, line {line}")] = None
    if not found:
        raise DataError(f"{path} holds no relation; expected lines such as poodle,dog,is-a.")
    return tuple(found)


def check_relations(given: Iterable[Any]) -> tuple[Relation, ...]:
    """Return relations out of (child, parent, kind), or (child, parent), which is an is-a; each once.

    Raises:
        DataError: as `read_relations`.

    >>> check_relations([("poodle", "dog"), ("wheel", "car", "part-of")])[1].kind
    'part-of'
    """
    if not isinstance(given, Iterable):
        raise DataError(
            f"expected relations, (child, parent) or (child, parent, kind) each; got {given!r:.80}."
        )
    found: dict[Relation, None] = {}
    for number, one in enumerate(given):
        if isinstance(one, str) or not isinstance(one, Sequence) or len(one) not in (2, 3):
            raise DataError(
                f"relation {number}: expected (child, parent) or (child, parent, kind); got {one!r:.80}."
            )
        found[_checked((*one, "is-a")[:3], f"relation {number}")] = None
    if not found:
        raise DataError("expected at least one relation, such as ('poodle', 'dog', 'is-a'); got none.")
    return tuple(found)


def _checked(given: tuple[Any, ...], place: str) -> Relation:
    child, parent, kind = given
    if not (isinstance(child, str) and isinstance(parent, str) and child and parent and child != parent):
        raise DataError(f"{place}: expected the names of two different labels; got {child!r} and {parent!r}.")
    if kind not in _KINDS:
        raise DataError(f"{place}: kind is {kind!r}; expected part-of or is-a.")
    return Relation(child, parent, cast(Literal["part-of", "is-a"], kind))
