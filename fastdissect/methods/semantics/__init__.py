"""Semantic vectors: concepts as directions of a layer's feature space, and what they say of the network and of single
decisions.

Our formulation throughout, after the abstract of Gu and Tresp 2019, "Semantics for Global and Local Interpretation of
Deep Neural Networks": concepts are associated with vectors in feature space, found by an optimisation, and used to
interpret the network globally and its decisions locally. The objective, settings and figures of the paper were not to be
had; none here is theirs.
"""

from __future__ import annotations

from fastdissect.methods.semantics.asking import check_asked
from fastdissect.methods.semantics.class_weights import ClassWeights, class_weights
from fastdissect.methods.semantics.decisions import ConceptExplanation
from fastdissect.methods.semantics.evaluation import Evaluation, evaluate_vectors
from fastdissect.methods.semantics.explaining import explain_by_concepts, vocabulary_of
from fastdissect.methods.semantics.global_view import (
    ConceptOrder,
    concept_classes,
    concept_filters,
    concept_order,
    strongest,
)
from fastdissect.methods.semantics.groups import Group, groups_of
from fastdissect.methods.semantics.overview import GlobalView, global_view
from fastdissect.methods.semantics.settings import settings_of
from fastdissect.methods.semantics.solving import Samples, Solution, solve
from fastdissect.methods.semantics.space import FeatureSpace, SemanticVectors, kept_vectors
from fastdissect.methods.semantics.sparse_weights import SparseWeights, sparse_weights
from fastdissect.methods.semantics.stability import STABLE
from fastdissect.methods.semantics.vectors import semantic_vectors
from fastdissect.methods.semantics.views import ConceptView, Evidence, split_score

__all__ = [
    "STABLE",
    "ClassWeights",
    "ConceptExplanation",
    "ConceptOrder",
    "ConceptView",
    "Evaluation",
    "Evidence",
    "FeatureSpace",
    "GlobalView",
    "Group",
    "Samples",
    "SemanticVectors",
    "Solution",
    "SparseWeights",
    "check_asked",
    "class_weights",
    "concept_classes",
    "concept_filters",
    "concept_order",
    "evaluate_vectors",
    "explain_by_concepts",
    "global_view",
    "groups_of",
    "kept_vectors",
    "semantic_vectors",
    "settings_of",
    "solve",
    "sparse_weights",
    "split_score",
    "strongest",
    "vocabulary_of",
]
