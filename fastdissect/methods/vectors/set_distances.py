"""How far two sets of vectors agree about what is like what, over the concepts that both have.

Source: Net2Vec's rebuttal notebook (METHODS 3.7): rows of S = W W^T, squared distance of a concept's rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.vectors.embedding import Embedding
from fastdissect.methods.vectors.learned import embedding_of

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.vectors.learned import Vectors

__all__ = ["SetDistances", "set_distances"]


@dataclass(frozen=True, eq=False)
class SetDistances:
    """Distances of concepts between two sets of vectors.

    The distance of a concept is the squared distance of its two rows of cosines with all shared concepts: 0 where it is
    as near to each of them in one set as in the other. It does not depend on the units' number, order or basis, so
    networks of different width can be compared; it grows with the number of shared concepts.
    """

    shared: tuple[str, ...]
    category: tuple[str, ...]  # [shared], the first set's
    distance: NDArray[np.float64]  # [shared]
    only_first: tuple[str, ...]  # concepts of the first set that the comparison leaves out
    only_second: tuple[str, ...]

    @property
    def total(self) -> float:
        """The sum over the shared concepts: the squared Frobenius distance of the two cosine matrices."""
        return float(self.distance.sum())

    def table(self) -> pd.DataFrame:
        """Return a row a shared concept: concept, category, distance; smallest first, ties in the first set's order."""
        import pandas as pd

        table = pd.DataFrame(
            {"concept": self.shared, "category": self.category, "distance": self.distance}
        ).astype({"concept": "str", "category": "str", "distance": "float64"})
        return table.sort_values("distance", kind="stable", ignore_index=True)

    def by_category(self) -> pd.DataFrame:
        """Return a row a category: category, concepts, mean_distance; the last, category "", is all of them."""
        import pandas as pd

        names = np.array(self.category, dtype=object)
        rows = [(q, names == q) for q in dict.fromkeys(self.category)]
        rows.append(("", np.ones(len(names), np.bool_)))
        return pd.DataFrame(
            {
                "category": [q for q, _ in rows],
                "concepts": [int(own.sum()) for _, own in rows],
                "mean_distance": [float(self.distance[own].mean()) for _, own in rows],
            }
        )


def set_distances(first: Vectors, second: Vectors, *, unlearned: bool = False) -> SetDistances:
    """Compare two sets of concept vectors over the concepts that both have.

    Args:
        first, second: `ConceptVectors` or `Embedding` of any two layers, networks, tasks, or word vectors; concepts are
            matched by name.
        unlearned: count concepts whose score on val is 0 in one of the sets.

    Raises:
        SettingError: fewer than two shared concepts, or a name that several concepts of a set have.

    Example:
        >>> set_distances(vectors, other).by_category()            # doctest: +SKIP
    """
    one, two = embedding_of(first), embedding_of(second)
    places = [_places(e, unlearned) for e in (one, two)]
    shared = [name for name in places[0] if name in places[1]]
    if len(shared) < 2:
        raise SettingError(
            f"expected at least two concepts with a vector in both sets; got {len(shared)} of {len(one):,} and "
            f"{len(two):,}: the sets must name their concepts alike"
        )
    rows = [[place[name] for name in shared] for place in places]
    cosines = []
    for embedding, own in zip((one, two), rows, strict=True):
        w = embedding.vectors[own]
        cosines.append(np.clip(w @ w.T, -1, 1))
    names = one.category_names
    return SetDistances(
        shared=tuple(shared),
        category=tuple(str(names[row]) for row in rows[0]),
        distance=np.square(cosines[0] - cosines[1]).sum(1),
        only_first=tuple(name for name in one.names if name not in set(shared)),
        only_second=tuple(name for name in two.names if name not in set(shared)),
    )


def _places(embedding: Embedding, unlearned: bool) -> dict[str, int]:
    found: dict[str, int] = {}
    for row, name in enumerate(embedding.names):
        if unlearned or embedding.learned[row]:
            if name in found:
                raise SettingError(
                    f"expected names that tell concepts apart; {name!r} stands for several in one set"
                )
            found[name] = row
    return found
