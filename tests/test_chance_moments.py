"""Moments of permutation statistics against all permutations, one by one."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from chance_cases import boxes, layer_of
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import values

from fastdissect import scores
from fastdissect.errors import DataError, SettingError
from fastdissect.methods.chance import Laid, pair_chance, unit_masks
from fastdissect.methods.chance.moments import Moments, exact_moments, moments, upper_tail
from fastdissect.methods.chance.permuting import permuted_counts
from fastdissect.types import Counts


def all_orders(n: int) -> np.ndarray:
    return np.array(list(itertools.permutations(range(n))), np.int64)


def all_sums(x: np.ndarray) -> np.ndarray:
    """S of every permutation of a square matrix."""
    orders = all_orders(len(x))
    return x[np.arange(len(x)), orders].sum(1)


def exact_spread(sums: np.ndarray) -> tuple[Fraction, Fraction]:
    whole = [Fraction(int(s)) for s in sums]
    mean = sum(whole) / len(whole)
    return mean, sum((s - mean) ** 2 for s in whole) / len(whole)


@st.composite
def matrices(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """(whole numbers [N, N] with empty rows and columns, the part that is not empty)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(1, 6))
    x = rng.integers(0, draw(st.sampled_from([2, 10, 1 << 20])), (n, n))
    x[rng.random(n) < 0.3] = 0
    x[:, rng.random(n) < 0.3] = 0
    return x, x[x.any(1)][:, x.any(0)]


@given(pair=matrices())
def test_mean_and_variance_are_exact(pair: tuple[np.ndarray, np.ndarray]) -> None:
    whole, part = pair
    assert exact_moments(part, len(whole)) == exact_spread(all_sums(whole))


@given(pair=matrices())
def test_three_moments_in_floats(pair: tuple[np.ndarray, np.ndarray]) -> None:
    whole, part = pair
    found, sums = moments(part, len(whole)), all_sums(whole).astype(float)
    spread = sums.var()
    assert found.mean == pytest.approx(sums.mean())
    assert found.variance == pytest.approx(spread, rel=1e-9, abs=1e-9 * max(1, sums.max() ** 2))
    if spread > 1e-6 and len(whole) > 2:
        third = ((sums - sums.mean()) ** 3).mean() / spread**1.5
        assert found.skewness == pytest.approx(third, rel=1e-6, abs=1e-6)


def test_large_counts_do_not_wrap() -> None:
    x = np.full((3, 3), 2**31 - 1)
    x[0, 0] = 0
    assert exact_moments(x, 3) == exact_spread(all_sums(x))


@pytest.mark.parametrize(
    ("filled", "slacks"), [(150, (1.1, 1.25, 2.0)), (60, (1.1, 1.25, 2.0)), (20, (1.4, 1.7, 2.3))]
)
def test_the_tail_is_as_close_to_drawn_permutations_as_it_says(
    filled: int, slacks: tuple[float, ...]
) -> None:
    """At one in twenty, in a hundred and in a thousand, for a skewed sum of 150 overlaps."""
    rng = np.random.default_rng(3)
    x = np.zeros((150, 150))
    some = rng.exponential(size=(2, filled))
    x[:filled, :filled] = np.outer(*some) * (rng.random((filled, filled)) < 0.5)
    drawn = np.array([x[np.arange(150), rng.permutation(150)].sum() for _ in range(20_000)])
    found = moments(x, 150)
    assert found.skewness > 0.1  # the normal distribution would be wrong here
    for share, slack in zip((0.05, 0.01, 0.001), slacks, strict=True):
        p = upper_tail(float(np.quantile(drawn, 1 - share)), found)
        assert share / slack < p < share * slack


def test_the_tail_of_one_image_against_one_fails_as_stated() -> None:
    """S is 0 or 1, and 1 in one of a hundred permutations: the approximation has no such step."""
    assert 0.01 / 10 < upper_tail(1, moments(np.array([[1]]), 100)) < 0.01 / 2


def test_the_tail_without_skewness_is_the_normal_distribution() -> None:
    assert upper_tail(1.959963985, Moments(0, 1, 0)) == pytest.approx(0.025, rel=1e-6)


def test_a_sum_that_cannot_vary() -> None:
    same = moments(np.full((4, 4), 7), 4)
    assert same == Moments(28.0, 0.0, 0.0)
    assert upper_tail(28, same) == 1
    assert upper_tail(28.5, same) == 0


