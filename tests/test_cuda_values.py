"""The CUDA kernels that read values by unit, where the tests of all backends do not reach: many parts, both ways of
selecting, every way of sharing out a view. Against sorting and brute force, or the reference, with ==."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_on_host.facing import uploaded
from cuda_on_host.fixture import Cupy
from kernel_cases import KINDS, LAYOUTS, assert_same, encode, values

from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.keys import keys, widen
from fastdissect.kernels.protocol import Values
from fastdissect.types import ActivationView, Kind

REFERENCE = get_backend("reference")


def parts_of(x: np.ndarray, lengths: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Values in parts of lengths [parts, units], filled from x in order."""
    starts = [np.concatenate([[0], np.cumsum(own)]).astype(np.int64) for own in lengths]
    return starts, np.split(x[: lengths.sum()], np.cumsum(lengths.sum(1))[:-1])


def random_parts(kind: Kind, parts: int, units: int, seed: int = 0) -> tuple[list, list, np.ndarray]:
    """A long first part, short ones and empty ones; ties, NaNs, infinities and both zeros; and bounds."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 12, (parts, units))
    lengths[0] += rng.integers(0, 700, units)
    lengths[rng.integers(0, parts, parts // 3 + 1)] = 0
    lengths[:, units // 2] = 0
    x = np.round(rng.normal(size=lengths.sum()) * 8).astype(np.float32) / 4
    x[rng.random(len(x)) < 0.05] = np.nan
    for special in (np.inf, -np.inf, -0.0, 0.0):
        x[rng.random(len(x)) < 0.02] = special
    encoded = x.astype(np.float16) if kind == "float16" else encode(x, kind)
    bounds = keys(rng.choice(np.float32([-1, 0, 0.5, 2, 9, np.inf]), units))
    bounds[::3] = 0
    return *parts_of(encoded, lengths), bounds


def sorted_above(starts: list, own: list, kind: Kind, bounds: np.ndarray, unit: int) -> list[int]:
    x = np.concatenate([widen(v[s[unit] : s[unit + 1]], kind) for s, v in zip(starts, own, strict=True)])
    falling = np.sort(keys(x[~np.isnan(x)]))[::-1]
    return falling[falling > bounds[unit]].tolist()


@pytest.fixture(params=[None, 1, 300], ids=["a block a unit", "shares of one value", "shares of 300"])
def shares(request: pytest.FixtureRequest, cuda: Cupy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of selecting: one block a unit, or several with the digits' counts in global memory."""
    from fastdissect.kernels.cuda import select

    if request.param:
        monkeypatch.setattr(select, "SHARE", request.param)
        monkeypatch.setattr(select, "BLOCKS", 24)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", [1, 2, 31, 32, 33, 70])
def test_every_rank_of_many_parts(cuda: Cupy, shares: None, kind: Kind, parts: int) -> None:
    from fastdissect.kernels.cuda.select import select

    starts, own, bounds = random_parts(kind, parts, 6, parts)
    above = [sorted_above(starts, own, kind, bounds, unit) for unit in range(6)]
    deepest = max(map(len, above)) + 1
    ranks = np.unique(np.linspace(1, deepest, 9).astype(np.int64))[None].repeat(6, 0)
    ranks[1] = ranks[1, 0]  # equal ranks, and a pair that parts ways at the last digit
    ranks[2, 1:] = ranks[2, :-1] + 1
    chosen = select([uploaded(s) for s in starts], [uploaded(v) for v in own], kind, bounds, ranks).get()
    for unit, falling in enumerate(above):
        expected = [falling[r - 1] if r <= len(falling) else bounds[unit] for r in ranks[unit]]
        assert chosen[unit].tolist() == expected


