from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import HUGE, KINDS, activations, encode, grouped, split, upsample_loop, values, view_of

from fastdissect.kernels import Backend
from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.keys import keys, widen
from fastdissect.upsampling import make_upsampling


def random_ranks(rng: np.random.Generator, units: int, most: int) -> np.ndarray:
    ranks = rng.integers(1, most + 1, (units, 3))
    ranks[:, 0] = 1
    ranks[::2, 2] = most
    return ranks.astype(np.int64)


@given(case=activations(), threads=st.integers(1, 5))
def test_ranks_by_sorting(backend: Backend, case: tuple, threads: int) -> None:
    view, bounds, rng = case
    n, k, h, w = view.data.shape
    parts = [backend.filter(batch, np.zeros(k, np.uint32), False, 1) for batch in split(view, 1, 2)]
    ranks = random_ranks(rng, k, n * h * w + 1)
    got = backend.select(
        [p.start for p in parts], [p.values for p in parts], view.kind, bounds, ranks, threads
    )
    assert got.dtype == np.uint32
    x = widen(view.data, view.kind)
    for unit, bound in enumerate(bounds):
        falling = np.sort(keys(x[:, unit].reshape(-1)))[::-1]
        falling = falling[falling > bound].tolist()
        assert got[unit].tolist() == [falling[r - 1] if r <= len(falling) else bound for r in ranks[unit]]


@given(case=activations(quantiles=(-1.0, 0.0, 0.5)), share=st.floats(0.001, 0.5))
def test_threshold_of_the_retained_is_that_of_all(backend: Backend, case: tuple, share: float) -> None:
    """np.partition over everything, where the bound does not exceed it; sift's values serve as well as filter's."""
    view, bounds, _ = case
    n, k, h, w = view.data.shape
    rank = int(share * n * h * w) + 1
    values_by_unit = widen(view.data, view.kind).transpose(1, 0, 2, 3).reshape(k, -1)
    expected = keys(np.partition(values_by_unit, -rank, axis=1)[:, -rank])
    bounds = np.minimum(bounds, expected)
    start, own = grouped(backend.sift(view, bounds, 1, False, False, 1).cells)
    got = backend.select([start], [own], view.kind, bounds, np.full((k, 1), rank, np.int64), 2)
    assert got[:, 0].tolist() == expected.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_nans_are_passed_over_and_ties_counted(backend: Backend, kind: str) -> None:
    x = np.float32([2, np.nan, 1, 1, -np.inf, np.inf, -0.0, 0.0, -1, np.nan])
    x = x.astype(np.float16) if kind == "float16" else encode(x, kind)
    start = np.array([0, 0, 10, 10], np.int64)
    ranks = np.tile(np.arange(1, 11), (3, 1)).astype(np.int64)
    bounds = np.array([7, 0, keys(np.float32([1]))[0]], np.uint32)
    got = backend.select([start], [x], kind, bounds, ranks, 3)
    assert got[0].tolist() == [7] * 10
    expected = keys(np.float32([np.inf, 2, 1, 1, 0, 0, -1, -np.inf]))
    assert got[1].tolist() == [*expected.tolist(), 0, 0]
    assert got[2].tolist() == [bounds[2]] * 10


