"""While all values fit: read-outs against brute force, in every bit, however the stream is cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quantile_cases import DTYPES, FLAVOURS, feed, levels, quantiles, stream

from fastdissect.compat.baukit.quantile import Quantile
from fastdissect.compat.netdissect.quantile import RunningQuantile
from fastdissect.compat.running import quantile_readout, quantile_results, quantile_store
from fastdissect.errors import ActivationError, SettingError

LEVELS = np.float32([0, 1e-4, 0.01, 0.25, 0.5, 0.75, 0.99, 0.995, 0.9999, 1])
BOTH = pytest.mark.parametrize("cls", [RunningQuantile, Quantile])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1000, 7), (9000, 20)])
def test_equals_brute_force(shape: tuple[int, int], flavour: str, dtype: torch.dtype) -> None:
    x = stream(*shape, flavour, 1, dtype)
    rq = feed(RunningQuantile(), x, shape[0] // 3)
    probes = torch.cat([x[:5].t(), x[:5].t() + 0.01, x[:1].t() * 100], dim=1)
    assert torch.equal(rq.quantiles(torch.from_numpy(LEVELS)), quantiles(x, LEVELS))
    for level in LEVELS:  # one at a time: selected, then sorted
        assert torch.equal(rq.quantiles(float(level)), quantiles(x, [level])[:, 0])
    assert torch.equal(rq.readout(11), quantiles(x, torch.linspace(0, 1, 11).numpy()))
    assert torch.equal(rq.normalize(probes), levels(x, probes))
    assert torch.equal(rq.minmax(), torch.stack([x.amin(0), x.amax(0)], dim=1))
    assert (rq.exact, rq.exact_from, rq.rank_error) == (True, 0.0, 0.0)


@pytest.mark.parametrize("level", [0.9999, 0.97, 0.6, 0.0])
def test_ways_to_a_rank_agree(level: float, monkeypatch: pytest.MonkeyPatch) -> None:
    x = stream(5000, 6, "ties", 2)
    wanted = quantiles(x, [np.float32(level)])[:, 0]
    assert torch.equal(feed(RunningQuantile(), x, 100).quantiles(level), wanted)
    monkeypatch.setattr(quantile_store, "READS", 0)  # sorts
    assert torch.equal(feed(RunningQuantile(), x, 100).quantiles(level), wanted)
    monkeypatch.setattr(quantile_store, "READS", 9)
    monkeypatch.setattr(quantile_store, "TOP", math.inf)  # selects from everything
    assert torch.equal(feed(RunningQuantile(), x, 100).quantiles(level), wanted)


@given(
    st.lists(st.integers(0, 400), max_size=8),
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 8), max_size=3),
)
def test_neither_batches_nor_earlier_reads_matter(
    cuts: list[int], dtype: torch.dtype, reads: list[int]
) -> None:
    x = stream(1500, 3, "relu", 3, dtype)
    rq = RunningQuantile()
    rest = x
    for i, size in enumerate(cuts):
        rq.add(rest[:size])
        rest = rest[size:]
        if i in reads and rq.count:
            rq.quantiles(0.99), rq.normalize(x[:2].t())
    rq.add(rest)
    whole = feed(RunningQuantile(), x)
    assert torch.equal(rq.readout(101), whole.readout(101))
    assert torch.equal(rq.mean(), whole.mean())
    assert rq.batchcount == len(cuts) + 1
    for mine, other in zip(rq.state_dict()["data"], whole.state_dict()["data"], strict=True):
        assert mine is other is None or mine.tobytes() == other.tobytes()


@BOTH
def test_shapes_of_results(cls: Any) -> None:
    q = feed(cls(), stream(50, 4))
    assert q.quantiles(0.5).shape == (4,)
    assert q.quantiles([0.5, 0.9]).shape == (4, 2)
    assert q.quantiles(np.full((2, 3, 5), 0.5)).shape == (4, 2, 3, 5)
    assert q.median().shape == q.mean().shape == q.variance().shape == q.stdev().shape == (4,)
    assert q.normalize(torch.zeros(4)).shape == (4,)
    assert q.normalize(torch.zeros(4, 2, 3, dtype=torch.float16)).shape == (4, 2, 3)
    assert q.normalize(torch.zeros(4, 2, dtype=torch.float64)).dtype == torch.float32
    assert q.readout().shape == (4, 1001)
    assert (q.size(), q.count, q.depth, q.dtype, q.device) == (50, 50, 4, torch.float32, torch.device("cpu"))
    assert (q.resolution, q.buffersize, q.samplerate, q.extremes.shape) == (6144, 128, 1.0, (4, 2))


def test_baukits_own_names() -> None:
    x = stream(50, 4)
    q = feed(Quantile(), x)
    assert torch.equal(q.min(), x.amin(0))
    assert torch.equal(q.max(), x.amax(0))
    torch.testing.assert_close(q.variance(unbiased=False), x.var(0, unbiased=False))
    torch.testing.assert_close(q.stdev(unbiased=False), x.std(0, unbiased=False))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums(dtype: torch.dtype) -> None:
    x = stream(3000, 5, seed=4, dtype=dtype) * 3 + 1000
    rq = feed(RunningQuantile(), x, 7)
    torch.testing.assert_close(rq.mean(), x.double().mean(0).to(dtype), rtol=1e-7, atol=0)
    torch.testing.assert_close(rq.variance(), x.double().var(0).to(dtype), rtol=1e-6, atol=0)
    torch.testing.assert_close(rq.stdev(), x.double().std(0).to(dtype), rtol=1e-6, atol=0)
    counts = rq.integrate(lambda v: v > 1001)
    assert counts is not None
    assert torch.equal(counts, (x > 1001).sum(0).to(counts.dtype))
    assert rq.integrate(lambda v: torch.ones(v.shape[-1])) == 3000


def test_integrate_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastdissect.compat.running.quantile_stream.PIECE", 7)
    x = stream(100, 3, "ties")
    found = feed(RunningQuantile(), x).integrate(lambda v: v.square())
    assert torch.equal(found, x.square().sum(0))


def test_half_precision_sums_do_not_overflow() -> None:
    x = torch.full((70000, 1), 2.0, dtype=torch.float16)
    rq = feed(RunningQuantile(), x)
    assert rq.mean().tolist() == [2.0]
    assert rq.variance().tolist() == [0.0]


def test_infinities_are_ordinary() -> None:
    x = torch.tensor([[-math.inf], [0.0], [1.0], [math.inf]])
    rq = feed(RunningQuantile(), x)
    wanted = np.float32([0, 0.125, 0.3, 0.375, 0.5, 0.625, 0.7, 1])
    assert torch.equal(rq.quantiles(torch.from_numpy(wanted)), quantiles(x, wanted))
    probes = torch.tensor([[-math.inf, -5.0, 0.5, 9.0, math.inf]])
    with np.errstate(invalid="ignore"):
        assert torch.equal(rq.normalize(probes), levels(x, probes))


@pytest.mark.parametrize("seen", [0, 40])
def test_nan_is_an_error_and_nothing_is_taken(seen: int) -> None:
    x = stream(100, 3)
    rq = RunningQuantile()
    if seen:
        rq.add(x[:seen])
    bad = x[40:].clone()
    bad[7, 2] = math.nan
    with pytest.raises(ActivationError, match=f"NaN for unit 2 at sample {seen + 7}"):
        rq.add(bad)
    assert (rq.count, rq.batchcount) == (seen, int(seen > 0))
    huge = torch.full((4, 2), 3e38)  # a sum that overflows is no NaN
    feed(RunningQuantile(), torch.cat([huge, -huge]))


def test_nothing_seen() -> None:
    rq = RunningQuantile()
    assert (rq.count, rq.depth, rq.dtype, rq.device, rq.exact) == (0, None, None, None, True)
    rq.to_("cpu")
    with pytest.raises(ActivationError, match="add\\(\\) a batch first"):
        rq.quantiles(0.5)
    rq.add(torch.zeros(0, 3))
    assert rq.quantiles([0.5, 0.9]).isnan().all()
    assert rq.quantiles([0.5, 0.9]).shape == (3, 2)
    assert rq.minmax().tolist() == [[math.inf, -math.inf]] * 3
    assert rq.integrate(lambda v: v) is None
    with pytest.raises(ActivationError):
        rq.normalize(torch.zeros(3, 1))
    rq.add(torch.ones(1, 3))
    assert rq.median().tolist() == [1.0] * 3
    assert rq.variance().isnan().all()


def test_read_outs_do_not_change_later_ones() -> None:
    x = stream(64, 2)
    rq = feed(RunningQuantile(), x[:32])
    first = rq.readout(5).clone()
    rq.add(x[32:])
    assert torch.equal(feed(RunningQuantile(), x[:32]).readout(5), first)
    assert torch.equal(rq.readout(5), feed(RunningQuantile(), x).readout(5))
    x[:] = 0  # what was added is ours
    assert rq.minmax().abs().max() > 0


def test_wide_arithmetic_above_2_to_23(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (quantile_readout, quantile_results):
        monkeypatch.setattr(module, "SINGLE", 10)
    x = stream(1000, 2, dtype=torch.float64)
    rq = feed(RunningQuantile(), x)
    own = np.concatenate([[0], (np.arange(1000) + 0.5) / 1000, [1]])
    ordered = np.sort(x.numpy(), axis=0)
    values = np.concatenate([ordered[:1], ordered, ordered[-1:]])
    for level in (0.99, 0.123456789, 0.0005):
        wanted = [np.interp(level, own, values[:, k]) for k in range(2)]
        assert rq.quantiles(level).tolist() == wanted
        assert rq.quantiles([level])[:, 0].tolist() == wanted


@BOTH
def test_bad_arguments(cls: Any) -> None:
    bad: list[dict[str, Any]] = [{"r": 0}, {"r": 2.5}, {"buffersize": 0}, {"memory": -1}, {"memory": 1e9}]
    bad += [{"total": 0}, {"seed": -1}, {"tail": 0.1}, {"tail": 0.0, "total": 5}]
    for arguments in bad:
        with pytest.raises(SettingError):
            cls(**arguments)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.zeros(4), r"got shape \(4,\); maps \[N, K, h, w\] become samples by"),
        (torch.zeros(4, 3), r"expected \[samples, 2 units as before\]; got shape \(4, 3\)"),
        (torch.zeros(4, 2, dtype=torch.float64), "expected torch.float32 as before; got torch.float64"),
        (torch.zeros(4, 2, dtype=torch.int64), "got torch.int64"),
        (np.zeros((4, 2)), "expected a torch tensor"),
    ],
)
def test_bad_batches(batch: Any, message: str) -> None:
    rq = feed(RunningQuantile(), torch.zeros(1, 2))
    with pytest.raises(ActivationError, match=message):
        rq.add(batch)


def test_total_is_a_bound() -> None:
    rq = feed(RunningQuantile(total=10), torch.zeros(10, 2), 5)
    with pytest.raises(ActivationError, match="at most total = 10 samples; got 11"):
        rq.add(torch.zeros(1, 2))
    assert rq.count == 10


def test_gradients_and_views_are_taken_as_values() -> None:
    x = stream(60, 4).requires_grad_()
    maps = x.detach().reshape(5, 12, 4).permute(0, 2, 1)
    rq = feed(RunningQuantile(), x)
    assert torch.equal(rq.median(), feed(RunningQuantile(), maps.permute(0, 2, 1).reshape(-1, 4)).median())
    assert not rq.median().requires_grad


@BOTH
def test_what_is_not_offered(cls: Any) -> None:
    with pytest.raises(AttributeError, match=r"has no 'firstfree'.*it offers .*quantiles.*state_dict\(\)"):
        _ = cls().firstfree
    with pytest.raises(AttributeError, match="nearest: quantiles"):
        _ = cls().quantile
    assert not hasattr(cls(), "data")
