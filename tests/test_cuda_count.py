"""count on the GPU's own paths: pieces outside shared memory, blocks that step, cursors, sums on either side."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cuda_on_host.facing import Facing, moved
from cuda_on_host.fixture import Cupy
from kernel_cases import KINDS, assert_same, planes_of, values, view_of

from fastdissect.errors import SettingError
from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.keys import keys
from fastdissect.types import ActivationView, Planes, SparseActivations, Upsampling
from fastdissect.upsampling import AxisField, make_upsampling

REFERENCE = get_backend("reference")
MODES = ("half-pixel", "half-pixel-zero", "receptive-field", "pil")
Size = tuple[int, int]


@pytest.fixture(autouse=True)
def _runs_here(cuda: Cupy) -> None:
    """Skip where the kernels cannot run."""


def table_for(mode: str, cells: Size, size: Size) -> Upsampling:
    fields = (AxisField(-6, 13, 4), AxisField(0, 3, 6)) if mode == "receptive-field" else None
    return make_upsampling(mode, cells, size, fields=fields, input_size=(2 * size[0], 2 * size[1]))


def retained(
    x: np.ndarray, thresholds: np.ndarray, table: Upsampling, kind: Any = "float32"
) -> SparseActivations:
    view = view_of(x, kind)
    return REFERENCE.sift(view, keys(thresholds), table.reach, table.ring, False, 1).cells


def sums(cells: SparseActivations, concepts: int, categories: int) -> tuple[np.ndarray, ...]:
    """cursor, then sums that are not 0 before."""
    k = cells.shape[1]
    shapes = (k, concepts), (k, categories), (k,)
    return cells.unit_start[:-1].copy(), *(np.full(s, 2**40 + 7, np.int64) for s in shapes)


def both(
    cells: SparseActivations,
    thresholds: np.ndarray,
    table: Upsampling,
    blocks: list[tuple[int, Planes, np.ndarray | None]],
    category: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Count every block (first image, planes, present) by the kernels and by the reference: equal; return the sums."""
    results = []
    for backend in (Facing(), REFERENCE):
        own = sums(cells, len(category), int(category.max()) + 1)
        for first, planes, present in blocks:
            backend.count(
                cells, own[0], first, thresholds, table, planes, category, present, own[1], own[2], own[3], 1
            )
        results.append(own)
    assert_same(*results)
    return results[0]


SIZES: list[tuple[Size, Size]] = [
    ((5, 7), (20, 30)),
    ((20, 17), (7, 9)),  # more cells than pixels
    ((6, 3), (4, 70)),  # PIL shrinks one axis alone
    ((1, 1), (1, 1)),
    ((3, 3), (1, 63)),
    ((3, 3), (1, 64)),
    ((3, 3), (5, 13)),
    ((3, 3), (64, 1)),
    ((40, 40), (3, 11)),  # 28 taps
]