def test_more_values_than_are_held_at_a_time(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastdissect.kernels import jit_select

    monkeypatch.setattr(jit_select, "GROUP", 100)
    x = values(np.random.default_rng(0), (3, 50, 4, 4), "normal")
    x[:, 20:23] = 0
    bounds = keys(np.full(50, 0.1, np.float32))
    part = backend.filter(view_of(x, "float32"), bounds, False, 1)
    got = backend.select(
        [part.start] * 2, [part.values] * 2, "float32", bounds, np.full((50, 1), 4, np.int64), 2
    )
    for unit in range(50):
        own = np.sort(np.repeat(x[:, unit][x[:, unit] > np.float32(0.1)], 2))[::-1]
        assert got[unit, 0] == (keys(own)[3] if len(own) > 3 else bounds[unit])


@given(case=activations(), share=st.floats(0.001, 1.2), threads=st.integers(1, 5))
def test_bounds_rise_towards_the_rank_and_never_past_it(
    backend: Backend, case: tuple, share: float, threads: int
) -> None:
    view, bounds, _ = case
    n, k, h, w = view.data.shape
    rank = max(1, int(share * n * h * w))
    parts = [backend.filter(batch, bounds, False, 1) for batch in split(view, 1, 2)]
    arguments = [p.start for p in parts], [p.values for p in parts], view.kind, bounds
    risen = backend.raise_bounds(*arguments, rank, threads)
    assert risen.dtype == np.uint32
    assert risen.tolist() == get_backend("reference").raise_bounds(*arguments, rank, 1).tolist()
    exact = backend.select(*arguments, np.full((k, 1), rank, np.int64), 1)[:, 0]
    assert (risen >= bounds).all()
    assert (risen <= exact).all()  # exact is the bound itself where fewer than `rank` are above


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_rise_close_to_the_rank(backend: Backend, kind: str) -> None:
    """Of 20,000 values few more than the rank stay (18 of 128 samples, and chance), spread out or tied."""
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(20_000, 3)), [-9, 0.5, 9]).astype(np.float32)  # the last: all equal
    view = view_of(x.T.reshape(1, 3, 1, -1), kind)
    part = backend.filter(view, np.zeros(3, np.uint32), False, 1)
    for rank in (1000, 5000, 15_000):
        risen = backend.raise_bounds([part.start], [part.values], kind, np.zeros(3, np.uint32), rank, 2)
        above = (keys(widen(view.data, kind))[0, :, 0] > risen[:, None]).sum(1)
        assert (above <= rank + 0.2 * 20_000).all(), (rank, above)
        assert above[2] == 0


def test_bounds_of_few_values_and_nans(backend: Backend) -> None:
    own = np.float32([np.nan, np.inf, -np.inf, 3, 2, 1, np.nan, 0])
    start = np.array([0, 0, 8, 8], np.int64)
    for rank in (1, 2, 6, 7, 8, 9):
        arguments = [start, start], [own, own], "float32", np.zeros(3, np.uint32), rank, 2
        risen = backend.raise_bounds(*arguments)
        assert risen.tolist() == get_backend("reference").raise_bounds(*arguments).tolist()
        assert risen[0] == risen[2] == 0


TABLES = [
    ("half-pixel", (3, 4), (7, 9)),
    ("half-pixel", (5, 6), (2, 3)),
    ("half-pixel", (1, 1), (3, 3)),
    ("half-pixel-zero", (3, 4), (7, 9)),
    ("half-pixel-zero", (4, 3), (2, 2)),
    ("pil", (9, 8), (3, 4)),
]


@pytest.mark.parametrize(("mode", "cells", "size"), TABLES)
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_by_upsampling_everything(
    backend: Backend, mode: str, cells: tuple[int, int], size: tuple[int, int], kind: str
) -> None:
    """From the retained cells, against all pixels of all maps, upsampled by a loop.

    Antialiasing tables have pixels above the bound without a cell above it, so there everything is retained.
    """
    rng = np.random.default_rng(len(mode))
    table = make_upsampling(mode, cells, size)
    view = view_of(values(rng, (3, 6, *cells), "normal"), kind)
    x = widen(view.data, kind)
    bounds = keys(np.float32([-0.7, -0.1, 0, 0.3, 1, 9]))
    if table.reach > 1:
        bounds[:] = 0
    parts = [backend.sift(b, bounds, table.reach, table.ring, False, 1).cells for b in split(view, 2)]
    ranks = random_ranks(rng, 6, 3 * size[0] * size[1] + 1)
    got = backend.select_pixels(parts, bounds, ranks, table, 2)
    for unit, bound in enumerate(bounds):
        pixels = np.concatenate([upsample_loop(x[i, unit], table).reshape(-1) for i in range(3)])
        falling = np.sort(keys(pixels))[::-1]
        falling = falling[falling > bound].tolist()
        assert got[unit].tolist() == [falling[r - 1] if r <= len(falling) else bound for r in ranks[unit]]


