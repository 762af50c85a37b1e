"""count, from activations to integers. The oracle upsamples every map whole and compares pixel by pixel; the
kernels see only the cells that sift retained, so equality also proves that the others cannot matter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import (
    HUGE,
    KINDS,
    VALUES,
    assert_same,
    dense_planes,
    encode,
    pack_loop,
    planes_of,
    split,
    upsample_loop,
    values,
    view_of,
)

from fastdissect.kernels import Backend
from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.keys import from_keys, keys, widen
from fastdissect.types import ActivationView, Planes, SparseActivations, Upsampling
from fastdissect.upsampling import AxisField, make_upsampling


class Sums(NamedTuple):
    intersection: np.ndarray
    unit_area: np.ndarray
    mask_area: np.ndarray
    cursor: np.ndarray


def zeros(cells: SparseActivations, concepts: int, categories: int) -> Sums:
    k = cells.shape[1]
    sizes = [np.zeros(s, np.int64) for s in ((k, concepts), (k, categories), k)]
    return Sums(*sizes, cells.unit_start[:-1].copy())


def count(
    backend: Backend,
    cells: SparseActivations,
    thresholds: np.ndarray,
    table: Upsampling,
    planes: Planes,
    category: np.ndarray,
    present: np.ndarray | None = None,
    threads: int = 1,
    first_image: int = 0,
    sums: Sums | None = None,
) -> Sums:
    sums = sums or zeros(cells, len(category), int(category.max()) + 1)
    backend.count(
        cells, sums.cursor, first_image, thresholds, table, planes, category, present, *sums[:3], threads
    )
    return sums


def masks_loop(x: np.ndarray, thresholds: np.ndarray, table: Upsampling) -> np.ndarray:
    """bool [N, K, pixels] from dense maps; antialiasing tables ask for a tap above, too."""
    masks = np.zeros((*x.shape[:2], *table.size), bool)
    for image, unit in np.ndindex(x.shape[:2]):
        t = thresholds[unit]
        masks[image, unit] = upsample_loop(x[image, unit], table) > t
        if table.rows.lerp and table.columns.lerp:
            continue
        for y, c in np.argwhere(masks[image, unit]):
            rows = [min(table.rows.start[y] + i, x.shape[2] - 1) for i in range(table.rows.taps)]
            columns = [min(table.columns.start[c] + i, x.shape[3] - 1) for i in range(table.columns.taps)]
            masks[image, unit, y, c] = any(x[image, unit, i, j] > t for i in rows for j in columns)
    return masks.reshape(*x.shape[:2], -1)


def brute_force(
    x: np.ndarray,
    thresholds: np.ndarray,
    table: Upsampling,
    planes: Planes,
    category: np.ndarray,
    present: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    masks = masks_loop(x, thresholds, table)
    n, k, _ = masks.shape
    intersection = np.zeros((k, len(category)), np.int64)
    unit_area = np.zeros((k, int(category.max()) + 1), np.int64)
    for image in range(n):
        labels = dense_planes(planes, image, len(category))
        for unit in range(k):
            shared = (labels & masks[image, unit]).sum(1)
            intersection[unit] += shared
            for q in range(unit_area.shape[1]):
                counted = (shared[category == q] > 0).any() if present is None else present[image, q]
                unit_area[unit, q] += masks[image, unit].sum() if counted else 0
    return intersection, unit_area, masks.sum((0, 2))


FIELDS = (AxisField(-6, 13, 4), AxisField(0, 3, 6))


def table_for(mode: str, cells: tuple[int, int], size: tuple[int, int]) -> Upsampling:
    if mode == "receptive-field":
        return make_upsampling(mode, cells, size, fields=FIELDS, input_size=(2 * size[0], 2 * size[1]))
    return make_upsampling(mode, cells, size)


MODES = ["half-pixel", "half-pixel-zero", "receptive-field", "pil"]


@st.composite
def problems(draw: st.DrawFn) -> tuple:
    """(view, thresholds, table, planes, category, present): all modes, sizes that do not divide."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    cells = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    size = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    table = table_for(draw(st.sampled_from(MODES)), cells, size)
    kind = draw(st.sampled_from(KINDS))
    view = view_of(values(rng, (n, k, *cells), draw(st.sampled_from(VALUES))), kind)
    x = widen(view.data, kind)
    thresholds = np.array([rng.choice(x[:, u].reshape(-1)) for u in range(k)], np.float32)
    thresholds[rng.random(k) < 0.3] = 0
    thresholds += np.float32(0)
    planes = planes_of(rng, n, size, concepts=7, most=7)
    category = rng.permutation([0, 0, 1, 1, 2, 2, 2]).astype(np.int64)
    present = rng.random((n, 3)) < 0.6 if draw(st.booleans()) else None
    return view, thresholds, table, planes, category, present