@given(seed=st.integers(0, 2**32), size=st.integers(1, 40), scale=st.sampled_from([1, 1e-3, 12544]))
def test_a_sum_that_cannot_vary_has_no_variance_from_rounding(seed: int, size: int, scale: float) -> None:
    """Rows of one number each, as where a concept fills every image: every permutation has the same sum."""
    rng = np.random.default_rng(seed)
    x = np.repeat(scale * rng.random((int(rng.integers(1, size + 1)), 1)), size, axis=1)
    found = moments(x, size)
    assert (found.variance, found.skewness) == (0, 0)
    assert upper_tail(float(x[:, 0].sum()), found) == 1


def test_the_smallest_variance_is_none_of_rounding() -> None:
    """One pixel more in one of 2,000 images of whole masks."""
    x = np.full((3, 2000), 12544)
    x[0, 7] -= 1
    found = moments(x, 2000)
    assert found.variance == pytest.approx(float(exact_moments(x, 2000)[1]), rel=1e-3)


@pytest.mark.parametrize("presence", ["image", "under-mask", "all"])
def test_a_concept_that_fills_every_image_is_no_finding(presence: str) -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        images = int(rng.integers(3, 40))
        labels = boxes(rng, images, 3, 12)
        labels[:, 0] = True
        layer, planes = layer_of(values(rng, (images, 2, 6, 6), "relu"), labels, presence=presence)
        for unit in range(2):
            got = pair_chance(layer, planes, unit, 0)
            assert (got.variance, got.z, got.p_intersection, got.p_iou) == (0, 0, 1, 1)


def pair_case(presence: str) -> tuple:
    rng = np.random.default_rng(11)
    x = values(rng, (6, 3, 6, 6), "relu")
    x[2, 1] = -1  # unit 1 has no mask in image 2
    labels = boxes(rng, 6, 4, 12)
    labels[3] = False  # and image 3 has no label
    labels[5, 2] = True  # concept 2 covers the whole of image 5
    return layer_of(x, labels, presence=presence)


@pytest.mark.parametrize("presence", ["image", "under-mask", "all"])
def test_a_pair_has_the_moments_of_all_permutations(presence: str) -> None:
    layer, planes = pair_case(presence)
    laid = Laid(layer, unit_masks(layer), planes)
    intersection, _ = permuted_counts(laid, all_orders(6))
    for unit, concept in itertools.product(range(3), range(4)):
        got = pair_chance(layer, planes, unit, concept, laid=laid)
        mean, variance = exact_spread(intersection[:, unit, concept])
        assert (got.mean, got.variance) == (mean, variance)
        assert got.intersection == layer.intersection[unit, concept]
        assert got.iou == layer.iou()[unit, concept]
        assert got.z == pytest.approx(float(got.intersection - mean) / float(variance) ** 0.5)


@pytest.mark.parametrize("presence", ["image", "under-mask", "all"])
def test_the_tail_of_a_pair_is_that_of_its_iou(presence: str) -> None:
    """Also where B varies with the permutation; six images are few, so within a factor of three."""
    layer, planes = pair_case(presence)
    intersection, unit_area = permuted_counts(Laid(layer, unit_masks(layer), planes), all_orders(6))
    layers = [
        Counts(i, a, layer.counts.concept_area, layer.mask_area)
        for i, a in zip(intersection, unit_area, strict=True)
    ]
    null = np.array([scores.iou(one, layer.concepts, layer.profile) for one in layers])
    checked = 0
    for unit, concept in itertools.product(range(3), range(4)):
        got = pair_chance(layer, planes, unit, concept)
        true = (null[:, unit, concept] >= got.iou - 1e-12).mean()
        if true > 0.05:
            assert true / 3 < got.p_iou < min(1, true * 3) + 0.05
            checked += 1
    assert checked > 5


def test_a_concept_by_name() -> None:
    layer, planes = pair_case("image")
    assert pair_chance(layer, planes, 0, "concept 2").concept == "concept 2"
    assert pair_chance(layer, planes, 0, "concept 2") == pair_chance(layer, planes, 0, 2)


@pytest.mark.parametrize(("unit", "concept"), [(3, 0), (-1, 0), (0, 4), (0, -1), (0, "no such")])
def test_unknown_units_and_concepts_are_refused(unit: int, concept: int | str) -> None:
    layer, planes = pair_case("image")
    with pytest.raises(SettingError, match="expected"):
        pair_chance(layer, planes, unit, concept)


def test_planes_of_other_labels_are_refused() -> None:
    layer, _ = pair_case("image")
    _, other = layer_of(
        values(np.random.default_rng(0), (6, 3, 6, 6), "relu"), boxes(np.random.default_rng(1), 6, 4, 12)
    )
    with pytest.raises(DataError, match="counts come out again"):
        pair_chance(layer, other, 0, 0)
