"""sift_codes: held against `sift` of the dense maps, bit for bit, on every backend of the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import HUGE, assert_same

from fastdissect.kernels import Backend, Sifted
from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.keys import keys
from fastdissect.kernels.selection import on_host
from fastdissect.kernels.views import CodesView
from fastdissect.types import ActivationView

ZERO_KEY = np.uint32(0x80000000)
FLAVOURS = ("normal", "ties", "constant", "denormal", "wide", "zeros", "huge")


@pytest.fixture(params=on_host())
def host(request: pytest.FixtureRequest) -> Any:
    return get_backend(request.param)


def drawn_codes(
    rng: np.random.Generator, shape: tuple[int, int, int, int], k: int, flavour: str = "normal"
) -> CodesView:
    """Random codes: each unit at most once a place, with entries of 0 (and -0) among them."""
    images, units, height, width = shape
    places = height * width
    order = rng.random((images, places, units)).argsort(axis=2)[:, :, :k].astype(np.int64)
    values = np.abs(rng.normal(size=order.shape)).astype(np.float32)
    if flavour == "ties":
        values = np.round(values)
    elif flavour == "constant":
        values[:] = 0.75
    elif flavour == "denormal":
        values = values * np.float32(2.0**-140)
    elif flavour == "wide":
        values = np.ldexp(values, rng.integers(-60, 60, values.shape)).astype(np.float32)
    elif flavour == "zeros":
        values = np.where(rng.random(values.shape) < 0.5, np.float32(0), np.float32(-0.0))
    elif flavour == "huge":
        values = np.where(rng.random(values.shape) < 0.5, HUGE, values)
    empty = rng.random((images, places)) < 0.3
    values[empty] = 0
    order[empty] = 0  # the same unit, again and again: entries of 0 say nothing
    return CodesView(shape, np.ascontiguousarray(order), np.ascontiguousarray(values))


def dense(view: CodesView) -> ActivationView:
    """The maps that the codes stand for, entry by entry."""
    images, units, height, width = view.shape
    maps = np.zeros((images, units, height * width), np.float32)
    for image in range(images):
        for place in range(height * width):
            for unit, value in zip(view.indices[image, place], view.values[image, place], strict=True):
                if value != 0:
                    maps[image, unit, place] = value
    return ActivationView(maps.reshape(view.shape), "float32")


def both(host: Any, view: CodesView, bounds: np.ndarray, **changes: Any) -> tuple[Sifted, Sifted]:
    options = {"reach": 1, "ring": False, "omit": False, "threads": 1} | changes
    with np.errstate(over="ignore", invalid="ignore"):
        expected = get_backend("reference").sift(dense(view), bounds, **options)
        return host.sift_codes(view, bounds, **options), expected


def some_bounds(rng: np.random.Generator, view: CodesView) -> np.ndarray:
    """0 (nothing seen), key(0), a value of the unit itself (a tie), its largest, a negative one."""
    maps = dense(view).data
    bounds = np.zeros(view.shape[1], np.uint32)
    for unit, which in enumerate(rng.integers(0, 5, view.shape[1])):
        own = np.sort(maps[:, unit], axis=None)
        bounds[unit] = (
            0,
            ZERO_KEY,
            keys(own[[int(0.9 * (own.size - 1))]])[0],
            keys(own[-1:])[0],
            0x7FFFFFFF - 5,
        )[which]
    return bounds


SHAPES = [(1, 1), (7, 7), (14, 14), (1, 197), (3, 70), (1, 64), (8, 8)]


@pytest.mark.parametrize("cells", SHAPES)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("ring", [False, True])
def test_equals_sift_of_the_dense_maps(host: Any, cells: tuple[int, int], threads: int, ring: bool) -> None:
    rng = np.random.default_rng([*cells, threads, ring])
    for reach in (0, 1, 2):
        view = drawn_codes(rng, (4, 50, *cells), 5)
        for bounds in (np.full(50, ZERO_KEY), some_bounds(rng, view)):
            found, expected = both(host, view, bounds, reach=reach, ring=ring, threads=threads)
            assert_same(found, expected)


@given(
    seed=st.integers(0, 2**32),
    images=st.integers(1, 4),
    units=st.integers(1, 40),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    k=st.integers(1, 8),
    flavour=st.sampled_from(FLAVOURS),
    reach=st.integers(0, 3),
    ring=st.booleans(),
    threads=st.sampled_from([1, 2, 7]),
)
def test_any_codes(
    seed: int, images: int, units: int, height: int, width: int, k: int, flavour: str, reach: int, ring: bool, threads: int
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    view = drawn_codes(rng, (images, units, height, width), min(k, units), flavour)
    bounds = some_bounds(rng, view)
    for name in on_host():
        found, expected = both(get_backend(name), view, bounds, reach=reach, ring=ring, threads=threads)
        assert_same(found, expected)


def test_the_fast_kernels_agree_with_each_other_on_whole_sift(host: Any) -> None:
    """Not the reference alone: the backend's own `sift`, with its shortcuts, gives the same."""
    view = drawn_codes(np.random.default_rng(3), (5, 33, 14, 14), 6, "wide")
    bounds = np.full(33, ZERO_KEY)
    assert_same(
        host.sift_codes(view, bounds, 1, False, False, 2), host.sift(dense(view), bounds, 1, False, False, 2)
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, np.float32(2.0**127)])
@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_unusable_value_is_the_fault(host: Any, bad: float, threads: int) -> None:
    view = drawn_codes(np.random.default_rng(5), (4, 20, 3, 3), 4)
    at = np.argwhere(view.values > 0)
    for image, place, j in at[[-1, len(at) // 2, len(at) // 3]]:
        view.values[image, place, j] = bad
    found, expected = both(host, view, np.full(20, ZERO_KEY), threads=threads)
    assert found.fault is not None
    assert_same(found.fault, expected.fault)


@pytest.mark.parametrize("ring", [False, True])
@pytest.mark.parametrize("low", [False, True])
def test_unusable_values_are_left_out_when_asked(host: Any, ring: bool, low: bool) -> None:
    rng = np.random.default_rng(6)
    view = drawn_codes(rng, (3, 12, 4, 5), 4)
    view.values[(rng.random(view.values.shape) < 0.3) & (view.values > 0)] = np.nan
    view.indices[:, :, 0], view.values[:, :, 0] = 7, np.inf  # a unit without a single usable value
    view.values[:, :, 1:][view.indices[:, :, 1:] == 7] = 0
    bounds = some_bounds(rng, view) if low else np.full(12, ZERO_KEY)
    found, expected = both(host, view, bounds, omit=True, ring=ring)
    assert np.isnan(found.means[:, 7]).all()
    assert found.missing[7] == 3 * 20
    assert_same(found, expected)


def test_a_map_of_more_than_65536_cells_has_wide_cell_numbers(host: Any) -> None:
    view = drawn_codes(np.random.default_rng(7), (1, 3, 1, 65537), 1)
    found, expected = both(host, view, np.full(3, ZERO_KEY))
    assert found.cells.cells.dtype == np.uint32
    assert_same(found, expected)


def test_nothing_and_no_entries_at_all(host: Any) -> None:
    for images, k in ((0, 3), (2, 0), (2, 3)):
        view = CodesView(
            (images, 5, 2, 3), np.zeros((images, 6, k), np.int64), np.zeros((images, 6, k), np.float32)
        )
        assert_same(*both(host, view, np.full(5, ZERO_KEY)))


def test_zeros_change_no_lane() -> None:
    """What the kernel rests on: lane + 0 is the lane, bit for bit, from +0 on, also after +x - x and + -0."""
    draws = np.random.default_rng(8).normal(size=1000).astype(np.float32)
    lane = np.float32(0)
    for x in [*draws, *-draws[::-1], np.float32(-0.0)]:
        lane = np.float32(lane + x)
        assert np.float32(lane + np.float32(0)).tobytes() == lane.tobytes()


def test_the_bound_of_zero_keeps_what_grows_with_the_entries(host: Backend) -> None:
    rng = np.random.default_rng(9)
    few = CodesView(
        (2, 30000, 14, 14),
        rng.integers(0, 30000, (2, 196, 2)),
        np.abs(rng.normal(size=(2, 196, 2))).astype(np.float32),
    )
    if host.name == "reference":
        pytest.skip("makes each unit dense by itself: slow")
    found = host.sift_codes(few, np.full(30000, ZERO_KEY), 1, False, False, 2)  # type: ignore[attr-defined]
    assert len(found.cells.cells) <= 9 * few.values.size
    assert found.cells.values.max() == few.values.max()