def test_ties_at_every_rank(cuda: Cupy, shares: None) -> None:
    """Units of one value, of two, of neighbours in the last bit, and of opposite signs."""
    from fastdissect.kernels.cuda.select import select

    one = np.float32(1)
    pairs = [
        (one, one),
        (one, np.float32(2)),
        (one, np.nextafter(one, np.float32(2))),
        (one, -one),
        (0.0, -0.0),
    ]
    x = np.concatenate([np.float32([a, b] * 5) for a, b in pairs])
    starts = np.arange(0, len(x) + 1, 10).astype(np.int64)
    ranks = np.arange(1, 12)[None].repeat(len(pairs), 0).astype(np.int64)
    bounds = np.zeros(len(pairs), np.uint32)
    chosen = select([starts], [x], "float32", bounds, ranks).get()
    for unit, row in enumerate(chosen):
        assert row.tolist() == [*np.sort(keys(x[10 * unit :][:10]))[::-1].tolist(), 0]


@pytest.mark.parametrize("kind", KINDS)
def test_one_unit_of_many_values(cuda: Cupy, shares: None, kind: Kind) -> None:
    from fastdissect.kernels.cuda.select import raise_bounds, select

    rng = np.random.default_rng(1)
    x = encode(rng.normal(size=100_000).astype(np.float32), kind)
    starts, own = parts_of(x, np.array([[60_000], [1], [39_999]]))
    bounds = np.zeros(1, np.uint32)
    falling = np.sort(keys(widen(x, kind)))[::-1]
    ranks = np.array([[500, 501, 99_999, 100_000, 100_001]])
    chosen = select(starts, own, kind, bounds, ranks).get()
    assert chosen[0].tolist() == [*falling[ranks[0, :4] - 1].tolist(), 0]
    for rank in (500, 60_000):
        risen = raise_bounds(starts, own, kind, bounds, rank).get()
        assert risen.tolist() == REFERENCE.raise_bounds(starts, own, kind, bounds, rank, 1).tolist()
        assert 0 < risen[0] <= falling[rank - 1]


