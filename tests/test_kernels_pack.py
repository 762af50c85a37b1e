from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import assert_same

from fastdissect.kernels import Backend
from fastdissect.kernels import backend as get_backend


@st.composite
def label_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """(labels, columns): runs and single pixels, some labels in several channels, columns in any order."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 12)), draw(st.integers(1, 70)))
    known = draw(st.integers(1, 30))
    labels = rng.integers(0, known + 1, shape)
    labels = np.where(rng.random(shape) < draw(st.sampled_from([0.0, 0.1, 1.0])), labels, 0)
    labels = np.repeat(labels, draw(st.sampled_from([1, 5, 64])), axis=2)[:, :, : shape[2]]
    if draw(st.booleans()):
        labels[1:] = labels[:1]
    columns = np.full(known + 1, -1, np.int32)
    columns[1:] = rng.permutation(known)
    return labels.astype(draw(st.sampled_from([np.uint16, np.int32]))), columns


@given(case=label_maps(), once=st.booleans())
def test_planes_are_where_the_label_is(backend: Backend, case: tuple, once: bool) -> None:
    """Against == and np.packbits, one label and one channel at a time."""
    labels, columns = case
    got = backend.pack(labels, columns, once)
    expected = []
    for column in range(len(columns) - 1):
        number = int(np.flatnonzero(columns == column)[0])
        masks = (labels == number).reshape(len(labels), -1)
        masks = masks.any(0, keepdims=True) if once else masks
        expected += [(column, mask) for mask in masks if mask.any()]
    assert got.unknown == 0
    assert got.concept.tolist() == [column for column, _ in expected]
    assert got.pixels.tolist() == [mask.sum() for _, mask in expected]
    for words, (_, mask) in zip(got.words, expected, strict=True):
        as_bytes = words.astype("<u8").tobytes()
        packed = np.packbits(mask, bitorder="little").tobytes()
        assert as_bytes == packed.ljust(len(as_bytes), b"\0")
    assert got.words.shape == (len(expected), -(-labels[0].size // 64))


@given(case=label_maps(), once=st.booleans(), drop=st.integers(0, 30))
def test_equals_the_reference_also_with_unknown_labels(
    backend: Backend, case: tuple, once: bool, drop: int
) -> None:
    labels, columns = case
    columns = columns[: len(columns) - drop // 4].copy()
    columns[: drop % 4] = -1
    assert_same(backend.pack(labels, columns, once), get_backend("reference").pack(labels, columns, once))


@pytest.mark.parametrize("pixels", [1, 63, 64, 65, 127, 128, 129, 12544])
def test_whole_words_and_tails(backend: Backend, pixels: int) -> None:
    labels = np.ones((1, 1, pixels), np.uint16)
    got = backend.pack(labels, np.array([-1, 0], np.int32), True)
    bits = int.from_bytes(got.words.astype("<u8").tobytes(), "little")
    assert bits == (1 << pixels) - 1
    assert got.pixels.tolist() == [pixels]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_the_lowest_unknown_label_is_named(backend: Backend, dtype: type) -> None:
    labels = np.array([[[0, 900, 3], [2, 3, 1]], [[1, 1, 800], [2, 0, 900]]], dtype)
    columns = np.array([-1, 0, 1, -1], np.int32)
    for once in (False, True):
        got = backend.pack(labels, columns, once)
        assert got.unknown == 3
        assert len(got.concept) == len(got.words) == 0
        columns_4 = np.append(columns, 2).astype(np.int32)
        columns_4[3] = 3
        assert backend.pack(labels, columns_4, once).unknown == 800


def test_labels_above_16_bits_and_negative_ones(backend: Backend) -> None:
    labels = np.array([[[70000, -5, 0, 70000]]], np.int32)
    columns = np.full(70001, -1, np.int32)
    columns[70000] = 4
    got = backend.pack(labels, columns, False)
    assert (got.unknown, got.concept.tolist(), got.words.tolist()) == (0, [4], [[0b1001]])


def test_no_labels(backend: Backend) -> None:
    for shape in [(1, 3, 3), (0, 3, 3)]:
        got = backend.pack(np.zeros(shape, np.uint16), np.array([-1, 0], np.int32), True)
        assert got.words.shape == (0, 1)
        assert got.unknown == 0
        assert (got.concept.dtype, got.pixels.dtype) == (np.int32, np.int64)
