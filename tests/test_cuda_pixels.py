"""select_pixels and raise_pixels on the GPU's own paths, and pack from the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuda_on_host.facing import Facing
from cuda_on_host.fixture import Cupy
from kernel_cases import HUGE, KINDS, VALUES, assert_same, split, values, view_of

from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.keys import keys
from fastdissect.types import SparseActivations, Upsampling
from fastdissect.upsampling import AxisField, make_upsampling

REFERENCE = get_backend("reference")
Size = tuple[int, int]


@pytest.fixture(autouse=True)
def _runs_here(cuda: Cupy) -> None:
    """Skip where the kernels cannot run."""


def table_for(mode: str, cells: Size, size: Size) -> Upsampling:
    fields = (AxisField(-6, 13, 4), AxisField(0, 3, 6)) if mode == "receptive-field" else None
    return make_upsampling(mode, cells, size, fields=fields, input_size=(2 * size[0], 2 * size[1]))


def parts_of(
    x: np.ndarray, bounds: np.ndarray, table: Upsampling, kind: Any, *edges: int, omit: bool = False
) -> list[SparseActivations]:
    return [
        REFERENCE.sift(v, bounds, table.reach, table.ring, omit, 1).cells
        for v in split(view_of(x, kind), *edges)
    ]


def both(
    parts: list[SparseActivations], bounds: np.ndarray, table: Upsampling, ranks: list[int]
) -> np.ndarray:
    """Every rank, and a raise by each: the kernels equal the reference."""
    of_units = np.tile(np.int64(ranks), (len(bounds), 1))
    chosen = Facing().select_pixels(parts, bounds, of_units, table, 1)
    assert_same(chosen, REFERENCE.select_pixels(parts, bounds, of_units, table, 1))
    for rank in ranks:
        risen = Facing().raise_pixels(parts, bounds, rank, table, 1)
        assert_same(risen, REFERENCE.raise_pixels(parts, bounds, rank, table, 1))
    return chosen


BOUNDS = np.array([0, *keys(np.float32([-0.8, -0.0, 0.2, 1, 50]))], np.uint32)
TABLES: list[tuple[str, Size, Size]] = [
    ("half-pixel", (5, 7), (20, 21)),
    ("half-pixel", (20, 17), (7, 9)),
    ("half-pixel", (1, 1), (1, 1)),
    ("half-pixel-zero", (4, 3), (12, 65)),
    ("half-pixel-zero", (9, 9), (4, 3)),
    ("receptive-field", (6, 5), (18, 17)),
    ("pil", (3, 4), (8, 8)),
    ("pil", (6, 3), (4, 30)),
    ("pil", (30, 31), (4, 5)),
]


@pytest.mark.parametrize(("mode", "cells", "size"), TABLES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_table_equals_the_reference(mode: str, cells: Size, size: Size, kind: str) -> None:
    """Also with antialiasing tables and bounds, where what counts are the records' own pixels."""
    rng = np.random.default_rng(cells[1])
    table = table_for(mode, cells, size)
    x = values(rng, (5, 6, *cells), "normal")
    x[2:, 1] = -1.2  # where there is a ring, it is above and makes these a frame
    parts = parts_of(x, BOUNDS, table, kind, 0, 3)
    pixels = size[0] * size[1]
    both(parts, BOUNDS, table, [1, 2, max(1, pixels // 3), 2 * pixels, 5 * pixels, 5 * pixels + 1])


@pytest.mark.parametrize("flavour", VALUES)
def test_every_kind_of_values(flavour: str) -> None:
    """Ties, denormals and huge values, whose keys meet in the first digits, the middle ones or the last."""
    rng = np.random.default_rng(1)
    table = make_upsampling("half-pixel-zero", (4, 4), (10, 10))
    x = values(rng, (6, 6, 4, 4), flavour)
    bounds = BOUNDS.copy()
    bounds[5] = keys(np.sort(x[:, 5], axis=None)[[40]])[0]
    chosen = both(parts_of(x, bounds, table, "float32", 2), bounds, table, [1, 7, 100, 333, 600])
    assert (chosen[0] > 0).all()


@pytest.mark.parametrize(("mode", "size"), [("pil", (7, 8)), ("pil", (31, 9)), ("half-pixel", (33, 50))])
def test_cells_at_the_bound_and_one_bit_above(mode: str, size: Size) -> None:
    """Sums of taps round to more than the bound where no cell is above it: such pixels count."""
    rng = np.random.default_rng(6)
    at = np.exp(rng.normal(size=8)).astype(np.float32)
    x = np.broadcast_to(at[None, :, None, None], (3, 8, 30, 31)).copy()
    above = rng.random(x.shape) < np.array([0.002, 0.01, 0.1])[:, None, None, None]
    x[above] = np.nextafter(x[above], np.float32(np.inf))
    table = make_upsampling(mode, (30, 31), size)
    both(parts_of(x, keys(at), table, "float32", 1), keys(at), table, [1, 20, size[0] * size[1]])


LARGE = [
    ("half-pixel", (300, 300), (12, 13)),  # the map lies in scratch memory
    ("half-pixel-zero", (80, 81), (30, 31)),
    ("half-pixel", (2, 3000), (3, 100)),  # the lines do
    ("pil", (3, 3000), (2, 50)),
    ("half-pixel", (257, 256), (20, 20)),  # wide cells
]


@pytest.mark.parametrize(("mode", "cells", "size"), LARGE)
def test_pieces_larger_than_shared_memory(mode: str, cells: Size, size: Size) -> None:
    rng = np.random.default_rng(2)
    table = make_upsampling(mode, cells, size)
    bounds = np.array([0, *keys(np.float32([1.5, 0]))], np.uint32)
    parts = parts_of(values(rng, (2, 3, *cells), "relu"), bounds, table, "float32", 1)
    both(parts, bounds, table, [1, size[0] * size[1] // 2])


def test_blocks_step_through_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little scratch memory: one block takes all units of a rank, with the last one's state gone."""
    tables = __import__("fastdissect.kernels.cuda.tables", fromlist=["SHARED"])
    monkeypatch.setattr(tables, "SHARED", 24_700)
    monkeypatch.setattr(tables, "SCRATCH", 1)
    rng = np.random.default_rng(3)
    table = make_upsampling("half-pixel-zero", (5, 4), (13, 17))
    bounds = keys(rng.normal(size=9).astype(np.float32))
    bounds[4] = 0
    x = values(rng, (4, 9, 5, 4), "normal")
    x[:, 6] = -1  # no records
    bounds[6] = keys(np.float32([2]))[0]
    parts = parts_of(x, bounds, table, "float32", 1)
    assert parts[0].unit_start[6] == parts[0].unit_start[7]
    both(parts, bounds, table, [1, 50, 400])


@pytest.mark.parametrize("most", [1, 300, 5000])
def test_bins_are_emptied_before_they_are_full(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """As if 32 bits held no more than `most` keys: emptied before every record and every 256 cells, or now and then."""
    pixels = __import__("fastdissect.kernels.cuda.pixels", fromlist=["MOST"])
    monkeypatch.setattr(pixels, "MOST", most)
    rng = np.random.default_rng(7)
    table = make_upsampling("half-pixel", (5, 5), (16, 16))
    bounds = keys(np.float32([-3, 0.5]))
    both(
        parts_of(values(rng, (40, 2, 5, 5), "normal"), bounds, table, "float32", 9),
        bounds,
        table,
        [1, 900, 5000],
    )


def test_cells_and_pixels_that_are_nan_are_passed_over() -> None:
    rng = np.random.default_rng(4)
    x = values(rng, (5, 6, 6, 6), "normal")
    x[rng.random(x.shape) < 0.1] = np.nan
    x[0, 0, 0, :2] = HUGE, -HUGE
    for mode, size in (("half-pixel", (11, 14)), ("pil", (4, 5))):
        table = make_upsampling(mode, (6, 6), size)
        with np.errstate(invalid="ignore"):
            both(parts_of(x, BOUNDS, table, "float32", 2, omit=True), BOUNDS, table, [1, 10, 60])


def test_no_units_and_no_parts_with_records() -> None:
    table = make_upsampling("half-pixel", (2, 2), (3, 3))
    nothing = parts_of(np.zeros((2, 0, 2, 2), np.float32), np.zeros(0, np.uint32), table, "float32")
    assert Facing().select_pixels(
        nothing, np.zeros(0, np.uint32), np.ones((0, 2), np.int64), table, 1
    ).shape == (
        0,
        2,
    )
    assert Facing().raise_pixels(nothing, np.zeros(0, np.uint32), 1, table, 1).shape == (0,)
    bounds = keys(np.ones(3, np.float32))
    both(parts_of(np.zeros((2, 3, 2, 2), np.float32), bounds, table, "float32", 1), bounds, table, [1])


def labels_for(rng: np.random.Generator, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(0, 90, (3, 20, 31)) * (rng.random((3, 20, 31)) < 0.4)
    labels[1, 5:] = 7
    columns = np.append(-1, rng.permutation(89)).astype(np.int32)
    return labels.astype(dtype), columns


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
@pytest.mark.parametrize("once", [False, True])
def test_labels_may_lie_on_the_device(cuda: Cupy, dtype: type, once: bool) -> None:
    from fastdissect.kernels.cuda.backend import Cuda

    labels, columns = labels_for(np.random.default_rng(5), dtype)
    expected = REFERENCE.pack(labels, columns, once)
    padded = np.zeros((3, 20, 40), dtype)
    padded[:, :, 4:35] = labels
    for given in (labels, cuda.asarray(labels), padded[:, :, 4:35], cuda.asarray(padded)[:, :, 4:35]):
        got = Cuda().pack(given, columns, once)
        assert_same(got, expected)


@pytest.mark.parametrize("once", [False, True])
def test_more_planes_and_channels_than_a_grid_side(monkeypatch: pytest.MonkeyPatch, once: bool) -> None:
    pack = __import__("fastdissect.kernels.cuda.pack", fromlist=["MOST"])
    monkeypatch.setattr(pack, "MOST", 2)
    labels, columns = labels_for(np.random.default_rng(6), np.uint16)
    assert_same(Facing().pack(labels, columns, once), REFERENCE.pack(labels, columns, once))
    columns[[3, 40]] = columns[[50, 3]]  # labels that share a column keep their order
    assert_same(Facing().pack(labels, columns, once), REFERENCE.pack(labels, columns, once))


@pytest.mark.parametrize("once", [False, True])
def test_a_channel_may_begin_with_the_label_that_the_one_before_ends_with(once: bool) -> None:
    labels = np.zeros((3, 1, 65), np.uint16)
    labels[0, 0, 64] = labels[1, 0, 0] = labels[2] = 2
    columns = np.int32([-1, 0, 1])
    got = Facing().pack(labels, columns, once)
    assert got.pixels.tolist() == ([65] if once else [1, 1, 65])
    assert_same(got, REFERENCE.pack(labels, columns, once))


def test_labels_without_a_column_wherever_they_lie() -> None:
    """The lowest one is named: of those in the table, of those beyond it, of both; and no table at all."""
    labels = np.zeros((2, 3, 50), np.int32)
    labels[0, 0], labels[1, 2, 40:] = 5, 4
    for extra, columns, unknown in (
        (9, np.int32([-1, 0, 0, 0, 1, 2]), 9),
        (2**31 - 1, np.int32([-1, 0, 0, 0, 1, 2]), 2**31 - 1),
        (9, np.int32([-1, 0, 0, 0, -1, 2]), 4),
        (1, np.int32([-1, 0]), 4),
        (3, np.zeros(0, np.int32), 3),
    ):
        labels[0, 1, 7] = extra
        for once in (False, True):
            got = Facing().pack(labels, columns, once)
            assert got.unknown == unknown
            assert_same(got, REFERENCE.pack(labels, columns, once))
