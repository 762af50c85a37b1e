"""How labels of a vocabulary hang together: a wheel is part of a car, a poodle is a dog."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Relation"]


class Relation(NamedTuple):
    """`child` is part of, or is a, `parent`: names of labels. A parent need not be in the vocabulary itself."""

    child: str
    parent: str
    kind: Literal["part-of", "is-a"]
