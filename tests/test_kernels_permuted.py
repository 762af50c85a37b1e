"""count_permuted: masks of image n, planes of another image. The oracle has boolean arrays and loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import assert_same, dense_planes, pack_loop, planes_of

from fastdissect.kernels import Backend, get_num_threads
from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.mask_ranges import MaskRanges, trim_masks
from fastdissect.kernels.reference import pack_bits
from fastdissect.types import Planes


@pytest.fixture(scope="session")
def host(backend: Backend) -> Backend:
    if backend.name == "cuda":
        pytest.skip("a kernel of the host: cells on a GPU are brought there")
    return backend


def ranges_loop(masks: np.ndarray, size: tuple[int, int]) -> MaskRanges:
    """bool [images, units, pixels] -> ranges, one mask at a time."""
    n, k, _ = masks.shape
    start, word_start, rows, words = [0], [0], [], [np.zeros(0, np.uint64)]
    for image in range(n):
        for unit in range(k):
            packed = pack_loop(masks[image, unit][None])[0]
            held = np.flatnonzero(packed)
            if len(held):
                words.append(packed[held[0] : held[-1] + 1])
                word_start.append(word_start[-1] + len(words[-1]))
                rows.append((unit, masks[image, unit].sum(), held[0]))
        start.append(len(rows))
    unit, area, first = np.array(rows, np.int64).reshape(-1, 3).T
    return MaskRanges(
        size,
        k,
        np.array(start, np.int64),
        unit.astype(np.int32),
        np.ascontiguousarray(area),
        first.astype(np.int32),
        np.array(word_start, np.int64),
        np.concatenate(words),
    )


def blobs(rng: np.random.Generator, images: int, units: int, size: tuple[int, int]) -> np.ndarray:
    """Masks that are empty, whole, one box, or scattered; bool [images, units, pixels]."""
    masks = np.zeros((images, units, *size), bool)
    for image, unit in np.ndindex(images, units):
        kind = rng.integers(0, 5)
        if kind == 1:
            masks[image, unit] = True
        elif kind == 2:
            masks[image, unit] = rng.random(size) < 0.3
        elif kind > 2:
            y, x = rng.integers(0, size[0]), rng.integers(0, size[1])
            masks[image, unit, y : y + rng.integers(1, size[0] + 1), x : x + rng.integers(1, size[1] + 1)] = (
                True
            )
    return masks.reshape(images, units, size[0] * size[1])


def brute_force(
    masks: np.ndarray, planes: Planes, orders: np.ndarray, category: np.ndarray, present: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    n, k, _ = masks.shape
    categories = int(category.max()) + 1
    intersection = np.zeros((len(orders), k, len(category)), np.int64)
    unit_area = np.zeros((len(orders), k, categories), np.int64)
    labels = [dense_planes(planes, image, len(category)) for image in range(planes.images)]
    for i, order in enumerate(orders):
        for image, unit in np.ndindex(n, k):
            shared = (labels[order[image]] & masks[image, unit]).sum(1)
            intersection[i, unit] += shared
            for q in range(categories):
                counts = (shared[category == q] > 0).any() if present is None else present[order[image], q]
                unit_area[i, unit, q] += masks[image, unit].sum() if counts else 0
    return intersection, unit_area


def count(
    host: Backend,
    masks: MaskRanges,
    planes: Planes,
    orders: np.ndarray,
    category: np.ndarray,
    present: np.ndarray | None,
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    intersection = np.zeros((len(orders), masks.units, len(category)), np.int64)
    unit_area = np.zeros((len(orders), masks.units, int(category.max()) + 1), np.int64)
    host.count_permuted(masks, planes, orders, category, present, intersection, unit_area, threads)
    return intersection, unit_area


@st.composite
def problems(draw: st.DrawFn) -> tuple:
    """(masks, planes, orders, category, present)"""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    images, units = draw(st.integers(0, 5)), draw(st.integers(1, 4))
    size = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    masks = blobs(rng, images, units, size)
    planes = planes_of(rng, images, size, concepts=5, most=5)
    count = draw(st.integers(0, 4))
    drawn = (
        rng.permuted
        if draw(st.booleans())
        else lambda rows, axis: rng.integers(0, max(images, 1), rows.shape)
    )
    orders = drawn(np.tile(np.arange(images), (count, 1)), axis=1).astype(np.int64)
    category = rng.permutation([0, 0, 1, 1, 2]).astype(np.int64)
    present = rng.random((images, 3)) < 0.6 if draw(st.booleans()) else None
    return masks, size, planes, orders, category, present


@given(problem=problems(), threads=st.sampled_from([1, 2, 9]))
@settings(max_examples=60)
def test_sums_are_those_of_boolean_arrays(host: Backend, problem: tuple, threads: int) -> None:
    masks, size, planes, orders, category, present = problem
    got = count(host, ranges_loop(masks, size), planes, orders, category, present, threads)
    assert_same(got, brute_force(masks, planes, orders, category, present))


@pytest.mark.parametrize("size", [(112, 112), (113, 97), (64, 64), (1, 1)])
def test_wide_ranges_and_their_tails(host: Backend, size: tuple[int, int]) -> None:
    """Ranges of every length up to a whole mask; masks as bits, so that no packing of ours is trusted."""
    rng = np.random.default_rng(size)
    images, pixels = 6, size[0] * size[1]
    masks = blobs(rng, images, 9, size)
    labels = np.zeros((images, 5, *size), bool)
    for image, c in np.ndindex(images, 5):
        y, x = rng.integers(0, size[0]), rng.integers(0, size[1])
        labels[image, c, y : y + 40, x : x + 30] = rng.random() < 0.8
    flat = labels.reshape(-1, pixels)
    planes = Planes(
        size,
        np.arange(images + 1, dtype=np.int64) * 5,
        np.tile(np.arange(5, dtype=np.int32), images),
        flat.sum(1).astype(np.int64),
        np.arange(5 * images, dtype=np.int64),
        pack_bits(flat),
    )
    orders = np.stack([rng.permutation(images) for _ in range(3)]).astype(np.int64)
    ranges = trim_masks(
        lambda own: pack_bits(masks.transpose(1, 0, 2).reshape(-1, pixels)[own]),
        np.repeat(np.arange(9), images),
        np.tile(np.arange(images), 9),
        size,
        9,
        images,
        block=7,
    )
    category = np.array([0, 0, 1, 1, 2], np.int64)
    intersection, unit_area = count(host, ranges, planes, orders, category, None)
    under = labels.reshape(images, 5, pixels)
    for i, order in enumerate(orders):
        expected = np.einsum("nkp,ncp->nkc", masks.astype(np.int64), under[order].astype(np.int64))
        np.testing.assert_array_equal(intersection[i], expected.sum(0))
        seen = np.stack([expected[..., category == q].any(2) for q in range(3)], 2)
        np.testing.assert_array_equal(unit_area[i], (masks.sum(2)[..., None] * seen).sum(0))


@given(problem=problems())
def test_ranges_are_what_the_loop_says(problem: tuple) -> None:
    masks, size = problem[:2]
    images, units, pixels = masks.shape
    by_unit = masks.transpose(1, 0, 2).reshape(-1, pixels)
    got = trim_masks(
        lambda own: pack_bits(by_unit[own]),
        np.repeat(np.arange(units), images),
        np.tile(np.arange(images), units),
        size,
        units,
        images,
        block=3,
    )
    assert_same(got, ranges_loop(masks, size))


def test_sums_are_added_to_what_is_there(host: Backend) -> None:
    rng = np.random.default_rng(5)
    masks, planes = blobs(rng, 3, 2, (9, 9)), planes_of(rng, 3, (9, 9), 5, 5)
    category, orders = np.array([0, 0, 1, 1, 2], np.int64), np.array([[2, 0, 1]], np.int64)
    expected = brute_force(masks, planes, orders, category, None)
    sums = [np.full_like(one, 1000) for one in expected]
    host.count_permuted(ranges_loop(masks, (9, 9)), planes, orders, category, None, *sums, get_num_threads())
    for got, one in zip(sums, expected, strict=True):
        np.testing.assert_array_equal(got, one + 1000)


def test_sums_beyond_32_bits(host: Backend) -> None:
    """A mask of 2**16 pixels that meets a whole plane 2**16 times."""
    size, images = (256, 256), 1 << 16
    words = np.full(1024, 2**64 - 1, np.uint64)
    one = MaskRanges(
        size,
        1,
        np.arange(images + 1, dtype=np.int64),
        np.zeros(images, np.int32),
        np.full(images, 1 << 16, np.int64),
        np.zeros(images, np.int32),
        np.zeros(images + 1, np.int64),  # whole planes: no word is looked at
        words,
    )
    whole = Planes(
        size,
        np.arange(images + 1, dtype=np.int64),
        np.zeros(images, np.int32),
        np.full(images, 1 << 16, np.int64),
        np.full(images, -1, np.int64),
        np.zeros((0, 1024), np.uint64),
    )
    orders = np.arange(images, dtype=np.int64)[None, ::-1].copy()
    intersection, unit_area = count(host, one, whole, orders, np.zeros(1, np.int64), None)
    assert intersection.tolist() == [[[1 << 32]]]
    assert unit_area.tolist() == [[[1 << 32]]]


def test_every_host_backend_has_the_kernel() -> None:
    from fastdissect.kernels.selection import on_host

    for name in on_host():
        assert callable(get_backend(name).count_permuted)  # type: ignore[attr-defined]
