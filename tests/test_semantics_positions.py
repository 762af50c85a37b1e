"""Masks at the layer's resolution, and the positions drawn from them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastdissect.kernels import backend
from fastdissect.methods.semantics.cell_areas import CellAreas, cell_areas
from fastdissect.methods.semantics.positions import annotated_images, draw_positions
from fastdissect.packing import ImagePlanes, join_planes
from fastdissect.types import Concepts, Planes, words_for


def packed(masks: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """bool [planes, h, w] -> words, from the definition of the bits."""
    flat = masks.reshape(len(masks), -1)
    words = np.zeros((len(masks), words_for(flat.shape[1])), np.uint64)
    for p, i in zip(*np.nonzero(flat), strict=True):
        words[p, i // 64] |= np.uint64(1) << np.uint64(i % 64)
    return words


def planes_from(images: list[list[tuple[int, NDArray[np.bool_] | None]]], size: tuple[int, int]) -> Planes:
    """images[n] = ((column, mask or None for the whole image), ...)."""
    found = []
    for own in images:
        masks = [m for _, m in own if m is not None]
        words = packed(np.stack(masks)) if masks else np.zeros((0, words_for(size[0] * size[1])), np.uint64)
        row = np.array([-1 if m is None else 0 for _, m in own], np.int64)
        row[row == 0] = np.arange(len(masks))
        pixels = [size[0] * size[1] if m is None else int(m.sum()) for _, m in own]
        found.append(
            ImagePlanes(np.array([c for c, _ in own], np.int32), np.array(pixels, np.int64), row, words)
        )
    return join_planes(found, size)


def area_mean(mask: NDArray[np.bool_], cells: tuple[int, int]) -> list[list[Fraction]]:
    """Each cell's mean, pixel by pixel, in fractions."""
    height, width = mask.shape

    def share(pixel: int, pixels: int, cell: int, count: int) -> Fraction:
        step = Fraction(pixels, count)
        return (
            max(Fraction(0), min(Fraction(pixel + 1), (cell + 1) * step) - max(Fraction(pixel), cell * step))
            / step
        )

    return [
        [
            sum(
                share(y, height, r, cells[0]) * share(x, width, c, cells[1])
                for y in range(height)
                for x in range(width)
                if mask[y, x]
            )
            + Fraction(0)
            for c in range(cells[1])
        ]
        for r in range(cells[0])
    ]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 7), st.integers(1, 7), st.integers(0, 10**6))
def test_areas_are_exact(height: int, width: int, rows: int, columns: int, seed: int) -> None:
    masks = np.random.default_rng(seed).random((2, height, width)) < 0.5
    planes = planes_from([[(0, masks[0]), (1, None)], [], [(1, masks[1])]], (height, width))
    areas = cell_areas(planes, (rows, columns))
    assert areas.image.tolist() == [0, 0, 2]
    assert areas.concept.tolist() == [0, 1, 1]
    for pair, mask in ((0, masks[0]), (2, masks[1])):
        found = [Fraction(int(a), areas.whole) for a in areas.of(np.array([pair]))[0]]
        assert found == [share for row in area_mean(mask, (rows, columns)) for share in row]
    assert (areas.of(np.array([1])) == areas.whole).all()


def test_planes_of_one_concept_are_joined() -> None:
    left, right = np.zeros((2, 4, 4), bool)
    left[:, :3], right[:, 2:] = True, True
    planes = planes_from([[(0, left), (0, right), (2, left)], [(1, left), (1, None)]], (4, 4))
    areas = cell_areas(planes, (2, 2))
    assert list(zip(areas.image.tolist(), areas.concept.tolist(), strict=True)) == [(0, 0), (0, 2), (1, 1)]
    assert (areas.of(np.arange(3)) / areas.whole).tolist() == [[1, 1, 1, 1], [1, 0.5, 1, 0.5], [1, 1, 1, 1]]


def test_large_masks_and_packing_of_the_package() -> None:
    mask = np.random.default_rng(0).random((300, 260)) < 0.3
    pack = backend("numba").pack(mask[None].astype(np.uint16), np.array([-1, 0], np.int32), True)
    planes = join_planes(
        [ImagePlanes(pack.concept, pack.pixels, np.zeros(1, np.int64), pack.words)], mask.shape
    )
    areas = cell_areas(planes, (7, 7))
    assert areas.areas.dtype == np.uint32
    assert int(areas.areas.sum()) == int(mask.sum()) * 49
    assert (cell_areas(planes, mask.shape).areas.reshape(mask.shape) == mask * areas.whole).all()


