"""Concepts in a tree: two groups at a time are merged, the most alike first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.extras import need
from fastdissect.methods.vectors.learned import embedding_of

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.vectors.learned import Vectors

__all__ = ["Tree", "concept_tree"]


@dataclass(frozen=True, eq=False)
class Tree:
    """Concepts, merged two groups at a time."""

    concepts: tuple[str, ...]
    category: tuple[str, ...]
    merges: NDArray[np.float64]  # [concepts - 1, 4], as scipy.cluster.hierarchy.linkage gives them

    def order(self) -> list[int]:
        """Return the concepts' rows as the tree's leaves stand, left to right."""
        return [int(row) for row in need("scipy.cluster.hierarchy").leaves_list(self.merges)]

    def clusters(self, cosine: float = 0.5) -> pd.DataFrame:
        """Return groups whose mean cosine between any two that merge is at least `cosine`.

        Returns:
            pd.DataFrame: concept, category, cluster (from 1, in the order of the leaves).
        """
        import pandas as pd

        if not -1 <= cosine <= 1:
            raise SettingError(f"expected a cosine from -1 to 1; got {cosine}")
        flat = need("scipy.cluster.hierarchy").fcluster(self.merges, 1 - cosine, criterion="distance")
        leaves = self.order()
        number = {old: new for new, old in enumerate(dict.fromkeys(flat[leaves].tolist()), start=1)}
        table = {
            "concept": [self.concepts[row] for row in leaves],
            "category": [self.category[row] for row in leaves],
            "cluster": [number[int(flat[row])] for row in leaves],
        }
        return pd.DataFrame(table).astype({"concept": "str", "category": "str", "cluster": "int64"})


def concept_tree(found: Vectors, *, unlearned: bool = False) -> Tree:
    """Merge concepts by average linkage of 1 - cosine (scipy).

    Raises:
        BackendError: scipy is not installed. SettingError: fewer than two concepts.

    Source: the released rebuttal notebook clusters the vectors (METHODS 3.7); average linkage is our choice.
    """
    embedding = embedding_of(found)
    rows = embedding.rows(unlearned)
    if len(rows) < 2:
        raise SettingError(f"expected at least two concepts for a tree; got {len(rows)}")
    cosine = np.clip(embedding.vectors[rows] @ embedding.vectors[rows].T, -1, 1)
    upper = np.triu_indices(len(rows), 1)  # scipy's condensed order
    merges = need("scipy.cluster.hierarchy").linkage(
        1 - cosine[upper], method="average", optimal_ordering=True
    )
    category = embedding.category_names
    return Tree(
        tuple(embedding.names[row] for row in rows),
        tuple(str(category[row]) for row in rows),
        np.asarray(merges, np.float64),
    )
