"""Distances between sets of vectors, maps and trees, and the counts behind the figures."""

from __future__ import annotations

import dataclasses
import io
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdissect.errors import SettingError
from fastdissect.methods.net2vec import ConceptVectors, FilterCounts, sharing
from fastdissect.methods.vectors import (
    Embedding,
    best_sums,
    concept_map,
    concept_tree,
    embedding_of,
    filters_of,
    helped_concepts,
    improvement,
    make_embedding,
    set_distances,
    single_and_combined,
    study_vectors,
)


def drawn(seed: int, concepts: int = 9, units: int = 6, **more: object) -> Embedding:
    w = np.random.default_rng(seed).normal(size=(concepts, units))
    return make_embedding(w, [f"c{i}" for i in range(concepts)], **more)  # type: ignore[arg-type]


def with_weights(e: Embedding, weights: np.ndarray) -> Embedding:
    return make_embedding(weights, e.names, category=e.category, categories=e.categories)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 9))
def test_distances_do_not_depend_on_basis_order_or_width(seed: int, concepts: int, units: int) -> None:
    rng = np.random.default_rng(seed)
    w, v = rng.normal(size=(2, concepts, units))
    names = [f"c{i}" for i in range(concepts)]
    one, two = make_embedding(w, names), make_embedding(v, names)
    expected = set_distances(one, two)
    rotation = np.linalg.qr(rng.normal(size=(units, units)))[0]
    padded = np.concatenate([w, np.zeros((concepts, 5))], 1)
    doubled = np.concatenate([w, w], 1)  # every unit twice: a wider network that knows the same
    for same in (
        w @ rotation,
        w[:, rng.permutation(units)],
        padded,
        doubled,
        w * rng.uniform(0.1, 9, (concepts, 1)),
    ):
        other = make_embedding(same, names)
        np.testing.assert_allclose(set_distances(one, other).distance, 0, atol=1e-9)
        np.testing.assert_allclose(set_distances(other, two).distance, expected.distance, atol=1e-9)
    np.testing.assert_allclose(set_distances(two, one).distance, expected.distance, atol=1e-12)
    # brute force
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (w, v)]
    for i in range(concepts):
        distance = sum((unit[0][i] @ unit[0][j] - unit[1][i] @ unit[1][j]) ** 2 for j in range(concepts))
        assert expected.distance[i] == pytest.approx(distance, abs=1e-9)
    assert expected.total == pytest.approx(sum(expected.distance))


def test_concepts_are_matched_by_name_whatever_their_order() -> None:
    one = drawn(1, category=[0, 0, 0, 0, 0, 1, 1, 1, 1], categories=("object", "color"))
    order = [8, 1, 3, 5, 0]
    rows = one.vectors[order]
    two = make_embedding([*rows, np.ones(6)], [one.names[i] for i in order] + ["only here"])
    found = set_distances(one, two)
    assert found.shared == ("c0", "c1", "c3", "c5", "c8")
    np.testing.assert_allclose(found.distance, 0, atol=1e-12)
    assert found.only_first == ("c2", "c4", "c6", "c7")
    assert found.only_second == ("only here",)
    means = found.by_category()
    assert means["category"].tolist() == ["object", "color", ""]
    assert means["concepts"].tolist() == [3, 2, 5]


def test_the_concept_that_moved_is_the_farthest() -> None:
    w = np.eye(6) + 0.5
    moved = w.copy()
    moved[2] = -moved[2]
    names = list("abcdef")
    found = set_distances(make_embedding(w, names), make_embedding(moved, names))
    table = found.table()
    assert table["concept"].tolist()[-1] == "c"
    assert table["distance"].is_monotonic_increasing
    assert found.by_category()["mean_distance"].tolist()[-1] == pytest.approx(found.total / 6)
    read = pd.read_csv(io.StringIO(table.to_csv(index=False)), keep_default_na=False)
    np.testing.assert_allclose(read["distance"], table["distance"])