CONCEPTS = Concepts(np.array([3, 5, 8]), ("a", "b", "z"), np.array([0, 0, 1]), ("q", "r"))


def world(seed: int = 0, images: int = 30) -> tuple[CellAreas, NDArray[np.bool_]]:
    """Concepts a and b of one category, z of another; the last third of the images has z alone."""
    rng = np.random.default_rng(seed)
    found = []
    for n in range(images):
        own: list[tuple[int, NDArray[np.bool_] | None]] = []
        if n < 20:
            own += [(c, rng.random((6, 6)) < 0.4) for c in (0, 1) if rng.random() < 0.6]
        if n % 3 == 0 or n >= 20:
            own.append((2, None))
        found.append(own)
    areas = cell_areas(planes_from(found, (6, 6)), (3, 3))
    return areas, annotated_images(areas, CONCEPTS, images)


@pytest.mark.parametrize("limit", [10**6, 25, 1])
def test_positions_are_what_they_say(limit: int) -> None:
    areas, annotated = world()
    split = np.arange(30) % 4 != 0
    pairs = np.flatnonzero(areas.concept == 0)
    drawn = draw_positions(areas, pairs, annotated[0], split, limit, (0, 3, 0))
    share = {int(areas.image[p]): areas.of(np.array([p]))[0] / areas.whole for p in pairs}
    everything = [(n, c) for n in range(30) if split[n] and annotated[0, n] for c in range(9)]
    of = {n * 9 + c: float(share.get(n, np.zeros(9))[c]) for n, c in everything}
    positives = {i for i, s in of.items() if s >= 0.5}
    negatives = {i for i, s in of.items() if s == 0}
    assert set(drawn.positives.tolist()) <= positives
    assert set(drawn.negatives.tolist()) <= negatives
    assert len(drawn.positives) == min(limit, len(positives))
    assert len(drawn.negatives) == min(len(drawn.positives), len(negatives))
    inside = {i for i in of if i // 9 in share}
    assert len(drawn.inside) == min(limit, len(inside))
    assert set(drawn.inside.tolist()) <= inside
    np.testing.assert_allclose(drawn.covered, [of[i] for i in drawn.inside.tolist()])
    for array in drawn[:3]:
        assert (np.diff(array) > 0).all()  # ascending, nothing twice
    assert drawn.images == sum(bool(split[n]) for n in share)


def test_every_negative_can_be_drawn() -> None:
    areas, annotated = world()
    pairs = np.flatnonzero(areas.concept == 0)
    split = np.ones(30, bool)
    all_of = draw_positions(areas, pairs, annotated[0], split, 10**6, (0, 3, 0))
    seen: set[int] = set()
    for seed in range(60):
        drawn = draw_positions(areas, pairs, annotated[0], split, 20, (seed, 3, 0))
        seen |= set(drawn.negatives.tolist())
    clear = {
        int(areas.image[p]) * 9 + c for p in pairs for c in np.flatnonzero(areas.of(np.array([p]))[0] == 0)
    }
    absent = set(np.flatnonzero(annotated[0]).tolist()) - set(areas.image[pairs].tolist())
    every = clear | {n * 9 + c for n in absent for c in range(9)}
    assert set(all_of.negatives.tolist()) <= every
    assert seen == every


def test_whole_image_labels_and_any_pixel() -> None:
    areas, annotated = world()
    split = np.ones(30, bool)
    z = draw_positions(areas, np.flatnonzero(areas.concept == 2), annotated[1], split, 10**6, (0, 8, 0))
    assert len(z.negatives) == 0  # every image that is labelled for its category shows it
    assert (z.covered == 1).all()
    pairs = np.flatnonzero(areas.concept == 1)
    half = draw_positions(areas, pairs, annotated[0], split, 10**6, (0, 5, 0))
    any_pixel = draw_positions(areas, pairs, annotated[0], split, 10**6, (0, 5, 0), cover=0.0)
    assert set(half.positives.tolist()) < set(any_pixel.positives.tolist())
    assert any_pixel.negatives.tolist() != []
    assert not set(any_pixel.positives.tolist()) & set(any_pixel.negatives.tolist())
