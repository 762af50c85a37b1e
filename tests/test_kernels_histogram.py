from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import KINDS, LAYOUTS, activations, encode, values, view_of

from fastdissect.kernels import Backend
from fastdissect.kernels.keys import keys, widen
from fastdissect.types import ActivationView


@given(case=activations(), shift=st.sampled_from([16, 20, 24]), threads=st.integers(1, 5))
def test_bins_are_key_prefixes(backend: Backend, case: tuple, shift: int, threads: int) -> None:
    view, _, rng = case
    k = view.data.shape[1]
    before = rng.integers(0, 2**40, (k, 1 << (32 - shift)))
    bins = before.copy()
    missing, fault = backend.histogram(view, shift, None, bins, False, threads)
    assert not missing.any()
    assert fault is None
    for unit in range(k):
        edges = np.arange((1 << (32 - shift)) + 1, dtype=np.int64) << shift
        expected = np.histogram(keys(widen(view.data[:, unit], view.kind)).astype(np.int64), edges)[0]
        np.testing.assert_array_equal(bins[unit] - before[unit], expected)


@given(case=activations(largest=6), threads=st.integers(1, 5))
def test_two_passes_find_any_rank(backend: Backend, case: tuple, threads: int) -> None:
    """Top 16 bits, then the low 16 bits inside one bin: the value of a rank, as sorting gives it."""
    view, _, rng = case
    n, k, h, w = view.data.shape
    rank = int(rng.integers(1, n * h * w + 1))
    top, low = np.zeros((k, 65536), np.int64), np.zeros((k, 65536), np.int64)
    backend.histogram(view, 16, None, top, False, threads)

    def bin_of(counts: np.ndarray, rank: int) -> tuple[int, int]:
        falling = np.cumsum(counts[::-1])
        at = int(np.searchsorted(falling, rank))
        return len(counts) - 1 - at, rank - (int(falling[at - 1]) if at else 0)

    prefix = np.array([bin_of(row, rank)[0] for row in top], np.uint32)
    backend.histogram(view, 0, prefix, low, False, threads)
    for unit in range(k):
        found = int(prefix[unit]) << 16 | bin_of(low[unit], bin_of(top[unit], rank)[1])[0]
        assert found == np.sort(keys(widen(view.data[:, unit], view.kind)), axis=None)[-rank]


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_every_16_bit_pattern(backend: Backend, kind: str) -> None:
    """Exact widening on every backend: all 65,536 patterns, NaNs left out."""
    pattern = np.random.default_rng(0).permutation(65536).astype(np.uint16)
    data = (pattern.view(np.float16) if kind == "float16" else pattern).reshape(1, 1, 256, 256)
    bins = np.zeros((1, 65536), np.int64)
    missing, _ = backend.histogram(ActivationView(data, kind), 16, None, bins, True, 1)
    wide = widen(data, kind).reshape(-1)
    top = keys(wide[~np.isnan(wide)]) >> np.uint32(16)
    np.testing.assert_array_equal(bins[0], np.bincount(top, minlength=65536))
    low = np.zeros((1, 65536), np.int64)
    for prefix in np.unique(top)[::997]:
        backend.histogram(ActivationView(data, kind), 0, np.array([prefix], np.uint32), low, True, 1)
    expected = np.isin(top, np.unique(top)[::997])
    at = (keys(wide[~np.isnan(wide)]) & np.uint32(0xFFFF))[expected]
    np.testing.assert_array_equal(low[0], np.bincount(at, minlength=65536))
    assert missing.tolist() == [np.isnan(wide).sum()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_nans_are_counted_and_the_first_named(backend: Backend, kind: str, layout: str) -> None:
    x = encode(values(np.random.default_rng(0), (3, 5, 4, 3), "ties"), kind)
    nan = np.float16(np.nan) if kind == "float16" else encode(np.float32([np.nan]), kind)[0]
    for place in [(2, 0, 0, 0), (1, 4, 0, 0), (1, 3, 3, 2), (1, 3, 2, 1)]:
        x[place] = nan
    view = ActivationView(LAYOUTS[layout](x), kind)
    for threads in (1, 2, 4):
        for omit in (False, True):
            bins = np.zeros((5, 256), np.int64)
            missing, fault = backend.histogram(view, 24, None, bins, omit, threads)
            assert missing.tolist() == [1, 0, 0, 2, 1]
            assert bins.sum(1).tolist() == [35, 36, 36, 34, 35]
            assert fault is None if omit else fault[:3] == (1, 3, 7)


def test_infinities_have_bins(backend: Backend) -> None:
    x = np.float32([np.inf, -np.inf, -np.inf]).reshape(3, 1, 1, 1)
    bins = np.zeros((1, 65536), np.int64)
    backend.histogram(view_of(x, "float32"), 16, None, bins, False, 1)
    assert {int(b): int(bins[0, b]) for b in np.flatnonzero(bins[0])} == {0xFF80: 1, 0x007F: 2}


def test_no_images(backend: Backend) -> None:
    bins = np.ones((3, 256), np.int64)
    view = ActivationView(np.zeros((0, 3, 2, 2), np.float32), "float32")
    missing, fault = backend.histogram(view, 24, None, bins, False, 4)
    assert missing.tolist() == [0, 0, 0]
    assert fault is None
    assert (bins == 1).all()
