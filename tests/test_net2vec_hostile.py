"""Arguments that make no sense, over the functions of Net2Vec and its vectors: one clear line each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from net2vec_cases import random_case

from fastdissect.errors import FastdissectError
from fastdissect.methods.net2vec import (
    ClassificationSettings,
    ConceptVectors,
    FilterCounts,
    SegmentationSettings,
    classification_top_filters,
    classification_vectors,
    retrain_top_filters,
    segmentation_vectors,
)
from fastdissect.methods.vectors import (
    arithmetic,
    concept_map,
    concept_tree,
    filters_of,
    helped_concepts,
    make_embedding,
    neighbours,
    neighbours_table,
    set_distances,
)
from fastdissect.methods.vectors.predicted import predicted_masks

SEGMENT, CLASSIFY = SegmentationSettings(epochs=2), ClassificationSettings(epochs=2)


class Made(NamedTuple):
    layer: Any
    planes: Any
    train: Any
    vectors: ConceptVectors
    classifying: ConceptVectors
    counts: FilterCounts


@pytest.fixture(scope="module")
def made() -> Made:
    layer, planes, train = random_case(1)
    layer = dataclasses.replace(layer, means=np.random.default_rng(0).random((20, 7)).astype(np.float32))
    vectors = segmentation_vectors(layer, planes, train, SEGMENT)
    counts = retrain_top_filters(vectors, layer, planes, train, filters=[1])
    return Made(layer, planes, train, vectors, classification_vectors(layer, planes, train, CLASSIFY), counts)


def refused(call: Callable[[], object]) -> None:
    with pytest.raises(FastdissectError) as caught:
        call()
    text = str(caught.value)
    assert text
    assert "\n" not in text


@pytest.mark.parametrize("device", ["", None, 5, "cpu:x", "cuda:99", "CPU", "gpu"])
def test_devices(made: Made, device: Any) -> None:
    refused(lambda: segmentation_vectors(made.layer, made.planes, made.train, SEGMENT, device=device))


@pytest.mark.parametrize(
    "train",
    [[], "x", None, 5, np.ones(20), np.ones((20, 1), bool), np.zeros(20, bool), ["a"] * 20, np.ones(0, bool)],
)
def test_splits(made: Made, train: Any) -> None:
    refused(lambda: segmentation_vectors(made.layer, made.planes, train, SEGMENT))
    refused(lambda: classification_vectors(made.layer, made.planes, train, CLASSIFY))


@pytest.mark.parametrize("planes", [None, 5, "planes"])
def test_planes(made: Made, planes: Any) -> None:
    refused(lambda: segmentation_vectors(made.layer, planes, made.train, SEGMENT))
    refused(lambda: classification_vectors(made.layer, planes, made.train, CLASSIFY))


@pytest.mark.parametrize("filters", [[0], [8], [], ["a"], [1.5], [True], [None], (9,), [-1]])
def test_numbers_of_filters(made: Made, filters: Any) -> None:
    layer, planes, train, vectors, classifying, _ = made
    refused(lambda: retrain_top_filters(vectors, layer, planes, train, filters=filters))
    refused(lambda: classification_top_filters(classifying, layer, planes, train, filters=filters))


@pytest.mark.parametrize(
    "concepts",
    [5, 1.5, "", b"concept 1", ["concept 1", None], [{}], [np.float64(3)], [-3], [10**30], ["9" * 50], [[3]]],
)
def test_concepts(made: Made, concepts: Any) -> None:
    refused(lambda: segmentation_vectors(made.layer, made.planes, made.train, SEGMENT, concepts=concepts))
    refused(lambda: classification_vectors(made.layer, made.planes, made.train, CLASSIFY, concepts=concepts))


@pytest.mark.parametrize("concept", ["", None, 5, 1.5, True, "concept 9", b"x", [1], -1, 10**30])
def test_one_concept(made: Made, concept: Any) -> None:
    for ask in (neighbours, filters_of, ConceptVectors.find):
        refused(lambda ask=ask: ask(made.vectors, concept))  # type: ignore[misc]


@pytest.mark.parametrize(
    "query", ["", "+", "concept 1 - concept 1", "a + b", "concept 1 +concept 2", "concept 1 +", "- -", None]
)
def test_sums(made: Made, query: str | None) -> None:
    refused(lambda: arithmetic(made.vectors, query, unlearned=True))


@pytest.mark.parametrize("k", [0, -1])
def test_numbers_of_neighbours(made: Made, k: int) -> None:
    refused(lambda: neighbours(made.vectors, "concept 1", k))
    refused(lambda: neighbours_table(made.vectors, k, unlearned=True))
    refused(lambda: arithmetic(made.vectors, "concept 1", k=k, unlearned=True))


def test_what_does_not_belong_together(made: Made) -> None:
    layer, planes, train, vectors, classifying, counts = made
    refused(lambda: retrain_top_filters(classifying, layer, planes, train))
    refused(lambda: classification_top_filters(vectors, layer, planes, train))
    refused(lambda: predicted_masks(classifying, layer))
    refused(lambda: predicted_masks(vectors, dataclasses.replace(layer, name="other")))
    refused(lambda: set_distances(vectors, make_embedding([[1.0]], ["concept 1"]), unlearned=True))
    refused(lambda: set_distances(vectors, make_embedding(np.zeros((0, 3)), [])))
    refused(lambda: concept_map(vectors, perplexity=99, unlearned=True))
    refused(lambda: concept_tree(make_embedding([[1.0]], ["x"])))
    for unit in (-1, 7, 100):
        refused(lambda unit=unit: helped_concepts(vectors, unit))  # type: ignore[misc]
    for tau in (0, -0.1, 1.1, float("nan"), True):
        refused(lambda tau=tau: counts.needed(tau))  # type: ignore[misc]
