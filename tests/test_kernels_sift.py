from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import HUGE, KINDS, LAYOUTS, activations, assert_same, bounds_for, encode, values, view_of

from fastdissect.arrays import activation_view
from fastdissect.kernels import Backend, Sifted
from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.keys import keys, widen
from fastdissect.types import ActivationView


def sift(backend: Backend, view: ActivationView, bounds: np.ndarray, **changes: object) -> Sifted:
    settings = {"reach": 1, "ring": False, "omit": False, "threads": 1} | changes
    return backend.sift(view, bounds, **settings)


def no_bounds(view: ActivationView) -> np.ndarray:
    return np.zeros(view.data.shape[1], np.uint32)


def mean_loop(x: np.ndarray) -> np.float32:
    """The stated order, one float32 operation at a time; unusable cells are passed over."""
    f, lanes, used = np.float32, [np.float32(0)] * 16, 0
    for p, value in enumerate(x.reshape(-1)):
        if abs(value) <= HUGE:
            lanes[p % 16] = f(lanes[p % 16] + value)
            used += 1
    for half in (8, 4, 2, 1):
        lanes = [f(lanes[i] + lanes[i + half]) for i in range(half)]
    return f(lanes[0] / f(used)) if used else f(np.nan)


def retained_loop(x: np.ndarray, bound: int, reach: int, ring: bool) -> list[int]:
    """Cells of one map within `reach` of one above, looked for one by one."""
    h, w = x.shape
    kept = []
    for y in range(h):
        for c in range(w):
            near = False
            for i in range(y - reach, y + reach + 1):
                for j in range(c - reach, c + reach + 1):
                    if 0 <= i < h and 0 <= j < w:
                        near |= bool(abs(x[i, j]) <= HUGE and keys(x[i : i + 1, j])[0] > bound)
                    elif ring and -1 <= i <= h and -1 <= j <= w:
                        near |= bound < 0x80000000  # key(0)
            if near:
                kept.append(y * w + c)
    return kept


@given(case=activations(), reach=st.integers(1, 3), ring=st.booleans(), threads=st.sampled_from([1, 2, 7]))
def test_equals_the_reference(backend: Backend, case: tuple, reach: int, ring: bool, threads: int) -> None:
    view, bounds, _ = case
    with np.errstate(over="ignore", invalid="ignore"):
        expected = sift(get_backend("reference"), view, bounds, reach=reach, ring=ring)
    assert expected.fault is None
    assert_same(sift(backend, view, bounds, reach=reach, ring=ring, threads=threads), expected)


@pytest.mark.slow
@given(case=activations(largest=30), reach=st.integers(1, 4), ring=st.booleans(), omit=st.booleans())
@settings(max_examples=600)
def test_equals_the_reference_in_many_cases(
    backend: Backend, case: tuple, reach: int, ring: bool, omit: bool
) -> None:
    view, bounds, rng = case
    if omit and view.data.size:
        data = view.data.copy()
        bad = encode(np.float32([2.0**127]), view.kind) if view.kind != "float16" else np.float16([np.nan])
        data[rng.random(data.shape) < rng.choice([0, 0.01, 0.5])] = bad[0]
        view = ActivationView(data, view.kind)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = sift(get_backend("reference"), view, bounds, reach=reach, ring=ring, omit=omit)
    assert_same(sift(backend, view, bounds, reach=reach, ring=ring, omit=omit, threads=2), expected)


@given(case=activations(largest=7), reach=st.integers(1, 3), ring=st.booleans())
def test_equals_a_loop_over_cells(backend: Backend, case: tuple, reach: int, ring: bool) -> None:
    view, bounds, _ = case
    x = widen(view.data, view.kind)
    n, k, _, _ = x.shape
    got = sift(backend, view, bounds, reach=reach, ring=ring)
    cells = got.cells
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.array([[mean_loop(x[i, u]) for u in range(k)] for i in range(n)], np.float32)
    assert got.means.tobytes() == expected.tobytes()
    np.testing.assert_array_equal(got.maxima, x.max((2, 3)))
    assert not np.signbit(got.maxima[got.maxima == 0]).any()
    record = 0
    for unit in range(k):
        assert cells.unit_start[unit] == record
        for image in range(n):
            kept = retained_loop(x[image, unit], int(bounds[unit]), reach, ring)
            if not kept:
                continue
            own = slice(cells.cell_start[record], cells.cell_start[record + 1])
            assert cells.images[record] == image
            assert cells.cells[own].tolist() == kept
            original = view.data[image, unit].reshape(-1)[kept]
            assert cells.values[own].tobytes() == np.ascontiguousarray(original).tobytes()
            record += 1
    assert cells.unit_start[k] == record == len(cells.images) == len(cells.cell_start) - 1
    assert cells.shape == x.shape
    assert cells.cells.dtype == np.uint16


