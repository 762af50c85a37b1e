"""count_intersections against upsampling every map and comparing every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import upsample_plainly
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import KINDS, VALUES, encode, values
from numpy.typing import NDArray

import fastdissect as fd
from fastdissect import count_intersections
from fastdissect.errors import ActivationError, DataError, FastdissectError, SettingError
from fastdissect.kernels.keys import widen
from fastdissect.upsampling import make_upsampling

Array = NDArray[Any]
MODES = ("half-pixel", "half-pixel-zero", "pil")


def plain(
    maps: Array, thresholds: Array, labels: Array, size: tuple[int, int], mode: str, concepts: int
) -> Any:
    """(intersection, mask area, concept area) by dense masks; labels [N, channels, H, W]."""
    table = make_upsampling(mode, maps.shape[2:], size)
    masks = upsample_plainly(maps, table) > thresholds[None, :, None, None]
    if not (table.rows.lerp and table.columns.lerp):
        from fastdissect.kernels.reference import upsampled_mask

        masks = upsampled_mask(maps, thresholds[None, :, None, None], table)
    carries = np.stack([(labels == c).any(1) for c in range(1, concepts + 1)], 1) if concepts else None
    if carries is None:
        return np.zeros((maps.shape[1], 0)), masks.sum((0, 2, 3)), np.zeros(0)
    return (
        np.einsum("nkhw,nchw->kc", masks.astype(int), carries),
        masks.sum((0, 2, 3)),
        carries.sum((0, 2, 3)),
    )


def check(found: fd.Counts, expected: Any) -> None:
    for array in (found.intersection, found.unit_area, found.concept_area, found.mask_area):
        assert array.dtype == np.int64
    np.testing.assert_array_equal(found.intersection, expected[0])
    np.testing.assert_array_equal(found.mask_area, expected[1])
    np.testing.assert_array_equal(found.unit_area, expected[1][:, None])
    np.testing.assert_array_equal(found.concept_area, expected[2])


@st.composite
def tallies(draw: st.DrawFn) -> Any:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, k, h, w, channels = (draw(st.integers(1, top)) for top in (5, 4, 9, 9, 3))
    size = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    maps = values(rng, (n, k, h, w), draw(st.sampled_from(VALUES)))
    concepts = draw(st.integers(0, 5))
    labels = rng.integers(0, concepts + 1, (n, channels, *size))
    level = draw(st.sampled_from([0.0, 0.4, 0.9, 1.0]))
    cut = np.sort(maps.transpose(1, 0, 2, 3).reshape(k, -1))[:, int(level * (n * h * w - 1))]
    cut = np.where(
        rng.random(k) < 0.2, np.float32(draw(st.sampled_from([-np.inf, np.inf, -0.0, -1e-30]))), cut
    )
    return maps, cut.astype(np.float32), labels, size, draw(st.sampled_from(MODES)), concepts


@given(tallies(), st.sampled_from(KINDS), st.sampled_from([np.uint8, np.int32, np.uint64]))
def test_equals_dense_masks(tally: Any, kind: str, dtype: Any) -> None:
    maps, cut, labels, size, mode, concepts = tally
    held = encode(maps, kind)
    seen = widen(held, kind)
    if kind == "bfloat16":
        held = torch.from_numpy(held.view(np.int16)).view(torch.bfloat16)
    found = count_intersections(held, cut, labels.astype(dtype), size, mode, concepts=concepts)
    check(found, plain(seen, cut, labels, size, mode, concepts))


@pytest.mark.parametrize("mode", MODES)
def test_thresholds_below_zero_and_the_ring_of_zeros(mode: str) -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 4, 5, 5)).astype(np.float32) / 10 - 3
    cut, labels = np.array([-5, -3, -1.5, 0], np.float32), rng.integers(0, 4, (3, 1, 16, 16))
    found = count_intersections(maps, cut, labels, (16, 16), mode)
    check(found, plain(maps, cut, labels, (16, 16), mode, 3))
    if mode == "half-pixel-zero":  # the border is blended with zeros, which are above a threshold below zero
        assert found.mask_area[2] > 0
    else:
        assert found.mask_area[2] == 0


def test_backends_and_threads(force_backend: Any, unset_threads: None) -> None:
    rng = np.random.default_rng(1)
    maps, labels = rng.normal(size=(70, 5, 7, 7)).astype(np.float32), rng.integers(0, 9, (70, 2, 28, 28))
    cut = np.full(5, 1.5, np.float32)
    expected = plain(maps, cut, labels, (28, 28), "half-pixel", 8)
    for name in fd.backends():
        force_backend(name)
        for threads in (1, 2, 3):
            fd.set_num_threads(threads)
            check(count_intersections(maps, cut, labels, (28, 28)), expected)


def test_layouts_and_libraries() -> None:
    rng = np.random.default_rng(2)
    maps, labels = rng.normal(size=(6, 5, 4, 3)).astype(np.float32), rng.integers(0, 4, (6, 12, 9))
    cut = [0.5, 1, 0, -1, 2]
    expected = plain(maps, np.array(cut, np.float32), labels[:, None], (12, 9), "half-pixel", 3)
    last = np.ascontiguousarray(maps.transpose(0, 2, 3, 1))
    check(count_intersections(maps, cut, labels, (12, 9)), expected)
    check(count_intersections(last, cut, labels, (12, 9), layout="NHWC"), expected)
    given = torch.from_numpy(maps), torch.tensor(cut), torch.from_numpy(labels)
    check(count_intersections(*given, size=(12, 9)), expected)
    one = count_intersections(maps[:, :, 0, 0], cut, labels, (12, 9))  # [N, K]: all of the image or nothing
    check(
        one, plain(maps[:, :, :1, :1], np.array(cut, np.float32), labels[:, None], (12, 9), "half-pixel", 3)
    )


def test_counts_of_batches_add_up() -> None:
    rng = np.random.default_rng(3)
    maps, labels = rng.normal(size=(9, 3, 4, 4)).astype(np.float32), rng.integers(0, 5, (9, 8, 8))
    whole = count_intersections(maps, [1, 1, 1], labels, (8, 8), concepts=6)
    parts = [
        count_intersections(maps[i : i + 3], [1, 1, 1], labels[i : i + 3], (8, 8), concepts=6)
        for i in (0, 3, 6)
    ]
    for name in ("intersection", "unit_area", "concept_area", "mask_area"):
        np.testing.assert_array_equal(sum(getattr(p, name) for p in parts), getattr(whole, name))
    assert whole.intersection.shape == (3, 6)


def test_no_images_and_no_labels() -> None:
    none = count_intersections(
        np.zeros((0, 3, 4, 4), np.float32), [1, 1, 1], np.zeros((0, 8, 8), int), (8, 8), concepts=2
    )
    assert not none.intersection.any()
    assert none.intersection.shape == (3, 2)
    empty = count_intersections(np.ones((2, 1, 4, 4), np.float32), [0], np.zeros((2, 8, 8), int), (8, 8))
    assert empty.intersection.shape == (1, 0)
    assert empty.mask_area.tolist() == [128]


def test_the_documented_example() -> None:
    a, y = np.array([[[[0.0, 1.0]]]], np.float32), np.array([[[1, 2]]])
    assert count_intersections(a, [0.5], y, size=(1, 2)).intersection.tolist() == [[0, 1]]


MAPS, CUT, LABELS = np.zeros((2, 3, 4, 4), np.float32), [0.0, 0.0, 0.0], np.zeros((2, 8, 8), np.int64)
BAD: dict[str, tuple[dict[str, Any], type[FastdissectError], str]] = {
    "few thresholds": ({"thresholds": [0.0]}, SettingError, r"expected 3 thresholds .* got shape \(1,\)"),
    "NaN threshold": ({"thresholds": [0, np.nan, 0]}, SettingError, "without NaN"),
    "3-d maps": ({"activations": MAPS[0]}, ActivationError, r"expected activations \[N, K, h, w\]"),
    "float64": ({"activations": MAPS.astype(float)}, ActivationError, "float64; convert"),
    "NaN": ({"activations": MAPS * np.nan}, ActivationError, "got nan at image 0, unit 0, cell 0"),
    "infinite": (
        {"activations": MAPS + np.inf},
        ActivationError,
        "expected finite activations below 1.7e38; got inf",
    ),
    "float labels": ({"labels": LABELS.astype(float)}, DataError, "expected integer labels .* got float64"),
    "other size": (
        {"labels": LABELS[:, :7]},
        DataError,
        r"expected integer labels \[2, 8, 8\] .* got int64 \(2, 1, 7, 8\)",
    ),
    "few labels": ({"labels": LABELS[:1]}, DataError, "resize them by nearest neighbour"),
    "negative labels": ({"labels": LABELS - 1}, DataError, "expected labels of 0 .none. or more; got -1"),
    "huge label": (
        {"labels": LABELS + (1 << 40)},
        DataError,
        "expected labels of at most 16777216; got 1099511627776",
    ),
    "more concepts": ({"labels": LABELS + 5, "concepts": 4}, DataError, "at most concepts = 4; got 5"),
    "size of one": ({"size": 8}, SettingError, r"expected size \(height, width\) in pixels; got 8"),
    "size of halves": ({"size": (8, 7.5)}, SettingError, "expected size"),
    "empty size": (
        {"size": (0, 8), "labels": np.zeros((2, 0, 8), int)},
        SettingError,
        "expected a mask of 1 to 65536",
    ),
    "mode": ({"upsample": "bicubic"}, SettingError, "half-pixel"),
    "fields": ({"upsample": "receptive-field"}, SettingError, "receptive"),
    "layout": ({"layout": "CHWN"}, SettingError, "expected a layout of NCHW, NHWC, NTC; got 'CHWN'"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_says_what_was_expected(what: str) -> None:
    change, error, message = BAD[what]
    arguments = {"activations": MAPS, "thresholds": CUT, "labels": LABELS, "size": (8, 8), **change}
    with pytest.raises(error, match=message):
        count_intersections(**arguments)