def retained(
    backend: Backend, view: ActivationView, thresholds: np.ndarray, table: Upsampling
) -> SparseActivations:
    return backend.sift(view, keys(thresholds), table.reach, table.ring, False, 1).cells


@given(problem=problems(), threads=st.sampled_from([1, 2, 9]))
@settings(max_examples=40)
def test_retained_cells_count_as_everything_does(backend: Backend, problem: tuple, threads: int) -> None:
    view, thresholds, table, planes, category, present = problem
    cells = retained(backend, view, thresholds, table)
    got = count(backend, cells, thresholds, table, planes, category, present, threads)
    expected = brute_force(widen(view.data, view.kind), thresholds, table, planes, category, present)
    for mine, theirs in zip(got[:3], expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(got.cursor, cells.unit_start[1:])


@pytest.mark.slow
@given(problem=problems())
@settings(max_examples=800)
def test_retained_cells_count_as_everything_does_in_many_cases(backend: Backend, problem: tuple) -> None:
    view, thresholds, table, planes, category, present = problem
    got = count(
        backend, retained(backend, view, thresholds, table), thresholds, table, planes, category, present
    )
    reference = get_backend("reference")
    everything = reference.sift(view, np.zeros(len(thresholds), np.uint32), 1, False, False, 1).cells
    expected = count(reference, everything, thresholds, table, planes, category, present)
    assert_same(tuple(got[:3]), tuple(expected[:3]))


@given(problem=problems())
def test_absent_cells_may_be_present(backend: Backend, problem: tuple) -> None:
    """All cells, or those of a lower bound, count as the retained ones do."""
    view, thresholds, table, planes, category, present = problem
    first = count(
        backend, retained(backend, view, thresholds, table), thresholds, table, planes, category, present
    )
    for bounds in (np.zeros(len(thresholds), np.uint32), keys(np.minimum(thresholds - 1, np.float32(-0.5)))):
        cells = backend.sift(view, bounds, table.reach, table.ring, False, 1).cells
        again = count(backend, cells, thresholds, table, planes, category, present)
        assert_same(tuple(again[:3]), tuple(first[:3]))


@given(problem=problems(), edge=st.floats(0, 1), threads=st.sampled_from([1, 3]))
def test_blocks_of_images_add_up(backend: Backend, problem: tuple, edge: float, threads: int) -> None:
    view, thresholds, table, planes, category, present = problem
    cells = retained(backend, view, thresholds, table)
    whole = count(backend, cells, thresholds, table, planes, category, present)
    n = view.data.shape[0]
    middle = int(edge * n)
    sums = zeros(cells, len(category), whole.unit_area.shape[1])
    for a, b in ((0, middle), (middle, middle), (middle, n)):
        p = slice(planes.plane_start[a], planes.plane_start[b])
        block = Planes(
            planes.size,
            planes.plane_start[a : b + 1] - planes.plane_start[a],
            planes.concept[p],
            planes.pixels[p],
            planes.word_row[p],
            planes.words,
        )
        own = None if present is None else np.ascontiguousarray(present[a:b])
        count(backend, cells, thresholds, table, block, category, own, threads, a, sums)
    assert_same(tuple(sums), tuple(whole))


PIXELS = [(1, 1), (1, 63), (1, 64), (5, 13), (1, 127), (2, 64), (3, 43), (1, 200), (9, 64)]


@pytest.mark.parametrize("size", PIXELS)
@pytest.mark.parametrize("mode", MODES)
def test_masks_of_any_number_of_bits(backend: Backend, size: tuple[int, int], mode: str) -> None:
    rng = np.random.default_rng(size[0] * size[1])
    table = table_for(mode, (3, 4), size)
    view = view_of(values(rng, (4, 6, 3, 4), "normal"), "float32")
    thresholds = np.float32([-2, -0.5, 0, 0.3, 0.8, 1.5])
    planes = planes_of(rng, 4, size, concepts=9, most=9, whole=0.1)
    category = np.arange(9, dtype=np.int64) % 2
    got = count(backend, retained(backend, view, thresholds, table), thresholds, table, planes, category)
    expected = brute_force(view.data, thresholds, table, planes, category, None)
    for mine, theirs in zip(got[:3], expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


SHAPES = [
    ((7, 7), (112, 112)),
    ((56, 56), (28, 30)),
    ((13, 13), (113, 113)),
    ((3, 70), (9, 200)),
    ((1, 1), (5, 67)),
]


@pytest.mark.parametrize(("cells", "size"), SHAPES)
@pytest.mark.parametrize("mode", ["half-pixel", "half-pixel-zero", "pil"])
def test_equals_the_reference_at_full_size(
    backend: Backend, cells: tuple[int, int], size: tuple[int, int], mode: str
) -> None:
    rng = np.random.default_rng(cells[1])
    table = make_upsampling(mode, cells, size)
    view = view_of(values(rng, (3, 8, *cells), "normal"), "float32")
    thresholds = np.linspace(-0.5, 2, 8).astype(np.float32)
    planes = planes_of(rng, 3, size, concepts=40, most=40)
    category = (np.arange(40) % 5).astype(np.int64)
    kept = retained(backend, view, thresholds, table)
    everything = backend.sift(view, np.zeros(8, np.uint32), 1, False, False, 1).cells
    expected = count(get_backend("reference"), everything, thresholds, table, planes, category)
    assert expected.mask_area[0] > 0
    for threads in (1, 4):
        got = count(backend, kept, thresholds, table, planes, category, threads=threads)
        assert_same(tuple(got[:3]), tuple(expected[:3]))


@pytest.mark.parametrize("threshold", [-0.5, -0.0, 0.25])
def test_the_zero_ring_is_above_only_below_zero(backend: Backend, threshold: float) -> None:
    """A unit of -1 everywhere: the ring's 0 makes a frame, by the planted arithmetic of (1, 1) -> (4, 4)."""
    table = make_upsampling("half-pixel-zero", (1, 1), (4, 4))
    thresholds = np.float32([threshold])
    view = view_of(np.full((2, 1, 1, 1), -1, np.float32), "float32")
    planes = planes_of(np.random.default_rng(0), 2, (4, 4), 1, 0)
    cells = retained(backend, view, thresholds, table)
    got = count(backend, cells, thresholds, table, planes, np.zeros(1, np.int64))
    # the product of two triangles: weights 0.625 and 0.875 -> -0.39, -0.55, -0.77: corners alone are above -0.5
    assert got.mask_area.tolist() == [8 if threshold < 0 else 0]


def test_counts_are_added_to_what_is_there(backend: Backend) -> None:
    rng = np.random.default_rng(1)
    table = make_upsampling("half-pixel", (4, 4), (10, 10))
    view = view_of(values(rng, (3, 4, 4, 4), "normal"), "float32")
    thresholds = np.zeros(4, np.float32)
    planes = planes_of(rng, 3, (10, 10), 5, 5)
    category = np.zeros(5, np.int64)
    cells = retained(backend, view, thresholds, table)
    once = count(backend, cells, thresholds, table, planes, category)
    large = Sums(*(a + 2**40 for a in once[:3]), cells.unit_start[:-1].copy())
    count(backend, cells, thresholds, table, planes, category, sums=large)
    for twice, single in zip(large[:3], once[:3], strict=True):
        np.testing.assert_array_equal(twice, 2 * single + 2**40)


def test_more_planes_than_pixels(backend: Backend) -> None:
    rng = np.random.default_rng(2)
    table = make_upsampling("half-pixel", (2, 2), (2, 3))
    view = view_of(values(rng, (5, 3, 2, 2), "ties"), "float32")
    thresholds = np.zeros(3, np.float32)
    planes = planes_of(rng, 5, (2, 3), concepts=300, most=300)
    category = (np.arange(300) % 4).astype(np.int64)
    got = count(backend, retained(backend, view, thresholds, table), thresholds, table, planes, category)
    expected = brute_force(view.data, thresholds, table, planes, category, None)
    for mine, theirs in zip(got[:3], expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["half-pixel", "pil"])
def test_a_pixel_that_touches_nan_is_not_above(backend: Backend, kind: str, mode: str) -> None:
    rng = np.random.default_rng(3)
    table = make_upsampling(mode, (6, 6), (11, 4))
    x = values(rng, (4, 5, 6, 6), "normal")
    data = encode(x, kind)
    where = rng.random(x.shape) < 0.1
    data[where] = np.float16(np.nan) if kind == "float16" else encode(np.float32([np.nan]), kind)[0]
    thresholds = np.float32([-1, -0.2, 0, 0.5, 1])
    planes = planes_of(rng, 4, (11, 4), 6, 6)
    category = np.zeros(6, np.int64)
    view = ActivationView(data, kind)
    cells = backend.sift(view, keys(thresholds), table.reach, False, True, 1).cells
    got = count(backend, cells, thresholds, table, planes, category)
    with np.errstate(invalid="ignore"):
        expected = brute_force(widen(data, kind), thresholds, table, planes, category, None)
    for mine, theirs in zip(got[:3], expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_largest_usable_values_do_not_overflow(backend: Backend) -> None:
    table = make_upsampling("half-pixel", (2, 2), (8, 8))
    x = np.float32([[[[HUGE, -HUGE], [-HUGE, HUGE]]], [[[HUGE, HUGE], [HUGE, HUGE]]]])
    thresholds = np.float32([np.nextafter(HUGE, np.float32(0))])
    planes = planes_of(np.random.default_rng(0), 2, (8, 8), 2, 2, whole=1)
    view = view_of(x, "float32")
    got = count(
        backend, retained(backend, view, thresholds, table), thresholds, table, planes, np.zeros(2, np.int64)
    )
    assert got.mask_area.tolist() == [8 + 64]  # four corners of 2 x 2 pixels, two of them above


def test_wide_cells(backend: Backend) -> None:
    x = np.zeros((2, 2, 257, 256), np.float32)
    x[1, 0, 0, 0], x[0, 1, 256, 255], x[1, 1, 128, 128] = 1, 1, 1
    table = make_upsampling("half-pixel", (257, 256), (257, 256))
    thresholds = np.zeros(2, np.float32)
    view = view_of(x, "float32")
    masks = np.zeros((2, 257 * 256), bool)
    masks[0, [0, 257 * 256 - 1]] = True
    masks[1, 128 * 256 + 128] = True
    planes = Planes(
        (257, 256),
        np.array([0, 2, 4]),
        np.array([0, 1, 0, 1], np.int32),
        np.tile(masks.sum(1), 2),
        np.array([0, 1, 0, 1]),
        pack_loop(masks),
    )
    cells = retained(backend, view, thresholds, table)
    assert cells.cells.dtype == np.uint32
    got = count(backend, cells, thresholds, table, planes, np.array([0, 1], np.int64))
    assert got.intersection.tolist() == [[1, 0], [1, 1]]
    assert got.unit_area.tolist() == [[1, 0], [1, 1]]
    assert got.mask_area.tolist() == [1, 2]


@pytest.mark.parametrize("images", [0, 2])
def test_no_planes_and_no_images(backend: Backend, images: int) -> None:
    table = make_upsampling("half-pixel", (2, 2), (3, 3))
    view = view_of(np.ones((images, 3, 2, 2), np.float32), "float32")
    thresholds = np.zeros(3, np.float32)
    cells = retained(backend, view, thresholds, table)
    planes = planes_of(np.random.default_rng(0), images, (3, 3), 4, 0)
    present = np.ones((images, 1), bool)
    got = count(backend, cells, thresholds, table, planes, np.zeros(4, np.int64), present, threads=5)
    assert not got.intersection.any()
    assert got.unit_area.tolist() == [[9 * images]] * 3
    assert got.mask_area.tolist() == [9 * images] * 3


def test_pruned_on_the_way_counts_the_same(backend: Backend) -> None:
    """sift in batches with a rising bound, prune, select the threshold, count: against dense arithmetic."""
    rng = np.random.default_rng(8)
    view = view_of(values(rng, (12, 5, 6, 6), "relu"), "float32")
    x, n = view.data, 12
    table = make_upsampling("half-pixel", (6, 6), (17, 15))
    rank = 40
    bounds, parts = np.zeros(5, np.uint32), []
    for batch in split(view, 3, 6, 9):
        parts.append(backend.sift(batch, bounds, 1, False, False, 2).cells)
        starts = [p.cell_start[p.unit_start] for p in parts]
        ranks = np.full((5, 1), rank, np.int64)
        bounds = backend.select(starts, [p.values for p in parts], "float32", bounds, ranks, 1)[:, 0]
        parts = [backend.prune(parts, bounds, 1, False, 2)]
    thresholds = from_keys(bounds)
    everything = x.transpose(1, 0, 2, 3).reshape(5, -1)
    np.testing.assert_array_equal(thresholds, np.partition(everything, -rank, axis=1)[:, -rank])
    planes = planes_of(rng, n, table.size, 6, 6)
    category = np.zeros(6, np.int64)
    got = count(backend, parts[0], thresholds, table, planes, category)
    expected = brute_force(x, thresholds, table, planes, category, None)
    for mine, theirs in zip(got[:3], expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
