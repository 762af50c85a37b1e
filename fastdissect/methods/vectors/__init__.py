"""Concept vectors in use: what is like what, sums, distances between networks, maps.

embedding.py learned.py       any result's vectors -> unit vectors, and which of them mean something
nearness.py arithmetic.py     neighbours by cosine, their categories; "grass + blue-c - green-c"
set_distances.py              two sets of vectors over the concepts that both have
maps.py tree.py               t-SNE; average linkage
filters.py combined.py        a concept's filters, a filter's concepts; one filter against many
sums.py study.py              each concept as a sum of two others; all of it for one layer
predicted.py kept.py          where a vector sees its concept; vectors that were trained before
"""

from __future__ import annotations

from fastdissect.methods.vectors.arithmetic import Query, arithmetic, read_query
from fastdissect.methods.vectors.combined import improvement, single_and_combined
from fastdissect.methods.vectors.embedding import Embedding, make_embedding
from fastdissect.methods.vectors.filters import (
    filters_of,
    filters_table,
    helped_concepts,
    helped_table,
)
from fastdissect.methods.vectors.learned import embedding_of
from fastdissect.methods.vectors.maps import concept_map
from fastdissect.methods.vectors.nearness import category_mix, neighbours, neighbours_table
from fastdissect.methods.vectors.set_distances import SetDistances, set_distances
from fastdissect.methods.vectors.study import VectorStudy, study_vectors
from fastdissect.methods.vectors.sums import best_sums
from fastdissect.methods.vectors.tree import Tree, concept_tree

__all__ = [
    "Embedding",
    "Query",
    "SetDistances",
    "Tree",
    "VectorStudy",
    "arithmetic",
    "best_sums",
    "category_mix",
    "concept_map",
    "concept_tree",
    "embedding_of",
    "filters_of",
    "filters_table",
    "helped_concepts",
    "helped_table",
    "improvement",
    "make_embedding",
    "neighbours",
    "neighbours_table",
    "read_query",
    "set_distances",
    "single_and_combined",
    "study_vectors",
]