@pytest.mark.parametrize("cells", [1, 2, 15, 16, 17, 31, 32, 33, 49, 64, 65, 196])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_mean_adds_in_the_stated_order(backend: Backend, cells: int, layout: str) -> None:
    x = values(np.random.default_rng(cells), (3, 70, 1, cells), "wide")
    view = view_of(x, "float32", layout)
    got = sift(backend, view, keys(np.full(70, np.inf, np.float32))).means
    expected = np.array([[mean_loop(m) for m in image] for image in x], np.float32)
    assert got.tobytes() == expected.tobytes()
    if cells > 32:  # the order shows: adding from left to right gives other bits
        naive = np.add.accumulate(x[:, :, 0], axis=2)[:, :, -1] / np.float32(cells)
        assert naive.tobytes() != expected.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flavour", ["normal", "zeros", "denormal"])
def test_layouts_and_threads_change_nothing(backend: Backend, kind: str, flavour: str) -> None:
    rng = np.random.default_rng(3)
    x = values(rng, (3, 33, 5, 9), flavour)
    view = view_of(x, kind)
    bounds = bounds_for(rng, view, (0.8, 0.95))
    first = sift(backend, view, bounds)
    for layout in LAYOUTS:
        for threads in (1, 2, 3, 16, 1000):
            assert_same(sift(backend, view_of(x, kind, layout), bounds, threads=threads), first, layout)


BAD = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "2**127": 2.0**127, "-2**127": -(2.0**127)}


# float16 ends at 65504
BAD_OF_KIND = [(kind, bad) for kind in KINDS for bad in BAD if kind != "float16" or "127" not in bad]


@pytest.mark.parametrize(("kind", "bad"), BAD_OF_KIND)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_first_unusable_cell_is_reported(backend: Backend, bad: str, layout: str, kind: str) -> None:
    """In order image, unit, cell, whichever thread meets it; the others are placed to mislead."""
    x = encode(values(np.random.default_rng(0), (4, 40, 3, 6), "normal"), kind)
    value = np.float32([BAD[bad]])
    value = encode(value, kind) if kind != "float16" else value.astype(np.float16)
    for place in [(3, 0, 0, 0), (1, 39, 0, 0), (1, 35, 2, 5), (1, 35, 2, 4), (2, 1, 1, 1)]:
        x[place] = value[0]
    view = ActivationView(LAYOUTS[layout](x), kind)
    for threads in (1, 2, 5):
        for bound in (no_bounds(view), keys(np.full(40, 1e30, np.float32))):
            fault = sift(backend, view, bound, threads=threads).fault
            assert fault is not None
            assert fault[:3] == (1, 35, 16)
            assert fault.value == BAD[bad] or np.isnan([fault.value, BAD[bad]]).all()


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_just_below_two_to_the_127_is_usable(backend: Backend, kind: str, layout: str) -> None:
    """Also where the sum overflows, or hides everything."""
    x = np.full((1, 4, 4, 8), HUGE, np.float32)
    x[0, 1] *= -1
    x[0, 2, :2] *= -1
    x[0, 3, 0, 0] = -HUGE
    view = view_of(x, kind, layout)
    with np.errstate(over="ignore", invalid="ignore"):
        got = sift(backend, view, no_bounds(view))
        expected = [mean_loop(m) for m in widen(view.data, kind)[0]]
    assert got.fault is None
    assert got.means.tobytes() == np.array([expected], np.float32).tobytes()
    assert got.means[0, 0] == np.inf
    assert len(got.cells.cells) == 128


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_large_positive_cells_do_not_hide_a_large_negative_one(backend: Backend, layout: str) -> None:
    x = np.full((1, 3, 20, 20), 1e30, np.float32)
    x[0, 1, 19, 19] = -(2.0**127)
    view = view_of(x, "float32", layout)
    fault = sift(backend, view, keys(np.full(3, 1e31, np.float32))).fault
    assert fault is not None
    assert fault[:3] == (0, 1, 399)


def with_bad_cells(kind: str, layout: str) -> tuple[ActivationView, np.ndarray]:
    rng = np.random.default_rng(5)
    x = encode(values(rng, (3, 40, 4, 5), "normal"), kind)
    special = np.array([np.nan, np.inf, -np.inf], np.float32)
    special = special.astype(np.float16) if kind == "float16" else encode(special, kind)
    where = rng.random(x.shape) < 0.1
    where[0, 3] = where[:, 7] = True
    where[:, 8] = False
    x[where] = special[rng.integers(0, 3, where.sum())]
    if kind == "bfloat16":
        x[0, 0, 0, 0], where[0, 0, 0, 0] = 0x7F81, True  # a NaN of another payload
    return ActivationView(LAYOUTS[layout](x), kind), where


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["nchw", "nhwc", "sliced"])
@pytest.mark.parametrize("ring", [False, True])
def test_omit_counts_and_passes_over(backend: Backend, kind: str, layout: str, ring: bool) -> None:
    view, where = with_bad_cells(kind, layout)
    x = widen(view.data, kind)
    bounds = keys(np.linspace(-1, 2, 40).astype(np.float32))
    bounds[8:12] = 0
    got = sift(backend, view, bounds, omit=True, ring=ring, threads=2)
    assert got.fault is None
    assert got.missing.tolist() == where.sum((0, 2, 3)).tolist()
    masked = np.ma.masked_array(x, where)
    np.testing.assert_array_equal(got.maxima, masked.max((2, 3)).filled(np.nan))
    expected = np.array([[mean_loop(m) for m in image] for image in x], np.float32)
    np.testing.assert_array_equal(got.means, expected)
    assert np.isnan(got.means[0, 3])
    retained = widen(got.cells.values, kind)
    for unit in range(40):
        for r in range(got.cells.unit_start[unit], got.cells.unit_start[unit + 1]):
            image, own = got.cells.images[r], slice(got.cells.cell_start[r], got.cells.cell_start[r + 1])
            at = got.cells.cells[own]
            assert at.tolist() == retained_loop(x[image, unit], int(bounds[unit]), 1, ring)
            np.testing.assert_array_equal(np.isnan(retained[own]), where[image, unit].reshape(-1)[at])
    assert_same(got, sift(get_backend("reference"), view, bounds, omit=True, ring=ring))