def test_sets_that_cannot_be_compared() -> None:
    with pytest.raises(SettingError, match=r"got 1 of 2 and 2"):
        set_distances(make_embedding(np.eye(2), ["a", "b"]), make_embedding(np.eye(2), ["b", "c"]))
    with pytest.raises(SettingError, match="'a' stands for several"):
        set_distances(make_embedding(np.eye(2), ["a", "a"]), make_embedding(np.eye(2), ["a", "c"]))
    three = make_embedding(np.eye(3), list("abc"), learned=[True, True, False])
    assert set_distances(three, make_embedding(np.eye(3), list("abc"))).shared == ("a", "b")
    assert set_distances(three, three, unlearned=True).shared == ("a", "b", "c")


def groups(size: int = 8, count: int = 3, seed: int = 0) -> Embedding:
    """Groups of concepts, each about a direction of its own."""
    rng = np.random.default_rng(seed)
    centre = np.repeat(np.eye(10)[:count], size, axis=0)
    return make_embedding(
        centre + 0.1 * rng.normal(size=centre.shape),
        [f"g{i // size} {i % size}" for i in range(size * count)],
        category=np.repeat(np.arange(count), size),
        categories=[f"group {i}" for i in range(count)],
    )


def test_a_tree_finds_the_planted_groups() -> None:
    pytest.importorskip("scipy")
    e = groups()
    tree = concept_tree(e)
    assert sorted(tree.order()) == list(range(len(e)))
    flat = tree.clusters(0.5)
    assert flat["cluster"].max() == 3
    assert flat.groupby("cluster")["category"].nunique().tolist() == [1, 1, 1]
    assert flat["cluster"].is_monotonic_increasing
    assert tree.clusters(-1)["cluster"].max() == 1
    assert tree.clusters(1)["cluster"].max() == len(e)
    assert (np.diff(tree.merges[:, 2]) >= -1e-12).all()
    np.testing.assert_allclose(tree.merges[0, 2], 1 - np.triu(e.cosines(), 1).max(), atol=1e-12)
    with pytest.raises(SettingError, match="cosine from -1 to 1"):
        tree.clusters(2)
    with pytest.raises(SettingError, match="at least two concepts"):
        concept_tree(make_embedding([[1.0, 0], [0, 0]], ["a", "b"]))


def test_a_map_keeps_neighbours_together_and_comes_out_the_same_again() -> None:
    pytest.importorskip("sklearn")
    e = groups()
    found = concept_map(e)
    assert found.equals(concept_map(e))
    assert found["concept"].tolist() == list(e.names)
    places = found[["x", "y"]].to_numpy()
    away = np.square(places[:, None] - places[None]).sum(2) + np.diag(np.full(len(e), np.inf))
    assert (e.category[away.argmin(1)] == e.category).all()
    few = make_embedding(np.eye(5), list("abcde"), learned=[True] * 4 + [False])
    with pytest.raises(SettingError, match="at least 5 concepts for a map; got 4"):
        concept_map(few)
    assert len(concept_map(few, unlearned=True)) == 5
    for wrong in (0.5, 24, float("nan")):
        with pytest.raises(SettingError, match="perplexity"):
            concept_map(e, perplexity=wrong)


def test_a_map_of_equal_vectors_does_not_fail() -> None:
    pytest.importorskip("sklearn")
    found = concept_map(make_embedding(np.ones((6, 3)), list("abcdef")))
    assert np.isfinite(found[["x", "y"]].to_numpy()).all()


def test_shares_of_a_vector_add_up_to_one() -> None:
    e = drawn(4)
    for name in e.names:
        found = filters_of(e, name)
        assert found["share"].sum() == pytest.approx(1)
        assert found["cumulative"].tolist()[-1] == pytest.approx(1)
        assert sorted(found["unit"]) == list(range(6))
        assert (np.diff(np.abs(found["weight"])) <= 0).all()
        assert filters_of(e, name, 2).equals(found.head(2))
    even = make_embedding([[1, -1, 1]], ["a"])
    assert filters_of(even, "a")["unit"].tolist() == [0, 1, 2]  # ties: the lower unit


