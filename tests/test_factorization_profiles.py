"""What factors are of: profiles, distances, coherence (METHODS 4.5, 4.7 item 5)."""

from __future__ import annotations

import numpy as np
import pytest
from factorization_reading_cases import factorization, planted
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.class_profiles import class_profiles
from fastdissect.methods.factorization.concept_profiles import concept_lift, concept_profiles
from fastdissect.methods.factorization.contributions import contributions, shares, top_count, top_examples
from fastdissect.methods.factorization.factor_overlap import (
    SMOOTHING,
    column_cosines,
    mutual_coherence,
    profile_distances,
)

NAMES = ("ant", "bee", "cat", "dog", "eel")


def drawn(seed: int, examples: int = 40, rank: int = 3) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    weights = rng.random((examples, rank)) * (rng.random((examples, rank)) < 0.7)
    return weights, rng.integers(0, len(NAMES), examples)


def test_a_factor_of_one_class_is_pure_and_an_even_one_has_the_largest_entropy() -> None:
    classes = np.repeat(np.arange(5), 4)
    own = class_profiles(np.eye(5)[classes], classes, NAMES)
    assert own.weights.tolist() == np.eye(5).tolist()
    assert own.purity.tolist() == [1.0] * 5
    assert own.entropy.tolist() == [0.0] * 5
    assert own.covered.tolist() == np.eye(5, dtype=bool).tolist()
    even = class_profiles(np.full((20, 2), 0.3), classes, NAMES)
    assert even.entropy == pytest.approx([np.log(5)] * 2, abs=1e-12)
    assert even.purity == pytest.approx([0.2, 0.2])
    assert even.covered.all()  # 1 / classes exactly, whatever rounding did


@pytest.mark.parametrize("seed", range(4))
def test_profiles_are_those_of_a_plain_loop(seed: int) -> None:
    weights, classes = drawn(seed)
    classes[::7] = -1
    found = class_profiles(weights, classes, NAMES)
    for r in range(3):
        total = sum(weights[n, r] for n in range(40) if classes[n] >= 0)
        slow = [sum(weights[n, r] for n in range(40) if classes[n] == y) / total for y in range(5)]
        assert found.weights[r] == pytest.approx(slow, abs=1e-14)
        assert found.weights[r].sum() == pytest.approx(1, abs=1e-14)
        assert found.entropy[r] == pytest.approx(-sum(w * np.log(w) for w in slow if w), abs=1e-13)
        assert found.purity[r] == pytest.approx(max(slow))
    assert found.unknown == 6
    table = found.table()
    assert table.groupby("factor")["weight"].sum().to_numpy() == pytest.approx([1.0] * 3)
    for _, own in table.groupby("factor"):
        assert own["weight"].is_monotonic_decreasing
    order = np.random.default_rng(seed).permutation(40)
    assert class_profiles(weights[order], classes[order], NAMES).weights == pytest.approx(found.weights)
    scaled = class_profiles(weights * [2.0, 0.5, 8.0], classes, NAMES)  # powers of two: the same bits
    assert (scaled.weights == found.weights).all()


def test_sums_are_of_float64() -> None:
    ones = np.ones((70_000, 1), np.float32)
    ones[0] = 2**26  # in float32 the others would vanish beside it
    found = class_profiles(ones, (np.arange(70_000) > 0).astype(np.int64), ("one", "rest"))
    assert found.weights[0, 1] == 69_999 / (2**26 + 69_999)


def test_a_dead_factor_has_no_profile_and_is_reported() -> None:
    weights, classes = drawn(0)
    weights[:, 1] = 0
    found = class_profiles(weights, classes, NAMES)
    assert found.without == (1,)
    assert found.weights[1].tolist() == [0.0] * 5
    assert found.summary()["factor"].tolist() == [0, 2]
    assert not found.summary().isna().any().any()
    assert set(found.table()["factor"]) == {0, 2}
    assert set(profile_distances(found)["factor"]) == {0}
    nothing = class_profiles(np.zeros((4, 2)), [0, 1, 2, 3], NAMES)
    assert len(nothing.summary()) == len(nothing.table()) == len(profile_distances(nothing)) == 0
    assert nothing.uncovered == NAMES[:4]


