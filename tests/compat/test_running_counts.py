"""Moments, covariances, co-occurrence and bincounts against torch on all data together."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fastdissect.compat.running import co_occurrence, covariances, moments
from fastdissect.compat.running.bincounts import Bincounts
from fastdissect.compat.running.co_occurrence import CoOccurrence, binary
from fastdissect.compat.running.covariances import Covariances
from fastdissect.compat.running.moments import Moments
from fastdissect.errors import ActivationError

SPLITS = st.lists(st.integers(0, 60), max_size=5)


def cut(data: Tensor, ends: list[int]) -> list[Tensor]:
    edges = [0, *sorted(min(end, len(data)) for end in ends), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def normal(seed: int, *shape: int, mean: float = 0.0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(mean, size=shape)).float()


@given(seed=st.integers(0, 99), ends=SPLITS, mean=st.sampled_from([0.0, 3.0, -1e4]))
def test_moments(seed: int, ends: list[int], mean: float) -> None:
    data = normal(seed, 60, 3, mean=mean)
    found = Moments()
    for part in cut(data, ends):
        found.add(part, "test")
    wide = data.double()
    assert (found.count, found.mean().dtype, found.variance().dtype) == (60, torch.float32, torch.float32)
    torch.testing.assert_close(found.mean(), wide.mean(0).float(), rtol=2e-7, atol=1e-7)
    torch.testing.assert_close(found.variance(), wide.var(0).float(), rtol=3e-7, atol=0)
    torch.testing.assert_close(found.variance(False), wide.var(0, correction=0).float(), rtol=3e-7, atol=0)


def test_variance_far_from_zero() -> None:
    """Mean 2^20, deviations of a half: naive sums of squares in float64 would do, float32 updates would not."""
    data = (2.0**20 + torch.tensor([0.0, 1.0]).repeat(5000))[:, None]
    found = Moments()
    for part in data.split(7):
        found.add(part, "test")
    assert found.variance(unbiased=False).item() == 0.25
    assert found.mean().item() == 2.0**20 + 0.5


@given(seed=st.integers(0, 99), ends=SPLITS, dtype=st.sampled_from([torch.float32, torch.bool, torch.uint8]))
def test_means_of_indicators_are_exact_whatever_the_batches(
    seed: int, ends: list[int], dtype: torch.dtype
) -> None:
    ones = torch.from_numpy(np.random.default_rng(seed).integers(0, 2, (60, 4))).to(dtype)
    found, counted = Moments(), Moments()
    for part in cut(ones, ends):
        found.add(part, "test")
        if len(part):
            counted.combine_counts(len(part), part.long().sum(0), dtype)
    count = ones.long().sum(0)
    assert torch.equal(found.sum(), count.double())
    assert torch.equal(counted.sum(), count.double())
    assert torch.equal(found.mean(), (count.double() / 60).float())
    torch.testing.assert_close(counted.variance(), ones.double().var(0).float(), rtol=3e-7, atol=1e-12)


def test_sums_do_not_stall_at_2_to_the_24() -> None:
    found = Moments()
    found.combine_counts(1 << 24, torch.tensor([1 << 24]), torch.float32)
    for _ in range(3):
        found.combine_counts(1, torch.tensor([1]), torch.float32)
    assert found.sum().item() == (1 << 24) + 3


def test_large_batches_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "PIECE", 8)
    monkeypatch.setattr(covariances, "PIECE", 8)
    data = normal(1, 50, 3, mean=5.0)
    found, pairs = Moments(), Covariances()
    found.add(data, "test")
    pairs.add(data, "test")
    assert found.batches == 1
    torch.testing.assert_close(found.variance(), data.double().var(0).float(), rtol=3e-7, atol=0)
    torch.testing.assert_close(pairs.covariance(True), data.double().t().cov(), rtol=1e-12, atol=1e-12)


@given(seed=st.integers(0, 99), ends=SPLITS)
def test_covariances(seed: int, ends: list[int]) -> None:
    data = normal(seed, 60, 4, mean=2.0).double()
    found = Covariances()
    for part in cut(data, ends):
        found.add(part, "test")
    torch.testing.assert_close(found.mean(), data.mean(0))
    torch.testing.assert_close(found.covariance(True), data.t().cov())
    torch.testing.assert_close(found.covariance(False), data.t().cov(correction=0))


@given(seed=st.integers(0, 99), ends=SPLITS, kind=st.sampled_from(["bool", "float", "int"]))
def test_co_occurrence(seed: int, ends: list[int], kind: str) -> None:
    a, b = normal(seed, 60, 3), normal(seed + 1, 60, 5)
    if kind == "bool":
        a, b = a > 0.3, b > -0.3
    elif kind == "int":
        a, b = a.round().long(), b.round().long()
    found = CoOccurrence()
    for one, other in zip(cut(a, ends), cut(b, ends), strict=True):
        found.add(one, other, "test")
    x, y = binary(a), binary(b)
    shared = (x[:, :, None] & y[:, None, :]).sum(0)
    either = (x[:, :, None] | y[:, None, :]).sum(0)
    assert torch.equal(found.counts()[0], shared)
    assert torch.equal(found.union(), either)
    assert torch.equal(found.iou(), (shared.double() / either.clamp(min=1)).float())


def test_co_occurrence_of_long_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(co_occurrence, "EXACT_ROWS", 7)
    a = normal(2, 50, 3) > 0
    found = CoOccurrence()
    found.add(a, a, "test")
    assert torch.equal(found.counts()[0], (a[:, :, None] & a[:, None, :]).sum(0))


def test_binary_is_above_zero() -> None:
    odd = torch.tensor([-2.0, -0.0, 0.0, 0.5, float("inf"), float("nan")])
    assert binary(odd).tolist() == [False, False, False, True, True, False]


@given(seed=st.integers(0, 99), ends=SPLITS)
def test_bincounts(seed: int, ends: list[int]) -> None:
    data = torch.from_numpy(np.random.default_rng(seed).integers(0, 9, (60, 2)))
    found = Bincounts()
    for part in cut(data, ends):
        found.add(part.t(), None, "test")
    assert found.count == 120
    assert torch.equal(found.result(), torch.bincount(data.reshape(-1)))


def test_what_is_no_count_is_refused() -> None:
    with pytest.raises(ActivationError, match=r"expected integers; got torch\.float32"):
        Bincounts().add(torch.zeros(3), None, "Bincount.add")
    with pytest.raises(ActivationError, match="expected numbers from 0; got -2"):
        Bincounts().add(torch.tensor([1, -2]), None, "Bincount.add")
    with pytest.raises(ActivationError, match="of as many samples each"):
        CoOccurrence().add(torch.zeros(3, 2), torch.zeros(4, 2), "IoU.add")


@pytest.mark.parametrize(
    "empty", [Moments().mean, Covariances().mean, CoOccurrence().union, Bincounts().result]
)
def test_nothing_yet(empty: object) -> None:
    assert callable(empty)
    with pytest.raises(ActivationError, match="at least one batch"):
        empty()


def test_other_features_are_refused() -> None:
    found, pairs = Moments(), CoOccurrence()
    found.add(torch.zeros(2, 3), "RunningVariance.add")
    with pytest.raises(ActivationError, match=r"RunningVariance\.add: expected 3 features .* got 2"):
        found.add(torch.zeros(2, 2), "RunningVariance.add")
    pairs.add(torch.ones(2, 3), torch.ones(2, 2), "CrossIoU.add")
    with pytest.raises(ActivationError, match=r"CrossIoU\.add: expected 2 features .* got 3"):
        pairs.add(torch.ones(2, 3), torch.ones(2, 3), "CrossIoU.add")
    assert pairs.count == 2
    assert pairs.counts()[0].sum() == 12