@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.5])
def test_the_ring_keeps_the_border_only_below_zero(backend: Backend, threshold: float) -> None:
    x = np.full((1, 1, 6, 7), -1, np.float32)
    got = sift(backend, view_of(x, "float32"), keys(np.float32([threshold])), ring=True)
    border = {y * 7 + c for y in range(6) for c in range(7) if y in (0, 5) or c in (0, 6)}
    assert set(got.cells.cells.tolist()) == (border if threshold < 0 else set())


@pytest.mark.parametrize("size", [(1, 1), (1, 63), (1, 64), (65, 1), (3, 65), (2, 130), (56, 56)])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_sizes_around_words_and_vectors(backend: Backend, size: tuple[int, int], layout: str) -> None:
    rng = np.random.default_rng(7)
    view = view_of(values(rng, (2, 5, *size), "normal"), "float32", layout)
    bounds = bounds_for(rng, view, (0.5, 0.9, 0.99))
    for reach in (1, 2):
        expected = sift(get_backend("reference"), view, bounds, reach=reach)
        assert_same(sift(backend, view, bounds, reach=reach), expected)


def test_maps_of_more_than_65536_cells_have_wide_indices(backend: Backend) -> None:
    x = np.zeros((1, 2, 257, 256), np.float32)
    x[0, 1, 256, 255] = 1
    got = sift(backend, view_of(x, "float32"), keys(np.zeros(2, np.float32)))
    assert got.cells.cells.dtype == np.uint32
    assert got.cells.cells.tolist() == [255 * 256 + 254, 255 * 256 + 255, 256 * 256 + 254, 256 * 256 + 255]
    assert got.cells.values.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (0, 1, 1, 1), (2, 0, 2, 2)])
def test_empty_batches(backend: Backend, shape: tuple[int, ...]) -> None:
    view = ActivationView(np.zeros(shape, np.float32), "float32")
    got = sift(backend, view, no_bounds(view), threads=4)
    assert_same(got, sift(get_backend("reference"), view, no_bounds(view)))
    assert got.cells.shape == shape
    assert got.means.shape == shape[:2]


def torch_tensors() -> dict[str, torch.Tensor]:
    x = torch.from_numpy(values(np.random.default_rng(9), (4, 36, 6, 7), "normal"))
    return {
        "contiguous": x,
        "channels last": x.contiguous(memory_format=torch.channels_last),
        "sliced": x[1:3, ::2, 1:, ::3],
        "transposed": x.transpose(0, 1).transpose(2, 3),
        "expanded": x[:1].expand(5, -1, -1, -1),
        "expanded units": x[:, :1].expand(-1, 40, -1, -1),
        "expanded cells": x[:, :, :1, :1].expand(-1, -1, 3, 3),
        "one cell": x[..., :1, :1],
        "needs grad": x.clone().requires_grad_(),
    }


@pytest.mark.parametrize("name", torch_tensors())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_torch_tensors_are_read_in_place(backend: Backend, name: str, dtype: torch.dtype) -> None:
    tensor = torch_tensors()[name]
    tensor = tensor if dtype == torch.float32 else tensor.to(dtype)
    view = activation_view(tensor)
    bounds = keys(np.full(tensor.shape[1], 0.7, np.float32))
    plain = activation_view(tensor.detach().contiguous().clone())
    got = sift(backend, view, bounds, threads=2)
    assert_same(got, sift(get_backend("reference"), plain, bounds))
    np.testing.assert_array_equal(got.maxima, tensor.detach().float().amax((2, 3)).numpy())


def test_denormals_count_even_where_the_process_flushes_them(backend: Backend) -> None:
    view = view_of(values(np.random.default_rng(2), (2, 20, 5, 5), "denormal"), "float32")
    bounds = keys(np.full(20, 2.0**-141, np.float32))
    before = sift(backend, view, bounds)
    assert 0 < len(before.cells.cells) < view.data.size
    if not backend.name.startswith("cpp"):
        return  # they refuse: test_backend_selection.py
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormals")
    try:
        flushed = [sift(backend, view, bounds, threads=threads) for threads in (1, 3)]
    finally:
        torch.set_flush_denormal(False)
    for got in flushed:
        assert_same(got, before)
