"""Average precision, its control, and cuts: brute force beside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastdissect.methods.semantics.precision import average_precision, best_cut, chance_precision, iou_above


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=25))
def test_average_precision_from_its_definition(pairs: list[tuple[int, bool]]) -> None:
    scores, told = np.array([s for s, _ in pairs], float), np.array([t for _, t in pairs])
    found = float(average_precision(scores, told))
    if not told.any():
        assert np.isnan(found)
        return
    each = [told[scores >= s].mean() for s in scores[told]]
    assert found == pytest.approx(np.mean(each), abs=1e-12)


def test_many_labellings_at_once() -> None:
    rng = np.random.default_rng(0)
    scores, told = rng.normal(size=40).round(1), rng.random((5, 3, 40)) < 0.5
    found = average_precision(scores, told)
    assert found.shape == (5, 3)
    assert found[4, 2] == pytest.approx(float(average_precision(scores, told[4, 2])), abs=1e-12)


def test_chance_is_about_the_share_of_positives() -> None:
    rng = np.random.default_rng(1)
    told = np.repeat(rng.random(400) < 0.5, 5)  # stretches of five
    scores = np.repeat(rng.normal(size=400), 5) + rng.normal(size=2000)
    quantile = chance_precision(scores, told, 300, 0.95, (0,))
    assert told.mean() < quantile < told.mean() + 0.1
    # blocks make chance wider than single cells do
    alone = [float(average_precision(scores, rng.permutation(told))) for _ in range(300)]
    assert quantile > np.quantile(alone, 0.95)
    assert chance_precision(scores, told, 300, 0.95, (0,)) == quantile
    assert np.isnan(chance_precision(scores[:1], told[:1], 20, 0.95, (0,)))


def test_a_random_score_is_seldom_above_its_control() -> None:
    rng = np.random.default_rng(2)
    above = 0
    for trial in range(200):
        told = np.repeat(rng.random(60) < 0.5, 4)
        scores = np.repeat(rng.normal(size=60), 4)
        above += bool(average_precision(scores, told) > chance_precision(scores, told, 100, 0.95, (trial,)))
    assert above <= 22  # 10 expected; 22 has a probability below 0.001


@given(st.lists(st.tuples(st.integers(-3, 3), st.sampled_from([0.0, 0.25, 1.0])), min_size=1, max_size=20))
def test_the_best_cut_from_all_cuts(pairs: list[tuple[int, float]]) -> None:
    scores, covered = np.array([s for s, _ in pairs], float), np.array([c for _, c in pairs])
    cut = best_cut(scores, covered)
    if not covered.any():
        return
    best = max(iou_above(scores, covered, c) for c in [-np.inf, *scores])
    assert iou_above(scores, covered, cut) == pytest.approx(best, abs=1e-12)


def test_iou_by_hand() -> None:
    scores, covered = np.array([2.0, 1.0, 0.0]), np.array([1.0, 0.5, 0.25])
    assert iou_above(scores, covered, 0.5) == pytest.approx(1.5 / (1.75 + 0.5))
    assert iou_above(scores, covered, 5.0) == 0
    assert np.isnan(iou_above(np.zeros(0), np.zeros(0), 0.0))
