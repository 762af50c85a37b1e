"""Nearest neighbours by cosine, and what categories they are of.

Source: Fong and Vedaldi, "Net2Vec", CVPR 2018, section 5, and the released rebuttal notebook (METHODS 3.7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.vectors.embedding import Embedding
from fastdissect.methods.vectors.learned import embedding_of

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.vectors.learned import Vectors

__all__ = ["category_mix", "neighbours", "neighbours_table", "ranked"]


def ranked(
    embedding: Embedding, scores: NDArray[np.float64], k: int, left_out: NDArray[np.bool_], unlearned: bool
) -> NDArray[np.int64]:
    """Return the rows of the k highest scores, descending; ties: the concept listed first."""
    if k < 1:
        raise SettingError(f"expected a number of neighbours of at least 1; got {k!r}")
    allowed = ~left_out if unlearned else ~left_out & embedding.learned
    order = np.argsort(-scores, kind="stable")
    return order[allowed[order]][:k].astype(np.int64)


def neighbours(found: Vectors, concept: str | int, k: int = 5, *, unlearned: bool = False) -> pd.DataFrame:
    """Return a concept's nearest neighbours by cosine, itself left out.

    Args:
        found: `ConceptVectors` or an `Embedding`. concept: a name or a data set's number.
        unlearned: count concepts whose score on val is 0, too: their vectors mean nothing.

    Returns:
        pd.DataFrame: rank (from 1), concept, category, cosine, learned; fewer rows where there are fewer concepts.

    Raises:
        SettingError: no such concept (the nearest names are listed), or k below 1.

    Example:
        >>> neighbours(vectors, "sky", 3)            # doctest: +SKIP
    """
    import pandas as pd

    embedding = embedding_of(found)
    row = embedding.find(concept)
    cosine = embedding.cosines_to(embedding.vectors[row])
    rows = ranked(embedding, cosine, k, np.arange(len(embedding)) == row, unlearned)
    table = {
        "rank": np.arange(1, len(rows) + 1),
        "concept": np.array(embedding.names, dtype=object)[rows],
        "category": embedding.category_names[rows],
        "cosine": cosine[rows],
        "learned": embedding.learned[rows],
    }
    return pd.DataFrame(table).astype({"concept": "str", "category": "str"})


def neighbours_table(found: Vectors, k: int = 5, *, unlearned: bool = False) -> pd.DataFrame:
    """Return the nearest neighbours of all concepts, a row each.

    Returns:
        pd.DataFrame: concept, number, category, rank, neighbour, neighbour_category, cosine. Concepts that are not learned
        have no rows, unless `unlearned`.
    """
    import pandas as pd

    embedding = embedding_of(found)
    names, category = np.array([*embedding.names, ""], dtype=object)[:-1], embedding.category_names
    near = _pairs(embedding, k, unlearned)
    table = {
        "concept": names[near.concept],
        "number": embedding.numbers[near.concept],
        "category": category[near.concept],
        "rank": near.rank,
        "neighbour": names[near.neighbour],
        "neighbour_category": category[near.neighbour],
        "cosine": near.cosine,
    }
    text = ("concept", "category", "neighbour", "neighbour_category")
    return pd.DataFrame(table).astype(dict.fromkeys(text, "str"))


def category_mix(found: Vectors, k: int = 5, *, unlearned: bool = False) -> pd.DataFrame:
    """Return of what categories the k nearest neighbours of a category's concepts are.

    Returns:
        pd.DataFrame: a row a category that has concepts with neighbours: category, concepts (how many), then for each
        category of the data set "<category>-share", the share of the neighbours that are of it; the shares of a row
        add up to 1. The last row, category "", has the shares of the concepts themselves: what neighbours at
        random would give.

    Source: METHODS 3.7 (rebuttal notebook: 5 neighbours). The last row is ours.
    """
    import pandas as pd

    embedding = embedding_of(found)
    near = _pairs(embedding, k, unlearned)
    own, of = embedding.category[near.concept], embedding.category[near.neighbour]
    rows: list[dict[str, Any]] = []
    for q, name in enumerate(embedding.categories):
        if (own == q).any():
            count = len(np.unique(near.concept[own == q]))
            rows.append({"category": name, "concepts": count} | _shares(of[own == q], embedding.categories))
    if rows:
        every = np.unique(near.concept)
        shares = _shares(embedding.category[every], embedding.categories)
        rows.append({"category": "", "concepts": len(every)} | shares)
    columns = ["category", "concepts", *(f"{name}-share" for name in embedding.categories)]
    return pd.DataFrame(rows, columns=columns)


def _shares(category: NDArray[np.int64], categories: tuple[str, ...]) -> dict[str, float]:
    counts = np.bincount(category, minlength=len(categories))
    return {f"{name}-share": float(n) / len(category) for name, n in zip(categories, counts, strict=True)}


class _Pairs(NamedTuple):
    """Concepts beside their neighbours: in the concepts' order, then by rank; all [pairs]."""

    concept: NDArray[np.int64]
    neighbour: NDArray[np.int64]
    rank: NDArray[np.int64]
    cosine: NDArray[np.float64]


def _pairs(embedding: Embedding, k: int, unlearned: bool) -> _Pairs:
    own, near, cosines = [], [np.zeros(0, np.int64)], [np.zeros(0)]
    places = np.arange(len(embedding))
    for row in embedding.rows(unlearned):
        cosine = embedding.cosines_to(embedding.vectors[row])
        near.append(ranked(embedding, cosine, k, places == row, unlearned))
        own.append(np.full(len(near[-1]), row))
        cosines.append(cosine[near[-1]])
    rank = [np.arange(1, len(rows) + 1) for rows in near]
    whose = np.concatenate([np.zeros(0, np.int64), *own])
    return _Pairs(whose, np.concatenate(near), np.concatenate(rank), np.concatenate(cosines))
