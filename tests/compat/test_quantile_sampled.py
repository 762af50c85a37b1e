"""Where not all values fit: the top is exact, the rest within the stated rank error, however the stream is cut."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quantile_cases import DTYPES, FLAVOURS, feed, levels, quantiles, ranks_off, stream

from fastdissect.compat.netdissect.quantile import RunningQuantile
from fastdissect.compat.running import quantile_tail
from fastdissect.compat.running.quantile_sketch import Sketch
from fastdissect.errors import SettingError

LEVELS = np.linspace(0.0005, 0.9995, 200)


def row(units: int, dtype: torch.dtype = torch.float32) -> int:
    return units * torch.empty(0, dtype=dtype).element_size()


def sampled(x: torch.Tensor, *sizes: int, fits: int = 1000, **arguments: Any) -> RunningQuantile:
    return feed(RunningQuantile(memory=fits * row(x.shape[1], x.dtype), **arguments), x, *sizes)


def test_memory_at_exactly_the_limit() -> None:
    x = stream(501, 3)
    rq = RunningQuantile(memory=500 * row(3))
    rq.add(x[:500])
    assert rq.exact
    assert torch.equal(rq.readout(50), quantiles(x[:500], torch.linspace(0, 1, 50).numpy()))
    rq.add(x[500:])
    assert not rq.exact
    assert 0 < rq.exact_from < 1
    assert rq.rank_error > 0
    assert "exact from 0.6" in repr(rq)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_top_is_exact(flavour: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantile_tail, "SMALLEST", 1 << 9)
    monkeypatch.setattr(quantile_tail, "PIECE", 1 << 9)
    x = stream(8000, 5, flavour, 1, dtype)
    rq = sampled(x, 999, 2, 3000)
    top = np.linspace(rq.exact_from, 1, 77).astype(np.float32)
    top = top[top >= rq.exact_from]
    assert 0.9 < rq.exact_from < 0.96
    assert torch.equal(rq.quantiles(torch.from_numpy(top)), quantiles(x, top))
    least = rq.quantiles(torch.tensor([rq.exact_from]))
    probes = torch.cat([least, least * 1.01 + 0.01, x[:50].t().clamp(min=least)], dim=1)
    assert torch.equal(rq.normalize(probes), levels(x, probes))
    assert torch.equal(rq.minmax(), torch.stack([x.amin(0), x.amax(0)], dim=1))
    above = rq.integrate(lambda v: v > least)
    assert above is not None
    assert torch.equal(above, (x > least[:, 0]).sum(0).to(above.dtype))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("fits", [0, 20, 3000])
def test_rank_errors_are_within_what_is_stated(flavour: str, fits: int) -> None:
    x = stream(60000, 40, flavour, 2)
    rq = sampled(x, fits=fits, r=256)
    off = ranks_off(x, rq.quantiles(torch.from_numpy(LEVELS)), LEVELS)
    assert 1e-4 < rq.rank_error < 3e-3
    assert np.sqrt((off**2).mean()) <= rq.rank_error
    assert off.max() <= 5 * rq.rank_error
    probes = x[:200].t().contiguous()
    assert (rq.normalize(probes) - levels(x, probes)).abs().max() <= 5 * rq.rank_error


def test_a_wider_sketch_errs_less() -> None:
    x = stream(60000, 20, seed=3)
    errors = [sampled(x, fits=0, r=r).rank_error for r in (64, 256, 1024, 4096)]
    assert all(a > 2.5 * b for a, b in itertools.pairwise(errors))
    off = [
        ranks_off(x, sampled(x, fits=0, r=r).quantiles(torch.from_numpy(LEVELS)), LEVELS) for r in (64, 4096)
    ]
    assert off[0].mean() > 8 * off[1].mean()


@given(st.lists(st.integers(0, 3000), max_size=6), st.lists(st.integers(0, 6), max_size=2), st.integers(0, 2))
def test_batches_and_earlier_reads_do_not_matter(cuts: list[int], reads: list[int], dtype: int) -> None:
    x = stream(9000, 3, "ties", 4, DTYPES[dtype])
    rq = RunningQuantile(r=32, memory=700 * row(3, x.dtype))
    rest = x
    for i, size in enumerate(cuts):
        rq.add(rest[:size])
        rest = rest[size:]
        if i in reads and rq.count:
            rq.quantiles(0.7), rq.normalize(x[:2].t())
    rq.add(rest)
    whole = sampled(x, r=32, fits=700)
    assert torch.equal(rq.readout(301), whole.readout(301))
    assert torch.equal(rq.normalize(x[:99].t()), whole.normalize(x[:99].t()))
    assert rq.rank_error == whole.rank_error


def test_seeds() -> None:
    x = stream(30000, 3)
    reads = [sampled(x, fits=0, r=64, seed=seed).readout(99) for seed in (None, 0, 1, 1)]
    assert torch.equal(reads[0], reads[1])
    assert torch.equal(reads[2], reads[3])
    assert not torch.equal(reads[0], reads[2])


def test_levels_do_not_fall() -> None:
    x = stream(20000, 4, "relu", 5)
    rq = sampled(x, r=32, fits=400)
    assert (rq.readout(2001).diff(dim=1) >= 0).all()
    steps = torch.linspace(-1, float(x.max()) + 1, 3001).expand(4, -1)
    found = rq.normalize(steps)
    assert (found.diff(dim=1) >= 0).all()
    assert (found[:, 0].max(), found[:, -1].min()) == (0, 1)


def test_sums_of_a_sample() -> None:
    x = stream(40000, 6, seed=6)
    for fits in (0, 4000):
        rq = sampled(x, fits=fits)
        assert (rq.mean() - x.mean(0)).abs().max() < 2e-3
        assert (rq.variance() - x.var(0)).abs().max() < 1e-2
        ones = rq.integrate(lambda v: torch.ones_like(v))
        assert ones is not None
        torch.testing.assert_close(ones, torch.full((6,), 40000.0))


def test_tail_of_a_stated_share() -> None:
    x = stream(20000, 4, seed=7)
    rq = sampled(x, fits=2000, total=25000, tail="0.02")
    assert rq.exact_from == np.float32((20000 - 502 + 0.5) / 20000)
    level = np.float32([0.98])
    assert torch.equal(rq.quantiles(torch.from_numpy(level)), quantiles(x, level))
    with pytest.raises(SettingError, match=r"top 0\.5 of 25000 samples of 4 units.*pass memory >= "):
        sampled(x, fits=2000, total=25000, tail=0.5)
    assert sampled(x, fits=0).exact_from == 1.0


def test_a_full_tail_serves_the_level_that_dissect_reads() -> None:
    """1 - 0.01 of a stream 20 times as large as the memory."""
    x = stream(100000, 3, "relu", 8)
    rq = sampled(x, *[977] * 90, fits=5000, total=100000)
    assert not rq.exact
    assert rq.exact_from < 0.99
    assert torch.equal(rq.quantiles(1 - 0.01), quantiles(x, [np.float32(1 - 0.01)])[:, 0])


@pytest.mark.parametrize("count", [1, 7, 100, 1000, 5000, 70000])
@pytest.mark.parametrize("together", [False, True])
def test_weights_add_up(count: int, together: bool) -> None:
    x = stream(count, 3)
    sketch = Sketch(x[:0], 100, 8, (0, 0))
    if together:
        sketch.take_sorted(x.sort(dim=0).values.t().contiguous())
    else:
        sketch.take(x)
    assert sum(values.shape[1] * weight for values, weight in sketch.parts()) == count
    assert sum(values.shape[1] for values, _ in sketch.parts()) < 100 * 3 + 8 * 20 + 256
    assert sketch.count == count


def test_blocks_narrower_than_a_step() -> None:
    """A sketch that has seen 2^40 samples takes one value of a block now and then."""
    x = stream(64 * 3000, 2)
    sketch = Sketch(x[:0], 64, 64, (1,))
    sketch.restore(0, [x[:0].t()] * 10 + [x[:1].t()], x[:2].t().contiguous(), 0.0)
    sketch.take(x)
    weight = sum(values.shape[1] * weight for values, weight in sketch.parts())
    assert abs(weight - 1024 - len(x)) < 5 * np.sqrt(sketch.variance)
    assert sketch.levels[10].shape[1] > 50
