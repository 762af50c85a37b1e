"""What is the CUDA backend's own in sift: mappings, large maps, and results that are asked for later."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cuda_on_host.facing import cuda_backend, has_gpu, moved, uploaded
from cuda_on_host.fixture import Cupy
from kernel_cases import KINDS, LAYOUTS, assert_same, bounds_for, encode, values, view_of

from fastdissect.errors import ActivationError
from fastdissect.kernels import Sifted
from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.keys import keys
from fastdissect.types import ActivationView


def on_gpu(view: ActivationView) -> ActivationView:
    return ActivationView(uploaded(view.data), view.kind)


def sifted(
    view: ActivationView, bounds: np.ndarray, reach: int = 1, ring: bool = False, omit: bool = False
) -> Sifted:
    begun = cuda_backend().begin_sift(on_gpu(view), uploaded(bounds), reach, ring, omit, 1)
    return moved(begun.settle(), False, {})


def expected(
    view: ActivationView, bounds: np.ndarray, reach: int = 1, ring: bool = False, omit: bool = False
) -> Any:
    with np.errstate(over="ignore", invalid="ignore"):
        return get_backend("reference").sift(view, bounds, reach, ring, omit, 1)


def example(
    shape: tuple[int, ...], kind: Any = "float32", layout: str = "nchw", seed: int = 0
) -> tuple[ActivationView, np.ndarray]:
    rng = np.random.default_rng(seed)
    view = view_of(values(rng, shape, "normal"), kind, layout)
    return view, bounds_for(rng, view, (0.3, 0.9, 0.999, 1.0))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(7, 7), (17, 16), (300, 1), (1, 1)])
def test_layouts_in_small_and_large_maps(cuda: Cupy, size: tuple[int, int], kind: str, layout: str) -> None:
    view, bounds = example((2, 37, *size), kind, layout)
    assert_same(sifted(view, bounds), expected(view, bounds))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shape", [(2, 131, 7, 7), (2, 7, 3, 5), (2, 150, 1, 40), (2, 5, 8, 8), (2, 5, 63, 1)]
)
def test_many_tiny_maps(
    cuda: Cupy, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], kind: str, layout: str
) -> None:
    """A thread has a map to itself; maps that lie one after another are read as a whole, wherever they begin."""
    monkeypatch.setattr("fastdissect.kernels.cuda.sift.MANY", 0)
    view, bounds = example(shape, kind, layout)
    bounds[2::5] = 0
    x = view.data.copy() if layout == "read-only" else view.data
    x[1, 2, 0, 0] = encode(np.float32([65504]), kind)[0]
    x[0, 4, :] = 0x7FC0 if kind == "bfloat16" else np.nan
    view, ring = ActivationView(x, view.kind), kind == "float16"
    assert_same(sifted(view, bounds, ring=ring, omit=True), expected(view, bounds, ring=ring, omit=True))


def test_what_lies_side_by_side_is_read_side_by_side(cuda: Cupy) -> None:
    from fastdissect.kernels.cuda.sift import _mapping

    def mapping(shape: tuple[int, ...], layout: str) -> str:
        return _mapping(uploaded(LAYOUTS[layout](np.zeros(shape, np.float32))), 7)[0]

    assert mapping((2, 40, 7, 7), "nchw") == "cells4"
    assert mapping((2, 40, 7, 7), "backwards") == "cells4"
    assert mapping((2, 40, 56, 56), "nchw") == "cells16"
    assert mapping((2, 40, 7, 7), "nhwc") == "units4"
    assert mapping((2, 40, 56, 56), "nhwc") == "units16"
    assert mapping((2, 40, 50, 1), "ntc") == "units4"
    assert mapping((2, 40, 1, 1), "nchw") == "units4"
    assert mapping((512, 128, 7, 7), "nchw") == "cells1"
    assert (
        mapping((512, 128, 8, 8), "nchw") == "cells4"
    )  # even: threads would meet in one bank of shared memory
    assert mapping((512, 128, 3, 3), "backwards") == "cells4"
    assert mapping((512, 128, 1, 63), "nchw") == "cells1"
    assert mapping((512, 128, 8, 8), "nhwc") == "units1"


@pytest.mark.parametrize("layout", ["nchw", "nhwc", "sliced"])
@pytest.mark.parametrize("size", [(260, 260), (300, 300)])
def test_maps_of_more_than_65536_cells(cuda: Cupy, size: tuple[int, int], layout: str) -> None:
    view, bounds = example((2, 3, *size), "bfloat16", layout)
    bounds[0] = keys(np.float32([3.5]))[0]
    want = expected(view, bounds)
    assert want.cells.cells.dtype == np.uint32
    assert_same(sifted(view, bounds), want)


@pytest.mark.parametrize("reach", [0, 31, 32, 33, 63, 64, 65, 120])
@pytest.mark.parametrize("size", [(5, 100), (70, 33)])
@pytest.mark.parametrize("ring", [False, True])
def test_any_reach(cuda: Cupy, size: tuple[int, int], reach: int, ring: bool) -> None:
    x = np.full((2, 3, *size), -1, np.float32)
    x[0, 0, 2, 31] = x[0, 1, 4, 32] = x[1, 2, size[0] - 1, 0] = 1
    view = view_of(x, "float32")
    bounds = keys(np.float32([0.5, 0, -0.5]))
    assert_same(sifted(view, bounds, reach, ring), expected(view, bounds, reach, ring))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("size", [(6, 7), (20, 40)])
def test_bits_in_global_memory(cuda: Cupy, monkeypatch: pytest.MonkeyPatch, size: Any, layout: str) -> None:
    view, bounds = example((3, 35, *size), "float16", layout)
    monkeypatch.setattr("fastdissect.kernels.cuda.sift.SHARED", 0)
    assert_same(sifted(view, bounds, ring=True), expected(view, bounds, ring=True))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_more_images_than_a_grid_has_rows(cuda: Cupy, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    view, bounds = example((8, 35, 5, 6), "float32", layout)
    monkeypatch.setattr("fastdissect.kernels.cuda.sift.ROWS", 3)
    assert_same(sifted(view, bounds), expected(view, bounds))


@pytest.mark.parametrize("kind", KINDS)
def test_exact_sizes_equal_the_worst_case(cuda: Cupy, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    view, bounds = example((4, 20, 9, 10), kind)
    bounds[:3] = (
        keys(np.full(3, 1e30, np.float32)) if kind != "float16" else keys(np.full(3, 7e4, np.float32))
    )
    worst = sifted(view, bounds)
    monkeypatch.setattr("fastdissect.kernels.cuda.sift.SCRATCH", 0)
    assert_same(sifted(view, bounds), worst)
    assert_same(worst, expected(view, bounds))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -(2.0**127), 2.0**127])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("size", [(4, 5), (20, 30)])
def test_one_bad_cell_in_an_otherwise_plain_map(
    cuda: Cupy, bad: float, layout: str, size: tuple[int, int]
) -> None:
    x = np.abs(values(np.random.default_rng(1), (2, 33, *size), "normal"))
    x[1, 20, 2, 3] = bad
    view = view_of(x, "float32", layout)
    bounds = keys(np.full(33, 2.5, np.float32))
    assert_same(sifted(view, bounds, omit=True), expected(view, bounds, omit=True))
    fault = sifted(view, bounds).fault
    assert fault is not None
    assert fault[:3] == (1, 20, 2 * size[1] + 3)
    assert fault.value == bad or np.isnan([fault.value, bad]).all()


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("reach", [0, 1])
def test_unusable_cells_are_never_above(cuda: Cupy, reach: int, layout: str, kind: str) -> None:
    """Not without a bound either, nor above one that is lower still."""
    x = np.full((2, 3, 5, 6), np.nan, np.float32)
    x[:, :, 1, 1], x[:, :, 4, 5], x[:, 1, 0, 0] = 0.5, -(2.0**127), -3e38
    view = view_of(x, kind, layout)
    bounds = np.array([0, keys(np.array([-3.2e38], np.float32))[0], 0x007FFFFF], np.uint32)
    result = sifted(view, bounds, reach, omit=True)
    assert_same(result, expected(view, bounds, reach, omit=True))
    assert len(result.cells.cells) == 6 * (1, 9)[reach]


def test_maps_of_too_many_cells_are_refused(cuda: Cupy) -> None:
    one = cuda.zeros(1, np.float32)
    memory = cuda.cuda.MemoryPointer(cuda.cuda.UnownedMemory(one.data.ptr, 4, one, 0), 0)
    data = cuda.ndarray((1, 1, 1 << 15, (1 << 15) + 1), np.float32, memory, (0, 0, 0, 0))
    view = ActivationView(data, "float32")
    with pytest.raises(ActivationError, match=r"at most 1,073,741,824 cells on the GPU; got 32768 x 32769"):
        cuda_backend().begin_sift(view, uploaded(np.zeros(1, np.uint32)), 1, False, False, 1)


@pytest.mark.skipif(has_gpu(), reason="looks into the stand-in for CuPy")
def test_a_sift_that_is_dropped_waits_for_its_copy(cuda: Cupy) -> None:
    view, bounds = example((2, 5, 4, 4))
    begun = cuda_backend().begin_sift(on_gpu(view), uploaded(bounds), 1, False, False, 1)
    told = begun._told
    assert set(told[32:72]) == {0xCD}  # the copy has not arrived
    del begun
    gc.collect()
    assert set(told[32:72]) == {0}  # no value is missing


@pytest.mark.skipif(has_gpu(), reason="torch's streams are played")
def test_streams_wait_for_each_other(cuda: Cupy, monkeypatch: pytest.MonkeyPatch) -> None:
    current = SimpleNamespace(cuda_stream=71)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current)
    view, bounds = example((2, 5, 4, 4))
    data, below = on_gpu(view), uploaded(bounds)
    cuda.waits.clear()
    begun = cuda_backend().begin_sift(data, below, 1, False, False, 1)
    assert cuda.waits == [(71, 0), (0, 71)]  # what lies in CuPy's stream before, and what comes there after
    current.cuda_stream = 72
    begun.settle()
    assert cuda.waits == [(71, 0), (0, 71)] * 2  # in the stream that it began in
    cuda_backend().starts(moved(begun.settle().cells, False, {}))
    assert cuda.waits[-2:] == [(72, 0), (0, 72)]
    cuda.waits.clear()
    current.cuda_stream = 0  # CuPy's own: nothing to wait for
    cuda_backend().begin_sift(data, below, 1, False, False, 1).settle()
    assert cuda.waits == []


@pytest.mark.parametrize("bad", [False, True])
def test_activations_may_be_overwritten_after_the_beginning(cuda: Cupy, bad: bool) -> None:
    view, bounds = example((3, 20, 6, 6))
    if bad:
        view.data[1, 2, 3, 4] = np.nan
    there = on_gpu(view)
    begun = cuda_backend().begin_sift(there, uploaded(bounds), 1, False, False, 1)
    there.data.set(np.full(view.data.shape, 7, np.float32))
    got, want = moved(begun.settle(), False, {}), expected(view, bounds)
    if bad:
        assert_same(got.fault, want.fault)
    else:
        assert_same(got, want)


def test_several_may_be_under_way(cuda: Cupy) -> None:
    cases = [example((2 + i, 10 + i, 5, 4 + i), seed=i) for i in range(4)]
    begun = [cuda_backend().begin_sift(on_gpu(v), uploaded(b), 1, False, False, 1) for v, b in cases]
    for (view, bounds), sifting in reversed(list(zip(cases, begun, strict=True))):
        assert_same(moved(sifting.settle(), False, {}), expected(view, bounds))


def test_beginning_does_not_wait_and_settling_gives_scratch_back(
    cuda: Cupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_gpu():
        pytest.skip("the stand-in shows waits and memory")
    view, _ = example((4, 64, 14, 14))
    there, bound_keys = on_gpu(view), uploaded(keys(np.full(64, 3.0, np.float32)))
    before = cuda.held[0]
    waits: list[str] = []
    monkeypatch.setattr(cuda, "_arrive", lambda arrive=cuda._arrive: (waits.append("wait"), arrive()))
    sifting = cuda_backend().begin_sift(there, bound_keys, 1, False, False, 1)
    assert waits == []
    got = sifting.settle()
    assert waits == ["wait"]
    del sifting
    own = got.cells.nbytes
    assert own < view.data.nbytes // 10
    assert cuda.held[0] - before == own


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (2, 0, 2, 2), (0, 0, 1, 1)])
def test_empty_shapes(cuda: Cupy, shape: tuple[int, ...]) -> None:
    for kind in KINDS:
        view = ActivationView(encode(np.zeros(shape), kind), kind)
        bounds = np.zeros(shape[1], np.uint32)
        assert_same(sifted(view, bounds), expected(view, bounds))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(3, 4), (20, 20)])
def test_bounds_that_have_no_float(cuda: Cupy, kind: str, size: tuple[int, int]) -> None:
    """Everything is above a bound below the lowest key; the lowest key itself is -inf's."""
    view, _ = example((2, 4, *size), kind)
    bounds = np.array([0, 1, 0x007FFFFE, 0x007FFFFF], np.uint32)
    got = sifted(view, bounds, ring=True)
    assert_same(got, expected(view, bounds, ring=True))
    assert got.cells.values.size == view.data.size


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_random_strides(cuda: Cupy, seed: int) -> None:
    """Steps, flips, transpositions and repeated axes in any combination."""
    rng = np.random.default_rng(seed)
    base = values(rng, tuple(rng.integers(1, 24, 4)), rng.choice(["normal", "relu", "wide", "ties"]))
    data = encode(base, KINDS[seed % 3]).transpose(rng.permutation(4))
    data = data[tuple(slice(None, None, int(rng.choice([1, 2, 3, -1, -2]))) for _ in range(4))]
    if seed % 5 == 0:
        data = np.broadcast_to(data[:, :, :1, :1], (*data.shape[:2], 5, 6))
    view = ActivationView(data, KINDS[seed % 3])
    bounds = bounds_for(rng, view, (-1.0, 0.5, 0.95))
    for reach, ring in ((1, True), (3, False)):
        assert_same(sifted(view, bounds, reach, ring), expected(view, bounds, reach, ring))