def test_a_class_without_examples_does_not_count() -> None:
    found = class_profiles(np.array([[0.4], [0.6]]), [0, 2], NAMES)
    assert found.present == 2
    assert found.covered.tolist() == [[False, False, True, False, False]]  # 0.4 < 1 / 2
    assert found.coverage()["size"].tolist() == [1, 0, 1, 0, 0]
    assert found.uncovered == ("ant",)


def test_one_class_and_no_class() -> None:
    one = class_profiles(np.array([[0.4, 1], [0.6, 0]]), [1, 1], NAMES)
    assert one.present == 1
    assert one.purity.tolist() == [1, 1]
    assert one.entropy.tolist() == [0, 0]
    none = class_profiles(np.array([[0.4], [0.6]]), [-1, -1], NAMES)
    assert none.present == 0
    assert none.without == (0,)
    assert none.unknown == 2


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([0, 1], "expected a class for each of the 3 examples"),
        ([0.0, 1.0, 2.0], "whole numbers; got shape"),
        ([0, 1, 5], "got 0 to 5"),
        ([0, 1, -2], "got -2 to 1"),
    ],
)
def test_classes_of_other_examples_are_refused(classes: list[float], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        class_profiles(np.ones((3, 2)), classes, NAMES)


def test_concepts_of_whole_examples_are_classes() -> None:
    weights, classes = drawn(1)
    concepts = concept_profiles(weights, np.eye(5)[classes], NAMES)
    own = class_profiles(weights, classes, NAMES)
    assert concepts.weights == pytest.approx(own.weights, abs=1e-14)
    assert (concepts.sizes == own.sizes).all()


def test_concepts_by_a_plain_loop_and_their_lift() -> None:
    rng = np.random.default_rng(3)
    weights, pixels = rng.random((30, 2)), rng.random((30, 4)).astype(np.float32)
    pixels[:, 3] = 0
    found = concept_profiles(weights, pixels, NAMES[:4])
    slow = np.zeros((2, 4))
    for n in range(30):
        slow += np.outer(weights[n], pixels[n].astype(float))
    assert found.weights == pytest.approx(slow / slow.sum(1, keepdims=True))
    lift = concept_lift(found)
    assert "dog" not in set(lift["concept"])
    whole = pixels.astype(float).sum(0) / pixels.astype(float).sum()
    for row in lift.itertuples():
        assert row.lift == pytest.approx(row.weight / whole[NAMES.index(row.concept)])
    assert lift[lift["factor"] == 0]["lift"].is_monotonic_decreasing
    even = concept_lift(concept_profiles(np.ones((30, 1)), pixels, NAMES[:4]))
    assert even["lift"].to_numpy() == pytest.approx([1.0] * 3)


@pytest.mark.parametrize(
    "pixels", [np.zeros((3, 1)), np.full((3, 2), 1.5), np.full((3, 2), np.nan), np.full((3, 2), -0.1)]
)
def test_shares_that_are_none_are_refused(pixels: NDArray[np.float64]) -> None:
    with pytest.raises(SettingError, match=r"expected (shares|a share) of"):
        concept_profiles(np.ones((3, 2)), pixels, ("a", "b"))


def test_distances_by_their_definitions() -> None:
    rng = np.random.default_rng(5)
    weights = rng.random((60, 3)) + 0.1
    profiles = class_profiles(weights, rng.integers(0, 5, 60), NAMES)
    for row in profile_distances(profiles).itertuples():
        p, q = profiles.weights[row.factor], profiles.weights[row.other]
        bc = sum(np.sqrt(a * b) for a, b in zip(p, q, strict=True))
        assert row.coefficient == pytest.approx(bc)
        assert row.hellinger == pytest.approx(np.sqrt(1 - bc))
        assert row.bhattacharyya == pytest.approx(-np.log(bc), abs=1e-5)
        assert row.kl == pytest.approx(sum(a * np.log(a / b) for a, b in zip(p, q, strict=True)), abs=1e-5)
        assert row.kl_back == pytest.approx(
            sum(b * np.log(b / a) for a, b in zip(p, q, strict=True)), abs=1e-5
        )
        assert row.unmatched == row.unmatched_back == 0


def test_distances_of_equal_and_of_disjoint_profiles_are_finite() -> None:
    weights = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 2]])
    table = profile_distances(class_profiles(weights, [0, 1, 2], NAMES)).set_index(["factor", "other"])
    same, apart = table.loc[(0, 1)], table.loc[(0, 2)]
    assert same[["hellinger", "bhattacharyya", "kl", "kl_back", "unmatched"]].tolist() == [0] * 5
    assert np.isfinite(table.to_numpy()).all()
    assert (apart["hellinger"], apart["coefficient"], apart["unmatched"]) == (1, 0, 1)
    small = SMOOTHING / 5
    p, q = 0.5 * (1 - SMOOTHING) + small, (1 - SMOOTHING) + small
    slow = 2 * p * np.log(p / small) + small * np.log(small / q)
    assert apart["kl"] == pytest.approx(slow)


