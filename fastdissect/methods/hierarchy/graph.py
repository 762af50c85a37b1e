"""Labels and relations as a graph of nodes, each a union of labels.

relations       poodle is-a dog,  cat is-a animal,  dog is-a animal
labels          0 cat   1 dog   2 poodle
nodes           0 cat   1 dog (itself)   2 poodle   3 dog = 1 + 2   4 animal = 0 + 1 + 2

animal > dog > poodle
             > dog (itself)
       > cat
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.relations import Relation
from fastdissect.types import Concepts

__all__ = ["Hierarchy"]


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Nodes: first the labels in their columns' order, then what relations name beside them.

    A label that has labels below it is two nodes: the union, which has its name, and below that the label's own mask,
    "dog (itself)": what is labelled dog and nothing more specific. A name that is no label is the union of the labels
    below it; it has none where only a part or a missing label leads to it.
    """

    concepts: Concepts
    relations: tuple[Relation, ...]
    names: tuple[str, ...]  # [nodes]
    parents: tuple[tuple[int, ...], ...]  # [nodes], is-a, in the order in which they were stated
    children: tuple[tuple[int, ...], ...]  # [nodes], is-a
    wholes: tuple[tuple[int, ...], ...]  # [nodes], part-of
    below: tuple[NDArray[np.int64], ...]  # [nodes], all nodes below along is-a, rising
    members: tuple[tuple[int, ...], ...]  # [nodes], columns of the labels that the node unites, rising
    depth: NDArray[np.int64]  # [nodes], steps of the longest way up; 0: nothing is above
    above: NDArray[np.int64]  # [nodes], the parent on that way, the first stated of equals; -1: none

    def __len__(self) -> int:
        return len(self.names)

    def line(self, node: int) -> tuple[int, ...]:
        """The longest way from the top down to a node."""
        found = [node]
        while self.above[found[-1]] >= 0:
            found.append(int(self.above[found[-1]]))
        return tuple(reversed(found))

    def path(self, node: int) -> str:
        """Names of `line`, such as "animal > dog > poodle"."""
        return " > ".join(self.names[n] for n in self.line(node))

    @cached_property
    def unions(self) -> tuple[tuple[int, ...], ...]:
        """Distinct unions of two labels or more; many nodes may be one of them (a chain without branches)."""
        return tuple(dict.fromkeys(own for own in self.members if len(own) > 1))

    @cached_property
    def extent(self) -> NDArray[np.int64]:
        """int64 [nodes]: the label's column, or labels + number of the union in `unions`; -1: no label."""
        number = {own: len(self.concepts) + i for i, own in enumerate(self.unions)}
        found = [-1 if not own else own[0] if len(own) == 1 else number[own] for own in self.members]
        return np.array(found, np.int64)
