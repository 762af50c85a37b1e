"""Neighbours, sums and mixes of concept vectors: planted colours and shapes, and brute force as the oracle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdissect.errors import SettingError
from fastdissect.methods.vectors import (
    Embedding,
    Query,
    arithmetic,
    category_mix,
    make_embedding,
    neighbours,
    neighbours_table,
    read_query,
)

COLOURS, SHAPES = ("red-c", "green-c", "blue-c"), ("square", "disc", "star", "ring")
PAIRS = tuple(f"{colour[:-2]} {shape}" for colour in COLOURS for shape in SHAPES)
CATEGORIES = ("color", "object", "part")


def planted(seed: int = 0, noise: float = 0.02, units: int = 40) -> Embedding:
    """Colours and shapes on directions of their own; "red square" is red-c + square, of any length."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(units, units)))[0][: len(COLOURS) + len(SHAPES)]
    pairs = [basis[c] + basis[len(COLOURS) + s] for c in range(len(COLOURS)) for s in range(len(SHAPES))]
    vectors = np.array([*basis, *pairs]) + noise * rng.normal(size=(7 + 12, units)) / math.sqrt(units)
    return make_embedding(
        vectors * rng.uniform(0.01, 100, (19, 1)),
        (*COLOURS, *SHAPES, *PAIRS),
        category=[0] * 3 + [1] * 4 + [2] * 12,
        categories=CATEGORIES,
        numbers=np.arange(19) * 7 + 3,
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_colour_for_another_turns_a_red_square_into_a_blue_one(seed: int) -> None:
    e = planted(seed)
    for shape in SHAPES:
        for old in COLOURS:
            for new in COLOURS:
                if new != old:
                    found = arithmetic(e, f"{old[:-2]} {shape} - {old} + {new}")
                    assert found["concept"][0] == f"{new[:-2]} {shape}"
    # a colour and a shape: the pair, found among all others
    for colour in COLOURS:
        for shape in SHAPES:
            assert arithmetic(e, f"{colour} + {shape}", k=1)["concept"].tolist() == [f"{colour[:-2]} {shape}"]


def test_a_pairs_neighbours_share_its_colour_or_shape() -> None:
    e = planted()
    for pair in PAIRS:
        colour, shape = pair.split()
        found = neighbours(e, pair, 2)
        assert set(found["concept"]) == {f"{colour}-c", shape}
        near = neighbours(e, pair, 7)["concept"].tolist()
        assert all(
            colour in name or shape in name for name in near
        )  # 2 parts, 3 of its colour, 2 of its shape


def test_query_words_are_left_out() -> None:
    e = planted()
    words = ("red square", "red-c", "blue-c")
    found = arithmetic(e, positive=["red square", "blue-c"], negative=["red-c"], k=100)
    assert len(found) == len(e) - 3
    assert not set(found["concept"]) & set(words)
    text = arithmetic(e, "red square + blue-c - red-c", k=100)
    assert text.equals(found)
    assert text.equals(arithmetic(e, Query(("red square", "blue-c"), ("red-c",)), k=100))
    numbers = [int(e.numbers[e.find(name)]) for name in words]
    assert arithmetic(e, positive=[numbers[0], numbers[2]], negative=[numbers[1]], k=100).equals(found)


def test_the_score_is_the_product_with_the_mean_of_the_signed_unit_vectors() -> None:
    e = planted()
    a, b, c = (e.vectors[e.find(name)] for name in ("red square", "blue-c", "red-c"))
    mean = (a + b - c) / 3
    found = arithmetic(e, "red square + blue-c - red-c", k=4)
    assert found["rank"].tolist() == [1, 2, 3, 4]
    for row in found.itertuples():
        score = float(mean @ e.vectors[e.find(row.concept)])
        assert row.score == pytest.approx(score, abs=1e-12)
        assert row.cosine == pytest.approx(score / np.linalg.norm(mean), abs=1e-12)
    assert (np.diff(found["score"]) <= 0).all()
    # one word alone: its neighbours
    assert arithmetic(e, "disc", k=5)["concept"].tolist() == neighbours(e, "disc", 5)["concept"].tolist()
    # a word twice counts twice
    twice = arithmetic(e, "disc + disc + red-c", k=1)
    expected = (2 * e.vectors[e.find("disc")] + e.vectors[e.find("red-c")]) / 3
    assert twice["score"][0] == pytest.approx(float((e.vectors @ expected)[e.find("red disc")]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 6), st.integers(1, 15))
def test_neighbours_are_those_of_brute_force(seed: int, concepts: int, units: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    w = rng.integers(-2, 3, (concepts, units)).astype(np.float64)  # ties and zero rows are common
    e = make_embedding(w, [f"c{i}" for i in range(concepts)], category=[0] * concepts, categories=("object",))

    def cosine(i: int, j: int) -> float:
        lengths = math.sqrt(math.fsum(w[i] ** 2)) * math.sqrt(math.fsum(w[j] ** 2))
        return float(w[i] @ w[j]) / lengths if lengths else 0.0

    whole = neighbours_table(e, k, unlearned=True)
    for i in range(concepts):
        expected = sorted((round(-cosine(i, j), 9), j) for j in range(concepts) if j != i)[:k]
        found = neighbours(e, f"c{i}", k, unlearned=True)
        np.testing.assert_allclose(found["cosine"], [-score for score, _ in expected], atol=1e-9)
        kept = whole[whole["concept"] == f"c{i}"]
        assert kept["neighbour"].tolist() == found["concept"].tolist()
        assert kept["cosine"].tolist() == found["cosine"].tolist()
        assert kept["rank"].tolist() == list(range(1, len(kept) + 1))
        assert f"c{i}" not in found["concept"].tolist()


def test_equal_vectors_stand_in_the_data_sets_order() -> None:
    e = make_embedding([[1, 2, 2], [2, 1, 0], [2, 4, 4], [4, 2, 0], [1, 2, 2]], list("abcde"))
    assert neighbours(e, "e", 4)["concept"].tolist() == ["a", "c", "b", "d"]
    assert neighbours(e, "a", 4)["concept"].tolist() == ["c", "e", "b", "d"]


def test_what_was_not_learned_is_nobodys_neighbour_unless_asked_for() -> None:
    e = make_embedding([[1, 0], [0.9, 0.1], [0, 1], [0, 0]], list("abcd"), learned=[True, False, True, True])
    assert e.learned.tolist() == [True, False, True, False]  # a vector of zeros is never learned
    assert neighbours(e, "a", 9)["concept"].tolist() == ["c"]
    every = neighbours(e, "a", 9, unlearned=True)
    assert every["concept"].tolist() == ["b", "c", "d"]
    assert every["learned"].tolist() == [False, True, False]
    assert neighbours(e, "b", 9)["concept"].tolist() == [
        "a",
        "c",
    ]  # asked for by name: who is near all the same
    assert set(neighbours_table(e)["concept"]) == {"a", "c"}
    with pytest.raises(SettingError, match=r"'b'.*never meet the concept"):
        arithmetic(e, "a + b")
    assert arithmetic(e, "a + b", unlearned=True)["concept"].tolist() == ["c", "d"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 15), st.integers(1, 6))
def test_the_rows_of_a_mix_add_up_to_one(seed: int, concepts: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    category = rng.integers(0, 3, concepts)
    e = make_embedding(
        rng.normal(size=(concepts, 5)),
        [f"c{i}" for i in range(concepts)],
        category=category,
        categories=CATEGORIES,
    )
    mix = category_mix(e, k)
    shares = mix[[f"{name}-share" for name in CATEGORIES]].to_numpy()
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-12)
    assert mix["category"].tolist() == [q for i, q in enumerate(CATEGORIES) if (category == i).any()] + [""]
    assert mix["concepts"].tolist()[-1] == concepts
    assert mix["concepts"].sum() == 2 * concepts
    # brute force
    near = neighbours_table(e, k)
    for row in mix.iloc[:-1].itertuples(index=False):
        own = near[near["category"] == row[0]]["neighbour_category"]
        assert [float((own == q).mean()) for q in CATEGORIES] == pytest.approx(list(row[2:]))


def test_the_mix_of_planted_groups() -> None:
    e = make_embedding(
        [[1, 0], [1, 0.1], [0, 1], [0.1, 1]], list("abcd"), category=[0, 0, 1, 1], categories=("p", "q")
    )
    mix = category_mix(e, 1)
    assert mix[["p-share", "q-share"]].to_numpy().tolist() == [[1, 0], [0, 1], [0.5, 0.5]]
    assert category_mix(make_embedding([[1.0]], ["a"], category=[0], categories=("p",))).empty


def test_names_hold_signs_where_no_space_surrounds_them() -> None:
    assert read_query("grass + blue-c - green-c") == Query(("grass", "blue-c"), ("green-c",))
    assert read_query("  - tree  +  a+b ") == Query(("a+b",), ("tree",))
    assert read_query("swimming pool-s") == Query(("swimming pool-s",), ())
    assert str(read_query("- tree + wood")) == "wood - tree"
    for wrong in ("", "  ", "+", "a +", "a + - b", "a - ", "+ + a"):
        with pytest.raises(SettingError, match="expected names with"):
            read_query(wrong)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e: neighbours(e, "red squar"), "unknown concept 'red squar'.*nearest: red square"),
        (lambda e: arithmetic(e, "red-c + dics"), "unknown concept 'dics'.*nearest: disc"),
        (lambda e: neighbours(e, 4), "number of a concept"),
        (lambda e: neighbours(e, "4"), "number of a concept"),
        (lambda e: neighbours(e, 3.0), "name or number; got float"),
        (lambda e: neighbours(e, True), "name or number; got bool"),
        (lambda e: neighbours(e, "disc", 0), "at least 1; got 0"),
        (lambda e: arithmetic(e), "at least one concept"),
        (lambda e: arithmetic(e, "disc + star - disc"), "'disc' is on both"),
    ],
)
def test_what_cannot_be_found_is_refused(call: Any, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        call(planted())


def test_vectors_that_cancel_point_nowhere() -> None:
    e = make_embedding([[1, 2], [-2, -4], [0, 1]], list("abc"))
    with pytest.raises(SettingError, match="cancel"):
        arithmetic(e, "a + b")


def test_one_name_for_several_concepts_needs_a_number() -> None:
    e = make_embedding([[1, 0], [0, 1], [1, 1]], ["door", "door", "wall"], numbers=[11, 12, 13])
    with pytest.raises(SettingError, match="numbers 11, 12"):
        neighbours(e, "door")
    assert neighbours(e, 12)["concept"].tolist() == ["wall", "door"]
    assert neighbours(e, "12").equals(neighbours(e, 12))


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": [[1.0]], "names": ["a", "b"]},
        {"weights": [1.0, 2.0], "names": ["a", "b"]},
        {"weights": [[np.nan], [1.0]], "names": ["a", "b"]},
        {"weights": [[1.0], [1.0]], "names": ["a", "b"], "numbers": [1]},
        {"weights": [[1.0], [1.0]], "names": ["a", "b"], "category": [0, 2], "categories": ("x", "y")},
    ],
)
def test_vectors_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="expected"):
        make_embedding(**wrong)


def test_tiny_and_huge_vectors_have_directions_too() -> None:
    e = make_embedding([[3e-200, 4e-200], [3e200, 4e200], [0, 5e-320]], list("abc"))
    np.testing.assert_allclose(e.vectors, [[0.6, 0.8], [0.6, 0.8], [0, 1]])
