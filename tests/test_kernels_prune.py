"""prune and join. The main property: sifting batch by batch with a low bound and pruning with the final one
gives exactly the cells that one sift with the final bound keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import activations, assert_same, bounds_for, encode, split, values, view_of

from fastdissect.kernels import Backend
from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.keys import keys
from fastdissect.types import ActivationView


@given(
    case=activations(),
    reach=st.integers(1, 3),
    ring=st.booleans(),
    share=st.floats(0, 1),
    threads=st.integers(1, 5),
)
def test_sift_low_then_prune_is_sift_high(
    backend: Backend, case: tuple, reach: int, ring: bool, share: float, threads: int
) -> None:
    view, bounds, rng = case
    risen = np.maximum(bounds, bounds_for(rng, view, (0.5, 0.9, 0.99)))
    n = view.data.shape[0]
    batches = split(view, *sorted((rng.random(2) * (n + 1)).astype(int).tolist()))
    parts = [backend.sift(batch, bounds, reach, ring, False, 1).cells for batch in batches]
    first = max(1, int(share * len(parts)))
    parts = [backend.prune(parts[:first], bounds, reach, ring, 1), *parts[first:]]  # pruned on the way, too
    expected = backend.sift(view, risen, reach, ring, False, 1).cells
    assert_same(backend.prune(parts, risen, reach, ring, threads), expected)


@given(case=activations(), reach=st.integers(1, 3), ring=st.booleans())
def test_equals_the_reference(backend: Backend, case: tuple, reach: int, ring: bool) -> None:
    view, bounds, rng = case
    reference = get_backend("reference")
    parts = [reference.sift(batch, bounds, reach, ring, False, 1).cells for batch in split(view, 1)]
    risen = bounds_for(rng, view, (-1.0, 0.5, 0.9, 1.0))
    expected = reference.prune(parts, risen, reach, ring, 1)
    assert_same(backend.prune(parts, risen, reach, ring, 3), expected)


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("ring", [False, True])
def test_unusable_cells_stay_beside_one_above(backend: Backend, kind: str, ring: bool) -> None:
    rng = np.random.default_rng(0)
    x = values(rng, (6, 9, 5, 6), "normal")
    data = encode(x, kind)
    nan = np.float16(np.nan) if kind == "float16" else encode(np.float32([np.nan]), kind)[0]
    data[rng.random(x.shape) < 0.15] = nan
    view = ActivationView(data, kind)
    low, high = keys(np.full(9, -0.5, np.float32)), keys(np.linspace(-0.4, 2, 9).astype(np.float32))
    parts = [backend.sift(batch, low, 1, ring, True, 1).cells for batch in split(view, 2, 2, 5)]
    expected = backend.sift(view, high, 1, ring, True, 1).cells
    assert_same(backend.prune(parts, high, 1, ring, 2), expected)


def test_wide_cells_and_one_that_is_left(backend: Backend) -> None:
    x = np.zeros((2, 2, 257, 256), np.float32)
    x[1, 1, 256, 255], x[0, 0, 0, 0] = 2, 1
    low, high = keys(np.float32([0.5, 0.5])), keys(np.float32([1, 1]))
    parts = [backend.sift(batch, low, 1, False, False, 1).cells for batch in split(view_of(x, "float32"), 1)]
    got = backend.prune(parts, high, 1, False, 2)
    assert got.cells.dtype == np.uint32
    assert got.unit_start.tolist() == [0, 0, 1]
    assert got.images.tolist() == [1]
    assert got.values.tolist() == [0, 0, 0, 2]
    assert got.shape == (2, 2, 257, 256)


@pytest.mark.parametrize("images", [0, 3])
def test_nothing_is_left(backend: Backend, images: int) -> None:
    view = view_of(np.ones((images, 2, 3, 3), np.float32), "float16")
    part = backend.sift(view, np.zeros(2, np.uint32), 1, False, False, 1).cells
    got = backend.prune([part, part], keys(np.float32([1, 1])), 1, False, 4)
    assert_same(got, get_backend("reference").prune([part, part], keys(np.float32([1, 1])), 1, False, 1))
    assert got.shape == (2 * images, 2, 3, 3)
    assert got.cell_start.tolist() == [0]
    assert got.values.dtype == np.float16


@given(case=activations(), threads=st.integers(1, 5))
def test_filter_low_then_join_is_filter_high(backend: Backend, case: tuple, threads: int) -> None:
    view, bounds, rng = case
    risen = np.maximum(bounds, bounds_for(rng, view, (0.5, 0.9, 0.99)))
    parts = [backend.filter(batch, bounds, False, 1) for batch in split(view, 1, 2)]
    start, joined = backend.join(
        [p.start for p in parts], [p.values for p in parts], view.kind, risen, threads
    )
    expected = backend.filter(view, risen, False, 1)
    assert_same((start, joined), (expected.start, expected.values))


def test_join_drops_nans_and_keeps_infinities(backend: Backend) -> None:
    own = np.float32([np.nan, np.inf, -np.inf, -0.0, 1])
    start = np.array([0, 5, 5], np.int64)
    for bound, left in ((0, [np.inf, -np.inf, -0.0, 1] * 2), (keys(np.float32([0]))[0], [np.inf, 1] * 2)):
        bounds = np.array([bound, 0], np.uint32)
        new_start, joined = backend.join([start, start], [own, own], "float32", bounds, 2)
        assert joined.tolist() == left
        assert new_start.tolist() == [0, len(left), len(left)]