@pytest.mark.parametrize(("cells", "size"), SIZES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("by_image", [False, True])
def test_every_table_and_mask_equals_the_reference(
    mode: str, cells: Size, size: Size, by_image: bool
) -> None:
    rng = np.random.default_rng(cells[0] * size[1])
    table = table_for(mode, cells, size)
    thresholds = np.float32([-1, -0.2, 0, 0.4, 9])
    x = values(rng, (4, 5, *cells), "normal")
    x[2:, 0] = -1.2  # where there is a ring, it is above and makes these a frame
    records = retained(x, thresholds, table)
    planes = planes_of(rng, 4, size, 9, 9)
    present = rng.random((4, 3)) < 0.5 if by_image else None
    got = both(records, thresholds, table, [(0, planes, present)], np.arange(9) % 3)
    assert (got[3] > 2**40 + 7)[0] or got[0][0] == records.unit_start[1]
    assert got[0].tolist() == records.unit_start[1:].tolist()


@pytest.mark.parametrize("mode", MODES)
def test_cells_at_the_threshold_and_one_bit_above(mode: str) -> None:
    """Sums of taps round to more than T where no cell is above, and to T where one is: only the rules decide."""
    rng = np.random.default_rng(6)
    thresholds = np.exp(rng.normal(size=12)).astype(np.float32)
    x = np.broadcast_to(thresholds[None, :, None, None], (4, 12, 30, 31)).copy()
    above = rng.random(x.shape) < np.array([0.002, 0.01, 0.1, 0.5])[:, None, None, None]
    x[above] = np.nextafter(x[above], np.float32(np.inf))
    for size in ((7, 8), (31, 9), (33, 50)):
        table = table_for(mode, (30, 31), size)
        records = retained(x, thresholds, table)
        both(records, thresholds, table, [(0, planes_of(rng, 4, size, 3, 3), None)], np.zeros(3, np.int64))


LARGE: list[tuple[str, Size, Size]] = [
    ("half-pixel", (7, 7), (500, 500)),  # the mask fills most of the shared memory
    ("half-pixel-zero", (7, 7), (500, 500)),
    ("half-pixel", (4, 4), (640, 640)),  # the mask lies in scratch memory
    ("half-pixel", (300, 300), (112, 112)),  # the map does
    ("half-pixel-zero", (300, 300), (30, 31)),
    ("pil", (300, 300), (20, 23)),  # and 30 taps
    ("half-pixel", (2, 4000), (3, 100)),  # the lines do
    ("half-pixel", (5, 4000), (700, 640)),  # all do
]


@pytest.mark.parametrize(("mode", "cells", "size"), LARGE)
def test_pieces_larger_than_shared_memory(mode: str, cells: Size, size: Size) -> None:
    rng = np.random.default_rng(size[0])
    table = make_upsampling(mode, cells, size)
    thresholds = np.float32([1.5, 2.5, -0.1])
    x = values(rng, (2, 3, *cells), "normal")
    x[:, 2] = 0
    x[1, 2, 0, -1] = -1  # one cell, in a map that is otherwise above
    records = retained(x, thresholds, table)
    planes = planes_of(rng, 2, size, 4, 4)
    got = both(records, thresholds, table, [(0, planes, None)], np.arange(4) % 2)
    assert got[3][2] > 2**40 + 7


@pytest.mark.parametrize("kind", KINDS)
def test_wide_cells_of_every_kind(kind: str) -> None:
    """65,792 cells: their numbers are uint32; the last one is the only one of its unit."""
    rng = np.random.default_rng(0)
    x = np.zeros((2, 3, 257, 256), np.float32)
    x[0, 0, 256, 255] = x[1, 1, 0, 0] = 3
    x[1, 1, 128, 100:140] = rng.normal(size=40)
    table = make_upsampling("half-pixel", (257, 256), (64, 64))
    thresholds = np.zeros(3, np.float32)
    records = retained(x, thresholds, table, kind)
    assert records.cells.dtype == np.uint32
    assert records.unit_start.tolist() == [0, 1, 2, 2]  # the last unit has none
    both(records, thresholds, table, [(0, planes_of(rng, 2, (64, 64), 3, 3), None)], np.zeros(3, np.int64))


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_images_move_the_cursors_on(kind: str) -> None:
    """Blocks of 1, 0, 4 and 6 images, one of them before all records, with units that fire seldom or never."""
    rng = np.random.default_rng(1)
    x = values(rng, (11, 8, 4, 4), "relu")
    x[rng.random((11, 8)) < 0.6] = 0
    x[0] = 0
    x[:, 5] = 0
    table = make_upsampling("half-pixel", (4, 4), (9, 10))
    thresholds = np.zeros(8, np.float32)
    records = retained(x, thresholds, table, kind)
    blocks, first = [], 0
    for images in (1, 0, 4, 6):
        blocks.append((first, planes_of(rng, images, (9, 10), 7, 7), rng.random((images, 2)) < 0.5))
        first += images
    got = both(records, thresholds, table, blocks, np.arange(7) % 2)
    assert got[0].tolist() == records.unit_start[1:].tolist()
    stopped = both(records, thresholds, table, blocks[:3], np.arange(7) % 2)  # records beyond are left
    assert (stopped[0] < got[0]).any()


def test_no_planes_many_planes_and_repeated_concepts() -> None:
    """Images of 0, 1 and 320 planes; in the last, each concept has several (one a channel), whole ones among them."""
    rng = np.random.default_rng(2)
    size, table = (6, 11), make_upsampling("half-pixel", (3, 3), (6, 11))
    one, many = planes_of(rng, 1, size, 1, 1), planes_of(rng, 1, size, 400, 400)
    while many.plane_start[1] < 320 or one.plane_start[1] != 1:
        one, many = planes_of(rng, 1, size, 1, 1), planes_of(rng, 1, size, 400, 400)
    row = np.concatenate([one.word_row, np.where(many.word_row < 0, -1, many.word_row + len(one.words))])
    planes = Planes(
        size,
        np.array([0, 0, 1, 1 + many.plane_start[1]], np.int64),
        np.concatenate([one.concept, np.sort(rng.integers(0, 5, len(many.concept)))]).astype(np.int32),
        np.concatenate([one.pixels, many.pixels]),
        row,
        np.concatenate([one.words, many.words]),
    )
    thresholds = np.float32([-0.5, 0, 0.5])
    records = retained(values(rng, (3, 3, 3, 3), "normal"), thresholds, table)
    for present in (None, np.ones((3, 4), bool)):
        both(records, thresholds, table, [(0, planes, present)], np.array([0, 3, 1, 1, 0]))


def test_a_cell_that_is_nan_hides_its_pixels() -> None:
    rng = np.random.default_rng(3)
    x = values(rng, (4, 5, 6, 6), "normal")
    x[rng.random(x.shape) < 0.15] = np.nan
    thresholds = np.float32([-1, -0.2, 0, 0.5, 1])
    for mode, size in (("half-pixel", (11, 40)), ("half-pixel-zero", (11, 40)), ("pil", (4, 5))):
        table = make_upsampling(mode, (6, 6), size)
        view = ActivationView(x, "float32")
        records = REFERENCE.sift(view, keys(thresholds), table.reach, table.ring, True, 1).cells
        both(records, thresholds, table, [(0, planes_of(rng, 4, size, 6, 6), None)], np.arange(6) % 2)


@pytest.mark.parametrize(("most_blocks", "scratch"), [(1, None), (3, None), (64, 1), (64, 200_000)])
def test_blocks_step_through_records_and_units(
    monkeypatch: pytest.MonkeyPatch, most_blocks: int, scratch: int | None
) -> None:
    """One chunk a unit takes all its records; little scratch memory: one block takes several units."""
    count = __import__("fastdissect.kernels.cuda.count", fromlist=["BLOCKS"])
    tables = __import__("fastdissect.kernels.cuda.tables", fromlist=["SHARED"])
    monkeypatch.setattr(count, "BLOCKS", most_blocks)
    if scratch is not None:
        monkeypatch.setattr(tables, "SHARED", 32)
        monkeypatch.setattr(tables, "SCRATCH", scratch)
    rng = np.random.default_rng(4)
    table = make_upsampling("half-pixel-zero", (5, 4), (13, 17))
    thresholds = rng.normal(size=12).astype(np.float32)
    records = retained(values(rng, (9, 12, 5, 4), "normal"), thresholds, table)
    both(records, thresholds, table, [(0, planes_of(rng, 9, (13, 17), 6, 6), None)], np.arange(6) % 3)


class Problem:
    """A small one, on the device."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.table = make_upsampling("half-pixel", (4, 4), (9, 9))
        self.thresholds = np.float32([-0.5, 0, 0.5])
        self.host = retained(values(rng, (4, 3, 4, 4), "normal"), self.thresholds, self.table)
        self.cells = moved(self.host, True, {})
        self.planes = [planes_of(rng, 4, (9, 9), 5, 5) for _ in range(2)]
        self.category = np.arange(5) % 2

    def count(self, planes: Planes, own: Any) -> None:
        from fastdissect.kernels.cuda.backend import Cuda

        args = (0, self.thresholds, self.table, planes, self.category, None)
        Cuda().count(self.cells, own[0], *args, *own[1:], 1)

    def expected(self, planes: Planes) -> Any:
        own = sums(self.host, 5, 2)
        REFERENCE.count(
            self.host, own[0], 0, self.thresholds, self.table, planes, self.category, None, *own[1:], 1
        )
        return own


def test_sums_may_lie_on_either_side(cuda: Cupy, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy arrays are changed in place; those on the device too, and nothing is waited for."""
    problem = Problem()
    on_host = sums(problem.host, 5, 2)
    problem.count(problem.planes[0], on_host)
    assert_same(on_host, problem.expected(problem.planes[0]))
    on_card = tuple(cuda.asarray(a) for a in sums(problem.host, 5, 2))

    def waits(*_: object, **__: object) -> None:
        raise AssertionError("the host waits for the device")

    if "cuda_on_host" in cuda.__name__:
        monkeypatch.setattr(cuda.ndarray, "get", waits)
    problem.count(problem.planes[0], on_card)
    monkeypatch.undo()
    assert_same(tuple(a.get() for a in on_card), problem.expected(problem.planes[0]))


def test_planes_are_uploaded_once_for_all_layers(cuda: Cupy) -> None:
    """The last block stays on the device while its Planes live; another block takes its place."""
    from fastdissect.kernels.cuda import tables

    def held() -> list[Any]:
        return [h for (kind, *_), shelf in tables._held.items() if kind == "planes" for h in shelf.values()]

    problem = Problem()
    for planes in (problem.planes[0], problem.planes[1], problem.planes[0]):
        own = sums(problem.host, 5, 2)
        problem.count(planes, own)
        assert_same(own, problem.expected(planes))
        words = held()[-1].arrays[-1]
        problem.count(planes, sums(problem.host, 5, 2))
        assert held()[-1].arrays[-1] is words
        assert len(held()) == 1
    del problem, planes
    gc.collect()
    assert held() == []


@pytest.mark.parametrize(
    "spoil",
    [lambda a: a.astype(np.int32), lambda a: np.repeat(a, 2, axis=-1)[..., ::2]],
    ids=["narrow", "strided"],
)
def test_sums_that_cannot_be_changed_in_place_are_refused(cuda: Cupy, spoil: Callable[[Any], Any]) -> None:
    problem = Problem()
    on_card = [moved(spoil(a), True, {}) for a in sums(problem.host, 5, 2)]
    with pytest.raises(ValueError, match="contiguous int64"):
        problem.count(problem.planes[0], on_card)


def test_a_mask_too_large_for_32_bits_is_refused(cuda: Cupy) -> None:
    from fastdissect.kernels.cuda.tables import tables

    with pytest.raises(SettingError, match=r"fewer than 2\*\*32 pixels on the GPU; got 65536 x 65536"):
        tables(make_upsampling("half-pixel", (1, 1), (65536, 65536)))