@pytest.mark.parametrize(("mode", "cells", "size"), TABLES)
@pytest.mark.parametrize("kind", KINDS)
def test_bounds_rise_by_pixels_and_never_past_the_rank(
    backend: Backend, mode: str, cells: tuple[int, int], size: tuple[int, int], kind: str
) -> None:
    rng = np.random.default_rng(1)
    table = make_upsampling(mode, cells, size)
    view = view_of(values(rng, (6, 7, *cells), "normal"), kind)
    bounds = keys(np.float32([-0.7, -0.1, 0, 0.3, 1, 9, 0]))
    bounds[6] = 0
    if table.reach > 1:
        bounds[:] = 0
    parts = [backend.sift(b, bounds, table.reach, table.ring, False, 1).cells for b in split(view, 2)]
    rose = False
    for rank in (1, 5, size[0] * size[1], 6 * size[0] * size[1]):
        risen = backend.raise_pixels(parts, bounds, rank, table, 2)
        exact = backend.select_pixels(parts, bounds, np.full((7, 1), rank, np.int64), table, 1)[:, 0]
        assert risen.dtype == np.uint32
        assert ((bounds <= risen) & (risen <= exact)).all()
        assert risen.tolist() == get_backend("reference").raise_pixels(parts, bounds, rank, table, 1).tolist()
        rose |= bool((risen > bounds).any())
    assert rose or size < cells  # shrunk, a cell is worth too few pixels


def test_ranks_of_many_pixels_by_sorting(backend: Backend) -> None:
    """Enough of them that the answer is looked for between two pivots, with ties and with spread-out values."""
    rng = np.random.default_rng(2)
    table = make_upsampling("half-pixel-zero", (5, 6), (20, 24))
    x = np.maximum(rng.normal(size=(40, 4, 5, 6)), 0).astype(np.float32)
    x[:, 1] = np.round(x[:, 1])
    x[:, 2] = 1
    bounds = keys(np.float32([0.5, 0, 0, 0]))
    bounds[3] = 0
    view = view_of(x, "float32")
    parts = [backend.sift(b, bounds, 1, True, False, 1).cells for b in split(view, 7)]
    for rank in (65, 300, 2000, 6000, 19_000):
        ranks = np.tile([rank, rank + 1], (4, 1)).astype(np.int64)
        got = backend.select_pixels(parts, bounds, ranks, table, 2)
        for unit, bound in enumerate(bounds):
            pixels = np.concatenate([upsample_loop(m, table).reshape(-1) for m in x[:, unit]])
            falling = np.sort(keys(pixels))[::-1]
            falling = falling[falling > bound].tolist()
            assert got[unit].tolist() == [falling[r - 1] if r <= len(falling) else bound for r in ranks[unit]]


def test_pixels_that_touch_nan_are_passed_over(backend: Backend) -> None:
    """1.0  0.5  NaN -> pixels 1, 0.875, 0.625 and three that touch the NaN (the first of weight 0.25)."""
    table = make_upsampling("half-pixel", (1, 3), (1, 6))
    x = np.float32([[[[1, 0.5, np.nan]], [[0, 0, 0]], [[HUGE, -HUGE, 1]]]])
    bounds = keys(np.zeros(3, np.float32))
    cells = backend.sift(view_of(x, "float32"), bounds, 1, False, True, 1).cells
    got = backend.select_pixels([cells], bounds, np.array([[1, 2, 3, 4]] * 3, np.int64), table, 1)
    assert got[0].tolist() == [*keys(np.float32([1, 0.875, 0.625])).tolist(), bounds[0]]
    assert got[1].tolist() == [bounds[1]] * 4  # no records
    assert got[2, 0] == keys(np.float32([HUGE]))[0]
