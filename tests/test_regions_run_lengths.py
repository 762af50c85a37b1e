from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_coco import counts, text

from fastdissect.datasets.regions.run_lengths import decode_run_lengths, read_counts
from fastdissect.errors import DataError


def decode(published: object, size: tuple[int, int]) -> np.ndarray:
    return decode_run_lengths(read_counts(published, "a mask"), size, "a mask").whole(size)


def random_mask(rng: np.random.Generator, grain: int) -> np.ndarray:
    height, width = rng.integers(1, 60, 2)
    coarse = rng.random((height // grain + 1, width // grain + 1)) < rng.random()
    return np.kron(coarse, np.ones((grain, grain), np.bool_))[:height, :width]


def test_numbers_worked_out_by_hand() -> None:
    mask = np.array([[0, 1, 1], [0, 0, 1]], np.bool_)
    assert counts(mask) == [2, 1, 1, 2]
    # the fourth is 2 - 1 = 1, as it is written as its difference from the second
    assert text([2, 1, 1, 2]) == "2111"
    assert (decode([2, 1, 1, 2], (2, 3)) == mask).all()
    assert (decode("2111", (2, 3)) == mask).all()
    # 100 = 3 x 32 + 4: the group 4 with the mark of a further one, 48 + 4 + 32, then 3
    assert read_counts("T3", "a mask").tolist() == [100]
    # -1 is the single group 31, whose highest bit is the sign: 5, 6, 7, then 6 - 1
    assert read_counts("567O", "a mask").tolist() == [5, 6, 7, 5]


@pytest.mark.parametrize("grain", [1, 2, 9])
def test_random_masks_against_pycocotools_and_pixel_by_pixel(grain: int) -> None:
    api = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(grain)
    for _ in range(150):
        mask = random_mask(rng, grain)
        published = api.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        assert published == text(counts(mask))
        assert read_counts(published, "a mask").tolist() == counts(mask)
        assert (decode(published, mask.shape) == mask).all()
        assert (decode(counts(mask), mask.shape) == mask).all()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=40))
def test_any_counts_survive_the_text(runs: list[int]) -> None:
    assert read_counts(text(runs), "a mask").tolist() == runs


def test_the_box_holds_the_mask_and_little_else() -> None:
    mask = np.zeros((50, 70), np.bool_)
    mask[10:13, 20:25] = True
    found = decode_run_lengths(read_counts(counts(mask), "a mask"), mask.shape, "a mask")
    assert (found.top, found.left, found.mask.shape) == (10, 20, (3, 5))
    mask[40:, 30] = mask[:5, 31] = True  # one run over two columns
    found = decode_run_lengths(read_counts(counts(mask), "a mask"), mask.shape, "a mask")
    assert (found.top, found.left, found.mask.shape) == (0, 20, (50, 12))
    assert (found.whole(mask.shape) == mask).all()


def test_runs_of_length_zero_are_in_order() -> None:
    assert (decode([0, 2, 0, 3, 1], (2, 3)).T.ravel() == [1, 1, 1, 1, 1, 0]).all()
    assert decode([0, 6], (2, 3)).all()
    assert not decode([6], (2, 3)).any()
    assert not decode([6, 0, 0, 0], (2, 3)).any()


def test_every_cut_of_a_text_is_seen() -> None:
    rng = np.random.default_rng(5)
    mask = random_mask(rng, 3)
    whole = text(counts(mask))
    for end in range(len(whole)):
        with pytest.raises(DataError, match=r"cut|sum to"):
            decode(whole[:end], mask.shape)


@pytest.mark.parametrize(
    ("published", "message"),
    [
        ([2, 1, 1, 3], r"sum to 7; expected 2 x 3 = 6"),
        ([2, 1, 1], r"sum to 4"),
        ([], r"sum to 0"),
        ("", r"sum to 0"),
        ([2, -1, 5], r"a run length is -1; expected 0 to 2 x 3 = 6"),
        ([2**63 - 1, 2**63 - 1, 8], r"a run length is 9223372036854775807"),
        ([2**70], r"whole numbers"),
        ([2.0, 4.0], r"whole numbers"),
        ([True], r"whole numbers"),
        (["2", "4"], r"whole numbers"),
        ([[2, 4]], r"whole numbers"),
        ([[2], [4, 1]], r"whole numbers"),
        ({"a": 1}, r"a list or a text, got dict"),
        (None, r"a list or a text"),
        ("2 4", r"outside '0' to 'o'"),
        ("2~", r"outside '0' to 'o'"),
        ("é", r"outside '0' to 'o'"),
        ("2T", r"end within a number"),
        ("PPPPPPP0", r"more than 32 bits"),
        ("O6", r"a run length is -1"),
    ],
)
def test_corrupt_run_lengths(published: object, message: str) -> None:
    with pytest.raises(DataError, match=r"a mask.*" + message):
        decode(published, (2, 3))
