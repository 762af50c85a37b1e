from __future__ import annotations

import numpy as np
import pytest

from fastdissect.datasets.regions.overlapping import BoxedMask, stack_boxes, stack_masks
from fastdissect.errors import DataError

SIZE = (13, 17)


def cut(mask: np.ndarray) -> BoxedMask:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return BoxedMask(0, 0, np.zeros((0, 0), np.bool_))
    top, left = rows[0], columns[0]
    return BoxedMask(int(top), int(left), mask[top : rows[-1] + 1, left : columns[-1] + 1])


@pytest.mark.parametrize("seed", range(20))
def test_every_label_keeps_its_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(rng.integers(1, 12)):
        mask = np.zeros(SIZE, np.bool_)
        top, left = rng.integers(0, SIZE[0]), rng.integers(0, SIZE[1])
        mask[top : top + rng.integers(0, 9), left : left + rng.integers(0, 9)] = True
        masks.append((int(rng.integers(1, 5)), mask & (rng.random(SIZE) < 0.8)))
    channels = stack_masks(masks, SIZE, 3)
    assert all(c.category == 3 and c.labels.dtype == np.uint16 and c.labels.shape == SIZE for c in channels)
    for number in range(1, 5):
        wanted = np.any([np.zeros(SIZE, np.bool_), *(m for n, m in masks if n == number)], axis=0)
        found = np.any([np.zeros(SIZE, np.bool_), *(c.labels == number for c in channels)], axis=0)
        assert (found == wanted).all()
    # no map is without need: each has a pixel, and there is one only where something overlaps
    assert all(c.labels.any() for c in channels)
    depth = sum(
        np.any([m for n, m in masks if n == number] or [np.zeros(SIZE)], axis=0) for number in range(1, 5)
    )
    assert len(channels) >= np.max(depth)
    assert len(channels) <= 1 or np.max(depth) > 1
    boxed = stack_boxes([(number, cut(mask)) for number, mask in masks], SIZE, 3)
    assert [c.labels.tolist() for c in boxed] == [c.labels.tolist() for c in channels]


def test_masks_without_pixels_make_no_map() -> None:
    assert stack_masks([], SIZE, 0) == ()
    assert stack_masks([(1, np.zeros(SIZE, np.bool_))], SIZE, 0) == ()
    assert stack_boxes([(1, BoxedMask(0, 0, np.zeros((0, 0), np.bool_)))], SIZE, 0) == ()


def test_the_largest_label_number() -> None:
    (channel,) = stack_masks([(65535, np.ones(SIZE, np.bool_))], SIZE, 0)
    assert (channel.labels == 65535).all()


@pytest.mark.parametrize("shape", [(12, 17), (1, 1), (14, 17), (13, 18), (13 * 17,)])
def test_a_mask_of_another_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"expected \(13, 17\)"):
        stack_masks([(1, np.ones(shape, np.bool_))], SIZE, 0)