def test_a_unit_helps_the_concepts_in_which_it_is_among_the_largest() -> None:
    e = drawn(5, concepts=12, units=7)
    for unit in range(7):
        found = helped_concepts(e, unit, among=3)
        expected = {name for name in e.names if unit in filters_of(e, name, 3)["unit"].tolist()}
        assert set(found["concept"]) == expected
        for row in found.itertuples():
            own = filters_of(e, row.concept).set_index("unit").loc[unit]
            assert (row.weight, row.rank) == (own["weight"], own["rank"])
        assert (np.diff(found["share"]) <= 0).all()
    single = make_embedding([[0, 3], [0, 1]], ["a", "b"], learned=[True, False])
    assert helped_concepts(single, 0).empty  # a weight of 0 helps nobody, though it is second of two
    assert helped_concepts(single, 1)["concept"].tolist() == ["a"]
    assert helped_concepts(single, 1, unlearned=True)["concept"].tolist() == ["a", "b"]
    for wrong in (-1, 2):
        with pytest.raises(SettingError, match="unit from 0 to 1"):
            helped_concepts(single, wrong)


def test_every_boundary_of_the_sharing_bins() -> None:
    counts = (0, 1, 2, 5, 6, 9, 10, 14, 15, 19, 20, 21, 40)
    filters = np.repeat(np.arange(len(counts)), counts)
    found = sharing(np.random.default_rng(0).permutation(filters), len(counts))
    assert found["concepts"].tolist() == ["0", "1", "2-5", "6-9", "10-14", "15-19", "20+"]
    assert found["filters"].tolist() == [1, 1, 2, 2, 2, 2, 3]


def scored(single: list[float], combined: list[float], category: list[int]) -> ConceptVectors:
    count = len(single)
    names = tuple(f"c{i}" for i in range(count))
    table = pd.DataFrame({"concept": names, "single_iou_val": single, "iou_val": combined})
    return ConceptVectors(
        kind="segmentation",
        layer="conv",
        numbers=np.arange(1, count + 1),
        names=names,
        category=np.array(category),
        categories=("object", "color", "part"),
        weights=np.ones((count, 2), np.float32),
        bias=None,
        table=table.assign(iou_train=combined, number=np.arange(1, count + 1)),
    )


def test_a_ratio_needs_a_single_filter_above_the_floor() -> None:
    floor = 0.005
    single = [0.1, floor, float(np.nextafter(floor, 1)), 0.0, np.nan, 0.3]
    vectors = scored(single, [0.3, 0.5, 0.5, 0.2, 0.4, np.nan], [0, 0, 1, 1, 1, 2])
    scores = single_and_combined(vectors)
    assert scores is not None
    assert scores["ratio"].notna().tolist() == [True, False, True, False, False, False]
    assert scores["ratio"][0] == pytest.approx(3)
    table = improvement(scores)
    assert table["category"].tolist() == ["object", "color", ""]  # part: no concept has both scores
    assert table["concepts"].tolist() == [2, 2, 4]
    assert table["compared"].tolist() == [1, 1, 2]
    assert table["better"].tolist() == [1, 1, 1]
    assert table["above_combined"].tolist() == [2, 1, 3]  # 0.2 itself is not above 0.2
    assert table["above_single"].tolist() == [0, 0, 0]
    with pytest.raises(SettingError, match="missing"):
        improvement(scores.drop(columns="ratio"))


def test_a_ratio_of_the_same_scores_is_one() -> None:
    values = np.random.default_rng(0).uniform(0, 1, 50).tolist()
    scores = single_and_combined(scored(values, values, [0] * 50))
    assert scores is not None
    assert (scores["ratio"].dropna() == 1).all()
    assert improvement(scores)["better"].tolist() == [0, 0]


