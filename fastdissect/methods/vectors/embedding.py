"""Concepts as unit vectors over a layer's units: what all that follows is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdissect.errors import SettingError, nearest

__all__ = ["Embedding", "make_embedding"]


@dataclass(frozen=True, eq=False)
class Embedding:
    """Concept vectors of length 1, and which of them mean something.

    Cosines are products of rows; a row of zeros (a concept without any vector) has the cosine 0 with all others.
    """

    numbers: NDArray[np.int64]  # [concepts], the data set's label numbers
    names: tuple[str, ...]  # [concepts]
    category: NDArray[np.int64]  # [concepts], index in `categories`
    categories: tuple[str, ...]
    vectors: NDArray[np.float64]  # [concepts, units], each of length 1 or 0
    learned: NDArray[np.bool_]  # [concepts]; False: the vector says nothing, it is nobody's neighbour
    skipped: tuple[tuple[str, str], ...] = ()  # concepts without a vector, and why

    def __len__(self) -> int:
        return len(self.names)

    @property
    def category_names(self) -> NDArray[np.object_]:
        """object [concepts]: each concept's category, in words."""
        return np.array([*self.categories, ""], dtype=object)[self.category]

    def rows(self, unlearned: bool = False) -> NDArray[np.int64]:
        """int64: the concepts that count: those that are learned, or all."""
        return np.arange(len(self)) if unlearned else np.flatnonzero(self.learned)

    def cosines(self) -> NDArray[np.float64]:
        """Return float64 [concepts, concepts]: the cosine of each two vectors."""
        return np.asarray(np.clip(self.vectors @ self.vectors.T, -1, 1))

    def cosines_to(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return float64 [concepts]: products with one vector, added up alike in every row: equal rows tie."""
        return np.asarray(np.clip(np.einsum("ck,k->c", self.vectors, vector), -1, 1))

    def find(self, concept: Any) -> int:
        """Return a concept's row, from its name or the data set's number.

        Raises:
            SettingError: no such concept; the message lists the nearest names. A name that several have.
        """
        if isinstance(concept, str):
            rows = [row for row, name in enumerate(self.names) if name == concept]
            if len(rows) > 1:
                numbers = ", ".join(str(self.numbers[row]) for row in rows)
                raise SettingError(
                    f"expected one concept; {len(rows)} are called {concept!r}: give one of the numbers {numbers}"
                )
            if rows:
                return rows[0]
            if not (concept.isascii() and concept.isdecimal() and len(concept) < 10):
                for name, reason in self.skipped:
                    if name == concept:
                        raise SettingError(
                            f"expected a concept that has a vector; {concept!r} was left out: {reason}"
                        )
                raise SettingError(
                    f"unknown concept {concept!r}: it is not among the {len(self):,} that have a vector"
                    f"{nearest(concept, self.names)}"
                )
            concept = int(concept)
        if isinstance(concept, bool) or not isinstance(concept, (int, np.integer)):
            raise SettingError(f"expected a concept's name or number; got {type(concept).__name__}")
        found = np.flatnonzero(self.numbers == concept)
        if not len(found):
            raise SettingError(f"expected the number of a concept that has a vector; got {concept}")
        return int(found[0])


def make_embedding(
    weights: ArrayLike,
    names: Sequence[str],
    *,
    category: ArrayLike | None = None,
    categories: Sequence[str] = (),
    numbers: ArrayLike | None = None,
    learned: ArrayLike | None = None,
    skipped: Sequence[tuple[str, str]] = (),
) -> Embedding:
    """Take any vectors for concepts: a word embedding, a taxonomy's, another program's.

    Args:
        weights: float [concepts, dimensions], finite. names: [concepts].
        category: int [concepts], indices in `categories`; default: none.
        numbers: int [concepts], default: 1, 2, ... learned: bool [concepts], default: all that are not zero.
        skipped: (name, reason) of concepts that have no vector.

    Raises:
        SettingError: sizes that do not fit, or values that are not finite.

    >>> make_embedding([[3, 4], [0, 0]], ["sky", "sea"]).vectors.tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    w = np.asarray(weights, np.float64)
    count = len(names)
    if w.ndim != 2 or len(w) != count:
        raise SettingError(f"expected vectors of shape [{count}, dimensions], one a name; got {w.shape}")
    if not np.isfinite(w).all():
        raise SettingError("expected finite vectors; got NaN or infinity")
    top = np.abs(w).max(1, initial=0, keepdims=True)  # first by the largest: no square over- or underflows
    w = np.divide(w, top, out=np.zeros_like(w), where=top > 0)
    length = np.linalg.norm(w, axis=1, keepdims=True)
    lists = {
        "category": np.full(count, -1) if category is None else np.asarray(category),
        "numbers": np.arange(1, count + 1) if numbers is None else np.asarray(numbers),
        "learned": np.ones(count, np.bool_) if learned is None else np.asarray(learned, np.bool_),
    }
    for what, values in lists.items():
        if values.shape != (count,):
            raise SettingError(f"expected {what} of shape [{count}], one a name; got {list(values.shape)}")
    if categories and not ((lists["category"] >= 0) & (lists["category"] < len(categories))).all():
        raise SettingError(f"expected a category from 0 to {len(categories) - 1} for every concept")
    return Embedding(
        numbers=lists["numbers"].astype(np.int64),
        names=tuple(names),
        category=lists["category"].astype(np.int64),
        categories=tuple(categories),
        vectors=np.divide(w, length, out=np.zeros_like(w), where=length > 0),
        learned=lists["learned"] & (length[:, 0] > 0),
        skipped=tuple(skipped),
    )