def test_coherence_leaves_the_diagonal_out_and_dead_factors() -> None:
    f, _ = planted(rank=3, dead=(1,))
    found = mutual_coherence(f)
    a, b = (f.mixtures[:, r].astype(float) for r in (0, 2))
    cosine = a @ b / np.sqrt((a @ a) * (b @ b))
    assert (found.maximum, found.mean, found.minimum) == pytest.approx((cosine,) * 3)
    assert found.released_mean == pytest.approx(2 * cosine / 9)
    assert not found.cosine[1].any()
    alone = mutual_coherence(planted(rank=1)[0])
    assert (alone.maximum, alone.mean, alone.minimum, alone.released_mean) == (None, None, None, 0)


def test_cosines_of_tiny_and_zero_columns() -> None:
    values = np.array([[1e-30, 0.0, 3.0], [0.0, 0.0, 4.0]], np.float32)
    assert column_cosines(values) == pytest.approx(np.array([[1, 0, 0.6], [0, 0, 0], [0.6, 0, 1]]))
    many = column_cosines(np.random.default_rng(0).random((50, 6)))
    assert (many == many.T).all()
    assert (many.diagonal() == 1).all()


def test_contributions_do_not_depend_on_how_weight_and_loading_share_the_scale() -> None:
    f, _ = planted()
    double = factorization(
        f.mixtures * np.float32([2, 4, 0.5, 1]),
        {one.name: one.values / np.float32([2, 4, 0.5, 1]) for one in f.loadings},
    )
    assert contributions(double) == pytest.approx(contributions(f))
    assert shares(contributions(f)) == pytest.approx(f.reported_mixtures())
    assert shares(np.zeros((2, 3))).tolist() == np.zeros((2, 3)).tolist()


def test_top_examples() -> None:
    f, group = planted(each=20, dead=(2,))
    assert [top_count(n) for n in (1, 9, 25, 1999, 2000, 50_000)] == [1, 1, 2, 199, 200, 200]
    table = top_examples(f)
    assert set(table["factor"]) == {0, 1, 3}
    for factor, own in table.groupby("factor"):
        assert len(own) == 8
        slow = sorted(range(80), key=lambda n: (-f.mixtures[n, factor], n))[:8]
        assert own["example"].tolist() == slow
        assert (group[own["example"]] == factor).all()
        assert own["name"].tolist() == [f.example_names[n] for n in slow]
        assert (own["share"] > 0.9).all()
    tied = factorization(np.ones((5, 1)), {"layer": np.ones((2, 1))})
    assert top_examples(tied, 3)["example"].tolist() == [0, 1, 2]
    assert top_examples(tied, 3)["name"].tolist() == ["0", "1", "2"]
