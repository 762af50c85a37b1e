"""Common bounds: never above what brute force finds over all processes' values, and not far below."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdissect.exchanging import common_bounds, exchange_points, told_ranks
from fastdissect.kernels.keys import keys

Told = tuple[np.ndarray, np.ndarray, list[np.ndarray]]


def tell(values: list[np.ndarray], bounds: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """uint32 [processes, 1, ranks] as `select` gives them, plainly."""
    told = np.empty((len(values), 1, len(ranks)), np.uint32)
    for i, own in enumerate(values):
        above = np.sort(own[own > bounds[i]])[::-1]
        for j, rank in enumerate(ranks):
            told[i, 0, j] = above[rank - 1] if rank <= len(above) else bounds[i]
    return told


@settings(deadline=None, max_examples=200)
@given(
    st.integers(1, 5),
    st.integers(1, 60),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["normal", "ties", "relu"]),
)
def test_no_threshold_is_below_a_common_bound(processes: int, deepest: int, seed: int, how: str) -> None:
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(processes):
        x = rng.normal(size=rng.integers(0, 80)).astype(np.float32)
        values.append(keys(np.round(x) if how == "ties" else np.maximum(x, 0) if how == "relu" else x))
    every = np.sort(np.concatenate(values))[::-1]
    # what a process has forgotten lies at or below its bound, which no threshold may be below
    safe = every[deepest - 1] if len(every) >= deepest else 0
    bounds = np.array([rng.choice([0, safe, safe // 2]) for _ in range(processes)], np.uint32)
    ranks = told_ranks(deepest)
    found = common_bounds(tell(values, bounds, ranks), bounds[:, None], ranks, deepest)
    assert found.shape == (1,)
    if found[0]:
        assert (every >= found[0]).sum() >= deepest
        assert found[0] <= safe


def test_a_common_bound_is_near_the_exact_one() -> None:
    rng = np.random.default_rng(0)
    deepest, processes = 1000, 7
    values = [keys(rng.normal(size=20_000).astype(np.float32)) for _ in range(processes)]
    ranks, bounds = told_ranks(deepest), np.zeros(processes, np.uint32)
    found = common_bounds(tell(values, bounds, ranks), bounds[:, None], ranks, deepest)
    reached = sum((own >= found[0]).sum() for own in values)
    assert deepest <= reached <= 1.15 * deepest


def test_units_are_apart() -> None:
    rng = np.random.default_rng(1)
    ranks = told_ranks(20)
    values = [
        [keys(rng.normal(size=50).astype(np.float32)) for _ in range(3)] for _ in range(2)
    ]  # [process][unit]
    none = np.zeros(2, np.uint32)
    one_by_one = [
        common_bounds(tell([own[k] for own in values], none, ranks), none[:, None], ranks, 20)[0]
        for k in range(3)
    ]
    told = np.concatenate([tell([own[k] for own in values], none, ranks) for k in range(3)], axis=1)
    np.testing.assert_array_equal(common_bounds(told, np.zeros((2, 3), np.uint32), ranks, 20), one_by_one)


@pytest.mark.parametrize("deepest", [1, 2, 9, 1000, 10**6])
def test_told_ranks_end_at_the_deepest(deepest: int) -> None:
    ranks = told_ranks(deepest)
    assert ranks[0] >= 1
    assert ranks[-1] == deepest
    assert (np.diff(ranks) > 0).all()
    assert len(ranks) <= 65


@pytest.mark.parametrize("batches", [0, 1, 2, 7, 1000, 10**6])
def test_exchange_points_rise_and_stay_inside(batches: int) -> None:
    points = exchange_points(batches)
    assert (np.diff(points) > 0).all()
    assert all(1 <= p <= batches for p in points)
    assert len(points) < 50
    assert (points[:1] == [1]) == (batches > 0)
