from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fastdissect.datasets import resize_image, resize_labels
from fastdissect.errors import SettingError

sides = st.integers(1, 40)


@settings(deadline=None, max_examples=60)
@given(sides, sides, sides, sides)
def test_labels_follow_the_stated_rule(n: int, m: int, n2: int, m2: int) -> None:
    labels = np.arange(n * n2, dtype=np.uint16).reshape(n, n2)
    resized = resize_labels(labels, (m, m2))
    assert resized.shape == (m, m2)
    assert resized.dtype == np.uint16
    for i in range(m):
        for j in range(m2):
            # (2 i + 1) n / (2 m) is (i + 0.5) n / m without rounding
            assert resized[i, j] == labels[(2 * i + 1) * n // (2 * m), (2 * j + 1) * n2 // (2 * m2)]


def test_equal_size_is_the_same_array() -> None:
    labels = np.zeros((5, 7), dtype=np.uint8)
    pixels = np.zeros((5, 7, 3), dtype=np.uint8)
    assert resize_labels(labels, (5, 7)) is labels
    assert resize_image(pixels, (5, 7)) is pixels


def test_halving_agrees_with_pillow() -> None:
    labels = np.random.default_rng(0).integers(0, 256, (226, 112), dtype=np.uint8)
    pillow = Image.fromarray(labels).resize((56, 113), Image.Resampling.NEAREST)
    assert np.array_equal(resize_labels(labels, (113, 56)), np.asarray(pillow))


def test_image_is_not_cropped_and_interpolation_is_pillows() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 31, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((9, 12), Image.Resampling.BILINEAR))
    assert np.array_equal(resize_image(pixels, (12, 9)), expected)
    assert not np.array_equal(resize_image(pixels, (12, 9), "nearest"), expected)


@pytest.mark.parametrize(
    "call",
    [
        lambda: resize_labels(np.zeros((2, 3, 3), np.uint8), (2, 2)),
        lambda: resize_labels(np.zeros((0, 3), np.uint8), (2, 2)),
        lambda: resize_labels(np.zeros((2, 3), np.uint8), (0, 2)),
        lambda: resize_image(np.zeros((2, 3), np.uint8), (2, 2)),
        lambda: resize_image(np.zeros((2, 3, 3), np.float32), (2, 2)),
        lambda: resize_image(np.zeros((2, 3, 3), np.uint8), (2, 0)),
    ],
)
def test_wrong_shapes_are_refused(call) -> None:
    with pytest.raises(SettingError, match="at least 1 x 1"):
        call()


def test_unknown_interpolation_names_the_nearest() -> None:
    with pytest.raises(SettingError, match="nearest: bilinear"):
        resize_image(np.zeros((2, 3, 3), np.uint8), (4, 4), "bilinaer")
