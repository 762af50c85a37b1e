from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import KINDS, LAYOUTS, activations, assert_same, bounds_for, encode, values, view_of

from fastdissect.kernels import Backend
from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.keys import keys, widen
from fastdissect.types import ActivationView


@given(case=activations(), threads=st.sampled_from([1, 2, 7]))
def test_equals_the_reference(backend: Backend, case: tuple, threads: int) -> None:
    view, bounds, _ = case
    expected = get_backend("reference").filter(view, bounds, False, 1)
    assert_same(backend.filter(view, bounds, False, threads), expected)


@given(case=activations())
def test_values_above_by_unit_in_order(backend: Backend, case: tuple) -> None:
    """Against one comparison per value, floats with floats."""
    view, bounds, _ = case
    x = widen(view.data, view.kind)
    start, got, missing, fault = backend.filter(view, bounds, False, 2)
    for unit, bound in enumerate(bounds):
        own = [v for v in x[:, unit].reshape(-1) if bound == 0 or keys(np.float32([v]))[0] > bound]
        assert widen(got[start[unit] : start[unit + 1]], view.kind).tolist() == own
    assert start[0] == 0
    assert start[-1] == len(got)
    assert not missing.any()
    assert fault is None
    assert got.dtype == view.data.dtype


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (4, 5), (3, 65)])
def test_infinities_are_ordinary_and_nans_are_not(
    backend: Backend, kind: str, layout: str, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(1)
    x = encode(values(rng, (5, 40, *size), "ties"), kind)
    special = np.array([np.nan, np.inf, -np.inf], np.float32)
    special = special.astype(np.float16) if kind == "float16" else encode(special, kind)
    where = rng.random(x.shape) < 0.2
    where[0, :2] = False  # the first NaN is not in the first unit
    x[where] = special[rng.integers(0, 3, where.sum())]
    view = ActivationView(LAYOUTS[layout](x), kind)
    wide = widen(x, kind)
    nan = np.isnan(wide)
    bounds = keys(np.resize(np.float32([-np.inf, -1, 0, 1, np.inf]), 40))
    bounds[::3] = 0
    for omit in (False, True):
        for threads in (1, 3):
            start, got, missing, fault = backend.filter(view, bounds, omit, threads)
            assert missing.tolist() == nan.sum((0, 2, 3)).tolist()
            for unit, bound in enumerate(bounds):
                own = wide[:, unit][~nan[:, unit]]
                own = own[keys(own) > bound]
                np.testing.assert_array_equal(widen(got[start[unit] : start[unit + 1]], kind), own)
            if omit:
                assert fault is None
            else:
                image, unit, y, c = np.argwhere(nan)[0]
                assert fault[:3] == (image, unit, y * size[1] + c)
                assert np.isnan(fault.value)


def test_a_tie_with_the_bound_is_not_above(backend: Backend) -> None:
    x = np.float32([-0.0, 0.0, 1.0, 1.0, np.nextafter(np.float32(1), np.float32(2))]).reshape(5, 1, 1, 1)
    view = ActivationView(x, "float32")
    for bound, expected in ((1.0, x[4:]), (0.0, x[2:]), (-0.0, x[2:])):
        got = backend.filter(view, keys(np.float32([bound])), False, 1)
        assert got.values.tolist() == expected.reshape(-1).tolist()


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (2, 0, 2, 2)])
def test_empty_batches(backend: Backend, shape: tuple[int, ...]) -> None:
    view = ActivationView(np.zeros(shape, np.float16), "float16")
    start, got, missing, fault = backend.filter(view, np.zeros(shape[1], np.uint32), False, 4)
    assert start.tolist() == [0] * (shape[1] + 1)
    assert got.shape == (0,)
    assert got.dtype == np.float16
    assert missing.shape == (shape[1],)
    assert fault is None


def test_threads_change_nothing(backend: Backend) -> None:
    rng = np.random.default_rng(4)
    view = view_of(values(rng, (5, 70, 6, 6), "normal"), "float32", "nhwc")
    bounds = bounds_for(rng, view, (0.5, 0.99))
    first = backend.filter(view, bounds, False, 1)
    for threads in (2, 3, 64, 999):
        assert_same(backend.filter(view, bounds, False, threads), first)
