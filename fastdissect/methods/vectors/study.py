"""Everything that a set of concept vectors is asked, computed once: what the page shows and the CSVs hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastdissect.methods.net2vec.filter_counts import sharing
from fastdissect.methods.vectors.arithmetic import arithmetic
from fastdissect.methods.vectors.combined import improvement, single_and_combined
from fastdissect.methods.vectors.embedding import Embedding, make_embedding
from fastdissect.methods.vectors.filters import filters_table, helped_table
from fastdissect.methods.vectors.learned import embedding_of
from fastdissect.methods.vectors.maps import MAP_LEAST, concept_map
from fastdissect.methods.vectors.nearness import category_mix, neighbours_table
from fastdissect.methods.vectors.set_distances import SetDistances, set_distances
from fastdissect.methods.vectors.sums import best_sums
from fastdissect.methods.vectors.tree import Tree, concept_tree

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.net2vec.filter_counts import FilterCounts
    from fastdissect.methods.net2vec.result import ConceptVectors

__all__ = ["VectorStudy", "study_vectors"]

NEAR, LARGEST, LEAVES = 5, 10, 120  # neighbours, filters of a concept, concepts of the tree
TAU = 0.9


@dataclass(frozen=True, eq=False)
class VectorStudy:
    """Tables of one layer's concept vectors; None where there is nothing to tell."""

    vectors: ConceptVectors
    embedding: Embedding
    filters: pd.DataFrame  # concept, number, rank, unit, weight, share, cumulative: each concept's largest
    units: pd.DataFrame  # unit, concept, category, weight, share, rank: what each unit helps to encode
    neighbours: pd.DataFrame
    mix: pd.DataFrame
    sums: pd.DataFrame
    arithmetic: tuple[tuple[str, pd.DataFrame], ...]
    scores: pd.DataFrame | None  # one filter and all of them, concept by concept
    improvement: pd.DataFrame | None  # by category
    sharing: pd.DataFrame | None
    counts: FilterCounts | None
    needed: pd.DataFrame | None  # filters that each concept needs, from `counts`
    cumulative: pd.DataFrame | None  # filters, share: of the concepts that need no more
    map: pd.DataFrame | None
    tree: Tree | None
    tree_left_out: int
    against: tuple[str, SetDistances] | None
    unlearned: bool = False  # concepts that were not learned count, too
    tau: float = TAU  # share of the score that "filters needed" must reach, of accuracy beyond F = 1

    def filters_of(self, row: int) -> pd.DataFrame:
        """The largest weights of the concept in a row of the vectors: rank, unit, weight, share, cumulative."""
        own = self.filters[self.filters["number"] == self.embedding.numbers[row]]
        return own.drop(columns=["concept", "number"]).reset_index(drop=True)

    def neighbours_of(self, row: int) -> pd.DataFrame:
        """The nearest others of the concept in a row of the vectors; empty where it is not learned."""
        own = self.neighbours[self.neighbours["number"] == self.embedding.numbers[row]]
        return own.drop(columns=["concept", "number", "category"]).reset_index(drop=True)


def study_vectors(
    vectors: ConceptVectors,
    counts: FilterCounts | None = None,
    *,
    queries: Sequence[str] = (),
    against: tuple[str, ConceptVectors] | None = None,
    near: int = NEAR,
    unlearned: bool = False,
    seed: int = 0,
) -> VectorStudy:
    """Ask a set of concept vectors all that there is to ask.

    Args:
        counts: scores with fewer filters (`retrain_top_filters`, `classification_top_filters`).
        queries: sums such as "grass + blue-c - green-c". against: (its name, another set of vectors).
        near: neighbours of a concept. unlearned: count concepts that were not learned, too. seed: of the map.

    Raises:
        SettingError: as `arithmetic` and `set_distances`. BackendError: scipy or scikit-learn is not installed.
    """
    embedding = embedding_of(vectors)
    counted = len(embedding.rows(unlearned))
    chosen = _best(vectors, embedding, unlearned)
    scores = single_and_combined(vectors, counts)
    needed = None if counts is None else counts.needed(TAU, above_first=counts.metric == "accuracy")
    return VectorStudy(
        vectors=vectors,
        embedding=embedding,
        filters=filters_table(embedding, LARGEST),
        units=helped_table(embedding, unlearned=unlearned),
        neighbours=neighbours_table(embedding, near, unlearned=unlearned),
        mix=category_mix(embedding, near, unlearned=unlearned),
        sums=best_sums(embedding, unlearned=unlearned),
        arithmetic=tuple((query, arithmetic(embedding, query, unlearned=unlearned)) for query in queries),
        scores=scores,
        improvement=None if scores is None or not _both(scores) else improvement(scores),
        sharing=_sharing(vectors),
        counts=counts,
        needed=needed,
        cumulative=None if counts is None or needed is None else _cumulative(needed, counts.filters),
        map=concept_map(embedding, seed=seed, unlearned=unlearned) if counted >= MAP_LEAST else None,
        tree=concept_tree(chosen, unlearned=unlearned) if len(chosen) > 1 else None,
        tree_left_out=counted - len(chosen),
        against=None
        if against is None
        else (against[0], set_distances(embedding, against[1], unlearned=unlearned)),
        unlearned=unlearned,
    )


def _cumulative(needed: pd.DataFrame, filters: Sequence[int]) -> pd.DataFrame:
    import pandas as pd

    known = needed["needed"].to_numpy()
    known = known[known > 0]  # 0: nothing can be said without images for validation
    share = [float((known <= size).mean()) if len(known) else np.nan for size in filters]
    return pd.DataFrame({"filters": list(filters), "share": share})


def _both(scores: pd.DataFrame) -> bool:
    return bool((scores["single"].notna() & scores["combined"].notna()).any())


def _best(vectors: ConceptVectors, embedding: Embedding, unlearned: bool) -> Embedding:
    """The concepts that count, of very many those with the best scores: a tree of more leaves cannot be read."""
    rows = embedding.rows(unlearned)
    score = next((c for c in ("iou_val", "ap_val", "accuracy_val") if c in vectors.table), None)
    if len(rows) > LEAVES and score is not None:
        values = np.nan_to_num(vectors.table[score].to_numpy(np.float64)[rows], nan=-1.0)
        rows = rows[np.sort(np.argsort(-values, kind="stable")[:LEAVES])]
    return make_embedding(
        embedding.vectors[rows],
        [embedding.names[row] for row in rows],
        category=embedding.category[rows],
        categories=embedding.categories,
        numbers=embedding.numbers[rows],
    )


def _sharing(vectors: ConceptVectors) -> pd.DataFrame | None:
    if "single_unit" not in vectors.table:
        return None
    return sharing(vectors.table["single_unit"].to_numpy(np.int64), vectors.units)
