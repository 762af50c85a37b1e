"""Labels and relations -> the nodes of a hierarchy."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fastdissect.datasets.relations import Relation
from fastdissect.errors import DataError
from fastdissect.methods.hierarchy.graph import Hierarchy
from fastdissect.methods.hierarchy.naming import check_children, one_name_each
from fastdissect.types import Concepts

__all__ = ["build_hierarchy"]


def build_hierarchy(concepts: Concepts, relations: Iterable[Relation], *, known: bool = True) -> Hierarchy:
    """Build the nodes of a vocabulary.

    Args:
        relations: names of labels; a parent may be any name. Where several labels have one name, "name#number" is
            the label of that number.
        known: a child must be a label or have one below it. False for a data set's own relations, which may tell of
            labels that were left out; such nodes unite no label.

    Raises:
        DataError: a circle of is-a relations, an unknown child, or a name that several labels have.

    Example:
        >>> two = Concepts(np.array([3, 7]), ("cat", "poodle"), np.zeros(2, np.int64), ("object",))
        >>> tree = build_hierarchy(two, [Relation("poodle", "dog", "is-a"), Relation("dog", "animal", "is-a")])
        >>> tree.path(1), tree.members[2]
        ('animal > dog > poodle', (1,))
    """
    relations, column = one_name_each(tuple(relations), concepts)
    under: dict[str, list[str]] = {name: [] for one in relations for name in (one.child, one.parent)}
    for child, parent, kind in relations:
        if kind == "is-a":
            under[parent].append(child)
    order = _children_first(under)
    own: dict[str, set[int]] = {}
    for name in order:
        own[name] = set().union(
            {column[name]} if name in column else (), *(own[child] for child in under[name])
        )
    if known:
        check_children(relations, own, concepts)
    shown, node = list(concepts.names), dict(column)
    for name in under:
        if name not in column or len(own[name]) > 1:
            node[name] = len(shown)
            shown.append(concepts.names[column[name]] if name in column else name)
    split = [(column[name], node[name]) for name in under if name in column and node[name] != column[name]]
    for leaf, _ in split:
        shown[leaf] = f"{concepts.names[leaf]} (itself)"
    is_a = [*split, *((node[r.child], node[r.parent]) for r in relations if r.kind == "is-a")]
    part_of = [(node[r.child], node[r.parent]) for r in relations if r.kind == "part-of"]
    parents, children = _links(is_a, len(shown)), _links([(p, c) for c, p in is_a], len(shown))
    members: list[tuple[int, ...]] = [(c,) for c in range(len(concepts))]
    members += [()] * (len(shown) - len(concepts))
    rising = [*(leaf for leaf, _ in split), *(node[name] for name in order)]
    below = [np.zeros(0, np.int64)] * len(shown)
    for at in rising:
        inside = [np.array(children[at], np.int64), *(below[child] for child in children[at])]
        below[at] = np.unique(np.concatenate(inside))
    for name in under:
        members[node[name]] = tuple(sorted(own[name]))
    depth, above = np.zeros(len(shown), np.int64), np.full(len(shown), -1, np.int64)
    for at in reversed(rising):  # parents first
        if parents[at]:
            above[at] = max(parents[at], key=lambda parent: depth[parent])  # the first of equals
            depth[at] = depth[above[at]] + 1
    return Hierarchy(
        concepts, relations, tuple(shown), parents, children, _links(part_of, len(shown)), tuple(below),
        tuple(members), depth, above,
    )  # fmt: skip


def _children_first(under: Mapping[str, Sequence[str]]) -> list[str]:
    try:
        return list(graphlib.TopologicalSorter(under).static_order())
    except graphlib.CycleError as error:
        circle = " is a ".join(repr(name) for name in error.args[1])
        raise DataError(
            f"expected is-a relations without a circle; got {circle}; remove one of them (of a data set's own: give all "
            "relations in a file, --relations FILE.csv, relations=)."
        ) from error


def _links(pairs: Iterable[tuple[int, int]], count: int) -> tuple[tuple[int, ...], ...]:
    """Of each node the second ones of its pairs, each once, in their order."""
    found: list[dict[int, None]] = [{} for _ in range(count)]
    for first, second in pairs:
        found[first][second] = None
    return tuple(tuple(one) for one in found)