def test_many_units_of_few_values(cuda: Cupy) -> None:
    from fastdissect.kernels.cuda.join import join
    from fastdissect.kernels.cuda.select import raise_bounds, select

    rng = np.random.default_rng(2)
    lengths = rng.integers(0, 4, (3, 5000))
    starts, own = parts_of(np.round(rng.normal(size=lengths.sum()) * 4).astype(np.float32), lengths)
    bounds = np.where(rng.random(5000) < 0.5, 0, keys(np.float32([0]))).astype(np.uint32)
    arguments = starts, own, "float32", bounds
    ranks = np.full((5000, 1), 2, np.int64)
    assert select(*arguments, ranks).get().tolist() == REFERENCE.select(*arguments, ranks, 1).tolist()
    assert raise_bounds(*arguments, 2).get().tolist() == REFERENCE.raise_bounds(*arguments, 2, 1).tolist()
    start, joined = join(*arguments)
    assert_same((start.get(), joined.get()), REFERENCE.join(*arguments, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [31, 32, 100, 4095, 4096, 9000])
def test_bounds_rise_as_the_reference_says(cuda: Cupy, kind: Kind, count: int) -> None:
    """Every way out: too few values, no such sample, a sample at the bound, the first or second of them, ties."""
    from fastdissect.kernels.cuda.select import raise_bounds

    rng = np.random.default_rng(count)
    x = rng.normal(size=(7, count)).astype(np.float32)
    x[1] = np.round(x[1])
    x[2] = 1
    x[3] = np.where(rng.random(count) < 0.11, 1, np.where(rng.random(count) < 0.5, 0.5, 0))
    x[4, rng.random(count) < 0.3] = np.nan
    x[5, ::3] = np.inf
    x[6] = np.nan
    x = x.astype(np.float16) if kind == "float16" else encode(x, kind)
    cut = count // 3
    starts = [np.arange(8) * cut, np.arange(8) * (count - cut)]
    own = [np.ascontiguousarray(x[:, :cut]).reshape(-1), np.ascontiguousarray(x[:, cut:]).reshape(-1)]
    seen = set()
    for bounds in (np.zeros(7, np.uint32), keys(np.resize(np.float32([0, 0.4, 1]), 7))):
        for rank in (1, 3, count // 20, count // 10, count // 2, count - 1, count, count + 1):
            arguments = starts, own, kind, bounds, max(1, rank)
            risen = raise_bounds(*arguments).get()
            assert risen.tolist() == REFERENCE.raise_bounds(*arguments, 1).tolist()
            seen |= set((risen > bounds).tolist())
    assert seen == {True, False}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", [1, 3, 32, 70])
def test_join_keeps_the_order(cuda: Cupy, kind: Kind, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastdissect.kernels.cuda import join

    starts, own, bounds = random_parts(kind, parts, 9, 10 + parts)
    expected = REFERENCE.join(starts, own, kind, bounds, 1)
    for size in (1024, 40, 5):
        monkeypatch.setattr(join, "SLICE", size)
        start, joined = join.join([uploaded(s) for s in starts], [uploaded(v) for v in own], kind, bounds)
        assert_same((start.get(), joined.get()), expected)


def test_join_of_one_long_unit_among_short_ones(cuda: Cupy) -> None:
    from fastdissect.kernels.cuda.join import join

    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 3, (2, 300))
    lengths[0, 7] = 50_000
    starts, own = parts_of(rng.normal(size=lengths.sum()).astype(np.float32), lengths)
    bounds = np.full(300, keys(np.float32([0.5]))[0])
    start, joined = join(starts, own, "float32", bounds)
    assert_same((start.get(), joined.get()), REFERENCE.join(starts, own, "float32", bounds, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_no_units_and_no_values(cuda: Cupy, kind: Kind) -> None:
    from fastdissect.kernels.cuda.join import join
    from fastdissect.kernels.cuda.select import raise_bounds, select

    for units in (0, 3):
        own = encode(np.zeros(0), kind)
        arguments = [np.zeros(units + 1, np.int64)] * 2, [own, own], kind, np.full(units, 5, np.uint32)
        ranks = np.ones((units, 2), np.int64)
        assert_same(select(*arguments, ranks).get(), np.full((units, 2), 5, np.uint32))
        assert_same(raise_bounds(*arguments, 1).get(), np.full(units, 5, np.uint32))
        start, joined = join(*arguments)
        assert_same((start.get(), joined.get()), (np.zeros(units + 1, np.int64), own))


SHAPES = [
    (1, 3, 1, 2500),  # one unit's values of many images side by side
    (1, 1, 1, 5000),
    (700, 5, 1, 1),  # fully connected
    (40, 9, 7, 7),
    (3, 37, 9, 8),
    (2, 70, 1, 1),
    (1, 1, 1, 1),
    (5, 1, 33, 31),
    (1100, 2, 2, 1),
]


def view_with_nans(shape: tuple[int, ...], kind: Kind, layout: str) -> tuple[ActivationView, np.ndarray]:
    rng = np.random.default_rng(sum(shape))
    x = np.maximum(values(rng, shape, "normal"), -0.3)
    special = rng.random(shape)
    x[special < 0.02], x[special > 0.99], x[(special > 0.5) & (special < 0.51)] = np.inf, -np.inf, np.nan
    data = x.astype(np.float16) if kind == "float16" else encode(x, kind)
    bounds = keys(rng.choice(np.float32([-np.inf, -0.3, 0, 1, 9]), shape[1]))
    bounds[::4] = 0
    return ActivationView(LAYOUTS[layout](data), kind), bounds


@pytest.fixture(params=[1 << 18, 64, 1], ids=["shortest lists", "a few", "longest"])
def spans(request: pytest.FixtureRequest, cuda: Cupy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of one thread are 32 to 1024 positions long, by the number of units and positions."""
    from fastdissect.kernels.cuda import positions

    monkeypatch.setattr(positions, "THREADS", request.param)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_filter_of_every_shape_and_layout(
    cuda: Cupy, spans: None, shape: tuple[int, ...], layout: str
) -> None:
    from fastdissect.kernels.cuda.filter import filter_values

    kind = KINDS[(sum(shape) + len(layout)) % 3]
    view, bounds = view_with_nans(shape, kind, layout)
    for data in (view.data, uploaded(view.data)):  # the host's are uploaded
        for omit in (False, True):
            start, own, missing, fault = filter_values(ActivationView(data, kind), bounds, omit)
            got = Values(start.get(), own.get(), missing, fault)
            assert_same(got, REFERENCE.filter(view, bounds, omit, 1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_histogram_of_every_shape_and_layout(
    cuda: Cupy, spans: None, shape: tuple[int, ...], layout: str
) -> None:
    """Into the host's bins and the device's; with and without a prefix."""
    from fastdissect.kernels.cuda.histogram import histogram

    kind = KINDS[(sum(shape) + len(layout)) % 3]
    view, _ = view_with_nans(shape, kind, layout)
    device = ActivationView(uploaded(view.data), kind)
    zero = keys(np.float32([0]))[0]
    prefixes = np.where(np.arange(shape[1]) % 2, keys(np.float32([-0.3]))[0], zero) >> np.uint32(16)
    for shift, prefix, width in ((24, None, 256), (20, None, 4096), (0, prefixes.astype(np.uint32), 65536)):
        before = np.arange(shape[1] * width).reshape(shape[1], width) % 7
        expected, here, there = before.copy(), before.copy(), cuda.asarray(before)
        told = REFERENCE.histogram(view, shift, prefix, expected, shift == 20, 1)
        assert_same(histogram(device, shift, prefix, here, shift == 20), told)
        assert_same(histogram(device, shift, prefix, there, shift == 20), told)
        assert (here == expected).all()
        assert (there.get() == expected).all()


def test_rows_of_larger_bins(cuda: Cupy) -> None:
    """bins[unit : unit + 1] of many units is where one unit's counts go."""
    from fastdissect.kernels.cuda.histogram import histogram

    bins = cuda.zeros((4, 256), np.int64)
    view = ActivationView(uploaded(np.float32([1, 1, 0, -1]).reshape(1, 1, 1, 4)), "float32")
    histogram(view, 24, None, bins[2:3], False)
    assert {(int(u), int(b)): int(bins.get()[u, b]) for u, b in np.argwhere(bins.get())} == {
        (2, 0xBF): 2,
        (2, 0x80): 1,
        (2, 0x40): 1,
    }


@pytest.mark.parametrize("shape", [(0, 4, 3, 3), (2, 0, 3, 3), (0, 0, 1, 1)])
def test_views_of_nothing(cuda: Cupy, shape: tuple[int, ...]) -> None:
    from fastdissect.kernels.cuda.filter import filter_values
    from fastdissect.kernels.cuda.histogram import histogram

    view = ActivationView(cuda.empty(shape, np.float16), "float16")
    units = shape[1]
    start, own, missing, fault = filter_values(view, np.zeros(units, np.uint32), False)
    expected = Values(np.zeros(units + 1, np.int64), np.zeros(0, np.float16), np.zeros(units, np.int64), None)
    assert_same(Values(start.get(), own.get(), missing, fault), expected)
    bins = np.ones((units, 256), np.int64)
    missing, fault = histogram(view, 24, None, bins, False)
    assert missing.tolist() == [0] * units
    assert fault is None
    assert (bins == 1).all()


def test_lists_do_not_shrink_to_an_images_cells(cuda: Cupy) -> None:
    """Chunks span images, so that the bookkeeping of a list is for many values, however small the maps."""
    from fastdissect.kernels.cuda.positions import lists_of

    def lists(shape: tuple[int, ...], order: str = "C") -> tuple[int, int, int]:
        made = lists_of(
            np.lib.stride_tricks.as_strided(
                np.zeros(1, np.float32), shape, np.empty(shape, "V4", order).strides
            )
        )
        return made.lanes, made.chunks, made.span

    assert lists((1, 4, 1, 100_000)) == lists((100_000, 4, 1, 1), "F") == (32, 98, 1024)
    assert lists((20_000, 4, 5, 1)) == (32, 98, 1024)
    assert lists((100_000, 4096, 1, 1)) == (1, 98, 1024)
    assert lists((100_000, 256, 1, 1)) == (1, 782, 128)
    assert lists((64, 256, 1, 1)) == (1, 2, 32)