def test_the_filter_of_a_classification_is_the_one_trained_alone() -> None:
    one = scored([0.1, 0.2], [0.3, 0.4], [0, 1])
    table = pd.DataFrame({"accuracy_train": [0.9, 0.8], "accuracy_val": [0.8, 0.5]})
    vectors = dataclasses.replace(one, kind="classification", table=table)
    rows = pd.DataFrame(
        {
            "concept": ["c0", "c0", "c1", "c1"],
            "number": [1, 1, 2, 2],
            "filters": [1, 2, 1, 2],
            "train": [0.7, 0.9, 0.6, 0.8],
            "val": [0.6, 0.8, 0.55, 0.5],
        }
    )
    counts = FilterCounts("accuracy", 2, vectors.names, rows, {})
    scores = single_and_combined(vectors, counts)
    assert scores is not None
    assert scores["single"].tolist() == [0.6, 0.55]
    assert scores["combined"].tolist() == [0.8, 0.5]
    assert improvement(scores)["better"].tolist() == [1, 0, 0.5]
    assert single_and_combined(vectors) is None  # F = 1 was not trained
    assert embedding_of(vectors).learned.tolist() == [True, False]  # 0.5 is chance


def test_vectors_whose_masks_never_meet_their_concepts_are_not_learned() -> None:
    vectors = scored([0.1] * 4, [0.2, 0.0, np.nan, np.nan], [0, 0, 1, 1])
    table = vectors.table.assign(iou_train=[0.3, 0.3, 0.3, 0.0])
    e = embedding_of(dataclasses.replace(vectors, table=table))
    assert e.learned.tolist() == [True, False, True, False]  # without val: by the score on train
    marked = dataclasses.replace(vectors, table=table.assign(represented=[False, True, True, False]))
    assert embedding_of(marked).learned.tolist() == [False, True, True, False]
    assert embedding_of(e) is e


def test_a_skipped_concept_is_refused_with_its_reason() -> None:
    vectors = dataclasses.replace(scored([0.1], [0.2], [0]), skipped=(("fog", "no images for training"),))
    with pytest.raises(SettingError, match="'fog' was left out: no images for training"):
        filters_of(vectors, "fog")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 9))
def test_the_best_sums_are_those_of_brute_force(seed: int, concepts: int) -> None:
    e = drawn(seed, concepts, units=4)
    found = best_sums(e)
    assert sorted(found["concept"]) == sorted(e.names)
    assert found["gain"].is_monotonic_decreasing
    for row in found.itertuples():
        own = e.vectors[e.find(row.concept)]
        others = [n for n in e.names if n != row.concept]
        best = max(
            float(own @ (e.vectors[e.find(a)] + e.vectors[e.find(b)]))
            / float(np.linalg.norm(e.vectors[e.find(a)] + e.vectors[e.find(b)]))
            for a, b in itertools.combinations(others, 2)
        )
        assert row.cosine == pytest.approx(best, abs=1e-9)
        parts = [float(own @ e.vectors[e.find(name)]) for name in (row.first, row.second)]
        assert row.neighbour == pytest.approx(max(parts))
        assert row.neighbour == pytest.approx(parts[0])  # the nearer one first
        assert row.gain == pytest.approx(row.cosine - row.neighbour)


def test_a_planted_sum_comes_first() -> None:
    w = np.eye(8)[:7].copy()
    w[3] = w[0] + w[1]
    found = best_sums(make_embedding(w, list("abcdefg")))
    assert found[["concept", "first", "second"]].iloc[0].tolist() == ["d", "a", "b"]
    assert found["cosine"][0] == pytest.approx(1)
    assert best_sums(make_embedding(np.eye(2), ["a", "b"])).empty


def test_opposite_vectors_make_no_sum() -> None:
    found = best_sums(make_embedding([[1.0, 0], [-1, 0], [0, 1]], list("abc")))
    assert found["concept"].tolist() == ["a", "b"]  # of c, the only pair cancels
    assert np.isfinite(found["cosine"]).all()
    assert (found["cosine"] <= 1).all()


def test_the_study_of_few_concepts_has_neither_map_nor_mix() -> None:
    pytest.importorskip("scipy")
    study = study_vectors(scored([0.1], [0.2], [0]))
    assert study.map is None
    assert study.tree is None
    assert study.mix.empty
    assert study.sums.empty
    assert study.filters_of(0)["unit"].tolist() == [0, 1]
    assert study.neighbours_of(0).empty
