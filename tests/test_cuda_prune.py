"""What is the CUDA backend's own in prune: many parts, large maps, any reach; and where units start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuda_on_host.facing import cuda_backend, moved, uploaded
from cuda_on_host.fixture import Cupy
from kernel_cases import KINDS, assert_same, bounds_for, encode, split, values, view_of

from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.keys import keys
from fastdissect.types import ActivationView, SparseActivations


def parts_of(
    view: ActivationView, edges: list[int], bounds: np.ndarray, omit: bool = False
) -> list[SparseActivations]:
    reference = get_backend("reference")
    return [reference.sift(batch, bounds, 1, False, omit, 1).cells for batch in split(view, *edges)]


def check(
    parts: list[SparseActivations], bounds: np.ndarray, reach: int = 1, ring: bool = False
) -> SparseActivations:
    there = moved(parts, True, {})
    got = moved(cuda_backend().prune(there, uploaded(bounds), reach, ring, 1), False, {})
    want = get_backend("reference").prune(parts, bounds, reach, ring, 1)
    assert_same(got, want)
    return want


@pytest.mark.parametrize("kind", KINDS)
def test_many_parts_of_which_some_are_empty(cuda: Cupy, kind: str) -> None:
    rng = np.random.default_rng(0)
    x = values(rng, (60, 37, 6, 7), "normal")
    x[10:20] = -5
    view = view_of(x, kind)
    low, high = keys(np.full(37, 1.5, np.float32)), keys(np.linspace(1.4, 4, 37).astype(np.float32))
    edges = sorted([*range(1, 60), 5, 5, 30])  # batches of one image, and of none
    got = check(parts_of(view, edges, low), high)
    assert 0 < len(got.images) < 60 * 37
    assert got.images.max() > 50


@pytest.mark.parametrize("seed", range(6))
def test_uneven_parts(cuda: Cupy, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (33, int(rng.integers(1, 50)), int(rng.integers(1, 9)), int(rng.integers(1, 70)))
    view = view_of(values(rng, shape, ("normal", "ties", "relu")[seed % 3]), KINDS[seed % 3])
    low = bounds_for(rng, view, (-1.0, 0.2, 0.8))
    high = np.maximum(low, bounds_for(rng, view, (0.0, 0.9, 0.99, 1.0)))
    check(parts_of(view, [24, 25], low), high, reach=1 + seed % 2, ring=seed % 2 == 0)


@pytest.mark.parametrize("omit", [False, True])
@pytest.mark.parametrize("blocks", [1, 1024])
def test_bits_in_global_memory(cuda: Cupy, monkeypatch: pytest.MonkeyPatch, blocks: int, omit: bool) -> None:
    rng = np.random.default_rng(1)
    data = encode(values(rng, (30, 11, 5, 40), "normal"), "float16")
    if omit:
        data[rng.random(data.shape) < 0.1] = np.nan
    parts = parts_of(ActivationView(data, "float16"), [9, 20], keys(np.full(11, 0.5, np.float32)), omit)
    monkeypatch.setattr("fastdissect.kernels.cuda.prune.SHARED", 0)
    monkeypatch.setattr("fastdissect.kernels.cuda.prune.BLOCKS", blocks)
    check(parts, keys(np.linspace(0.4, 3, 11).astype(np.float32)))


@pytest.mark.parametrize("size", [(260, 260), (500, 300)])
def test_large_maps(cuda: Cupy, size: tuple[int, int]) -> None:
    x = values(np.random.default_rng(2), (3, 2, *size), "normal")
    parts = parts_of(view_of(x, "bfloat16"), [1], keys(np.float32([3.5, 3.8])))
    got = check(parts, keys(np.float32([4, 4.1])), ring=True)
    assert got.cells.dtype == np.uint32
    assert len(got.cells)


@pytest.mark.parametrize("reach", [0, 31, 32, 65, 90])
@pytest.mark.parametrize("ring", [False, True])
def test_any_reach(cuda: Cupy, reach: int, ring: bool) -> None:
    x = np.random.default_rng(3).random((2, 3, 20, 110)).astype(np.float32) - 2
    x[0, 0, 2, 31] = x[0, 1, 19, 32] = x[1, 2, 0, 109] = 1
    parts = parts_of(view_of(x, "float32"), [1], np.zeros(3, np.uint32))
    check(parts, keys(np.float32([0.5, 0, -0.5])), reach, ring)


def test_nans_stay_beside_a_value_above_and_are_never_above(cuda: Cupy) -> None:
    data = np.full((2, 2, 3, 3), np.nan, np.float32)
    data[0, 0, 0, 0], data[1, 1, 1, 1] = 1, 2
    parts = parts_of(ActivationView(data, "float32"), [1], np.zeros(2, np.uint32), omit=True)
    got = check(parts, np.zeros(2, np.uint32))
    assert got.cell_start.tolist() == [0, 4, 13]
    assert check(parts, keys(np.float32([1, 1]))).cell_start.tolist() == [0, 9]


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (3, 0, 2, 2)])
def test_empty_shapes(cuda: Cupy, shape: tuple[int, ...]) -> None:
    bounds = np.zeros(shape[1], np.uint32)
    parts = parts_of(ActivationView(np.zeros(shape, np.float32), "float32"), [], bounds)
    check(parts * 3, bounds)


@pytest.mark.parametrize("units", [0, 1, 300])
def test_starts_of_units(cuda: Cupy, units: int) -> None:
    view = view_of(values(np.random.default_rng(4), (3, units, 3, 3), "normal"), "float32")
    (part,) = parts_of(view, [], keys(np.full(units, 1, np.float32)))
    starts: Any = cuda_backend().starts(moved(part, True, {})).get()
    assert starts.dtype == np.int64
    assert starts.tolist() == part.cell_start[part.unit_start].tolist()
