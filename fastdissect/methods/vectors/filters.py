"""A concept's filters, and a filter's concepts. Shares of a vector are our formulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.vectors.embedding import Embedding
from fastdissect.methods.vectors.learned import embedding_of

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.vectors.learned import Vectors

__all__ = ["filters_of", "filters_table", "helped_concepts", "helped_table"]


def filters_of(found: Vectors, concept: str | int, k: int | None = None) -> pd.DataFrame:
    """Return the filters of a concept, largest weight (by size) first; ties: the lower unit number.

    Args:
        found: `ConceptVectors` or an `Embedding`. k: only the first so many.

    Returns:
        pd.DataFrame: rank (from 1), unit, weight (of the unit vector), share (its square: the shares of all units add
        up to 1), cumulative.

    Raises:
        SettingError: no such concept; the nearest names are listed.
    """
    embedding = embedding_of(found)
    row = embedding.find(concept)
    return _largest(embedding, np.array([row]), k).drop(columns=["concept", "number"])


def filters_table(found: Vectors, k: int | None = None) -> pd.DataFrame:
    """Return `filters_of` of all concepts, with the columns concept and number in front."""
    embedding = embedding_of(found)
    return _largest(embedding, np.arange(len(embedding)), k)


def _largest(embedding: Embedding, rows: NDArray[np.int64], k: int | None) -> pd.DataFrame:
    import pandas as pd

    weights = embedding.vectors[rows]
    units = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, :k]
    shown = np.take_along_axis(weights, units, 1)
    share = np.square(shown)
    table = {
        "concept": np.array([*embedding.names, ""], dtype=object)[np.repeat(rows, units.shape[1])],
        "number": np.repeat(embedding.numbers[rows], units.shape[1]),
        "rank": np.tile(np.arange(1, units.shape[1] + 1), len(rows)),
        "unit": units.ravel(),
        "weight": shown.ravel(),
        "share": share.ravel(),
        "cumulative": np.cumsum(share, axis=1).ravel(),
    }
    return pd.DataFrame(table).astype({"concept": "str"})


def helped_concepts(found: Vectors, unit: int, *, among: int = 5, unlearned: bool = False) -> pd.DataFrame:
    """Return the concepts that a unit helps to encode: those in which it is one of the `among` largest weights.

    Returns:
        pd.DataFrame: concept, category, weight (of the concept's unit vector), share (its square), rank (of the unit
        among the concept's, from 1); largest share first. Empty: the unit is among nobody's.

    Raises:
        SettingError: no such unit.
    """
    embedding = embedding_of(found)
    count = embedding.vectors.shape[1]
    if not 0 <= unit < count:
        raise SettingError(f"expected a unit from 0 to {count - 1}; got {unit!r}")
    table = helped_table(embedding, among=among, unlearned=unlearned)
    return table[table["unit"] == unit].drop(columns="unit").reset_index(drop=True)


def helped_table(found: Vectors, *, among: int = 5, unlearned: bool = False) -> pd.DataFrame:
    """Return `helped_concepts` of all units, with the column unit in front; a unit that helps none has no row."""
    import pandas as pd

    embedding = embedding_of(found)
    kept = embedding.rows(unlearned)
    weights = embedding.vectors[kept]
    first = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, :among]
    rows, units = np.repeat(np.arange(len(kept)), first.shape[1]), first.ravel()
    rank = np.tile(np.arange(1, first.shape[1] + 1), len(kept))
    weight = weights[rows, units]
    order = np.lexsort((rows, -np.abs(weight), units))  # by unit, then by size, then as the concepts stand
    order = order[weight[order] != 0]
    table = {
        "unit": units[order],
        "concept": np.array([*embedding.names, ""], dtype=object)[kept[rows[order]]],
        "category": embedding.category_names[kept[rows[order]]],
        "weight": weight[order],
        "share": np.square(weight[order]),
        "rank": rank[order],
    }
    return pd.DataFrame(table).astype({"concept": "str", "category": "str"})
