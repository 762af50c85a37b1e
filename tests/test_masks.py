"""Masks: label channels to packed planes, and planes on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dissect_cases import vocabulary
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import assert_same, dense_planes
from numpy.typing import NDArray

from fastdissect.datasets import resize_labels
from fastdissect.errors import DataError, OutputError
from fastdissect.masks import image_planes
from fastdissect.packing import (
    columns_of,
    content_digest,
    join_planes,
    no_planes,
    pack_channels,
    slice_planes,
)
from fastdissect.plane_files import PlaneStore, PlaneWriter
from fastdissect.types import Concepts, LabelChannel, words_for

NUMBERS = np.array([2, 3, 7, 300, 70_000])
CONCEPTS = Concepts(NUMBERS, tuple("abcde"), np.zeros(5, np.int64), ("q",))


@st.composite
def channel_lists(draw: st.DrawFn) -> tuple[list[LabelChannel], tuple[int, int]]:
    """Channels of one image: maps of several dtypes, numbers; and the masks' size."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    channels = []
    for _ in range(draw(st.integers(0, 4))):
        dtype = draw(st.sampled_from([np.uint8, np.uint16, np.int32, np.int64, np.uint64]))
        allowed = [n for n in NUMBERS.tolist() if n <= np.iinfo(dtype).max]
        if draw(st.booleans()):
            channels.append(LabelChannel(0, int(rng.choice(allowed))))
        else:
            labels = rng.choice([0, *allowed], size).astype(dtype)
            channels.append(LabelChannel(0, labels))
    return channels, size


@given(channel_lists(), st.booleans())
def test_planes_are_the_labels(image: Any, once: bool) -> None:
    channels, size = image
    packed = pack_channels(channels, columns_of(CONCEPTS), size, once=once)
    block = join_planes([packed], size)
    masks = np.zeros((len(channels), 5, size[0] * size[1]), bool)
    for own, channel in zip(masks, channels, strict=True):
        for concept, number in enumerate(NUMBERS):
            own[concept] = np.broadcast_to(channel.labels == number, size).ravel()
    np.testing.assert_array_equal(dense_planes(block, 0, 5), masks.any(0))
    area = np.zeros(5, np.int64)
    np.add.at(area, block.concept, block.pixels)
    np.testing.assert_array_equal(area, masks.any(0).sum(1) if once else masks.sum((0, 2)))
    assert (np.diff(block.concept) >= (1 if once else 0)).all()
    assert block.words.shape[1] == words_for(size[0] * size[1])
    whole = [c.labels for c in channels if not isinstance(c.labels, np.ndarray)]
    assert (block.word_row < 0).sum() == len(set(whole) if once else whole)


def blocks(rng: np.random.Generator, images: int, size: tuple[int, int] = (9, 8)) -> list[Any]:
    """ImagePlanes of random images, some without any plane."""
    found = []
    for i in range(images):
        channels = [LabelChannel(0, rng.choice([0, *NUMBERS], size).astype(np.int32)) for _ in range(i % 3)]
        channels += [LabelChannel(0, 7)] * (i % 2)
        found.append(pack_channels(channels, columns_of(CONCEPTS), size, once=True))
    return found


def test_join_and_slice_are_inverse() -> None:
    images = blocks(np.random.default_rng(0), 10)
    whole = join_planes(images, (9, 8))
    for first, last in ((0, 10), (0, 0), (3, 7), (9, 10), (10, 10)):
        assert_same(slice_planes(whole, first, last), join_planes(images[first:last], (9, 8)))
    assert_same(join_planes([], (9, 8)), no_planes((9, 8)))


def test_the_content_digest_sees_every_change() -> None:
    rng = np.random.default_rng(1)
    labels = rng.choice([0, 2, 3], (9, 8)).astype(np.int32)

    def digest(channels: list[Any], image: str = "00") -> bytes:
        packed = pack_channels(
            [LabelChannel(0, c) for c in channels], columns_of(CONCEPTS), (9, 8), once=True
        )
        other = blocks(np.random.default_rng(2), 3)
        block = join_planes([*other, packed], (9, 8))
        assert content_digest(image, block, 3) == content_digest(image, join_planes([packed], (9, 8)), 0)
        return content_digest(image, block, 3)

    other = labels.copy()
    other[0, 0] = 5 - other[0, 0] if other[0, 0] else 2
    found = [
        digest([labels]),
        digest([other]),
        digest([labels], "01"),
        digest([labels, 7]),
        digest([7]),
        digest([]),
        digest([labels * 0]),
    ]
    assert len(set(found)) == 6  # no label at all is no plane
    assert digest([]) == digest([labels * 0])


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (5, 13), (16, 20)])
def test_maps_of_other_sizes_are_resized_by_nearest_neighbour(size: tuple[int, int]) -> None:
    labels = np.random.default_rng(3).choice([0, 2, 3], (10, 13)).astype(np.uint16)
    packed = image_planes([LabelChannel(0, labels)], columns_of(CONCEPTS), size, once=True)
    expected = pack_channels(
        [LabelChannel(0, resize_labels(labels, size))], columns_of(CONCEPTS), size, once=True
    )
    assert_same(packed, expected)


@pytest.mark.parametrize("number", [1, 4, 299, 70_001, 1 << 33, -1])
def test_unknown_numbers_name_the_image(number: int) -> None:
    labels = np.array([[0, number]])
    for labelled in (number, labels, *([labels.astype(np.uint16)] if 0 < number < 65536 else [])):
        with pytest.raises(
            DataError, match=f"image x.jpg: expected label numbers of the vocabulary; got {number}"
        ):
            pack_channels([LabelChannel(0, labelled)], columns_of(CONCEPTS), (1, 2), once=True, image="x.jpg")


def test_columns() -> None:
    assert columns_of(vocabulary(["a", "b"])).tolist() == [-1, 0, 1]
    assert columns_of(CONCEPTS)[NUMBERS].tolist() == [0, 1, 2, 3, 4]
    assert (columns_of(CONCEPTS) < 0).sum() == 70_001 - 5


def write(folder: Path, images: list[Any], size: tuple[int, int] = (9, 8)) -> PlaneStore:
    writer = PlaneWriter(folder, size)
    for first in range(0, len(images), 3):
        writer.add(join_planes(images[first : first + 3], size))
    return writer.finish()


def test_planes_on_disk(tmp_path: Path) -> None:
    images = blocks(np.random.default_rng(4), 11)
    for store in (write(tmp_path, images), PlaneStore(tmp_path)):
        assert len(store) == 11
        for first, last in ((0, 11), (2, 9), (5, 5)):
            assert_same(store.block(first, last), join_planes(images[first:last], (9, 8)))


@pytest.mark.parametrize("images", [0, 1])
def test_no_planes_on_disk(tmp_path: Path, images: int) -> None:
    store = write(tmp_path, blocks(np.random.default_rng(5), images))
    assert len(store) == images
    assert store.planes.words.shape == (0, 2)


def test_a_writer_goes_on_after_its_index(tmp_path: Path) -> None:
    images = blocks(np.random.default_rng(6), 12)
    writer = PlaneWriter(tmp_path / "a", (9, 8))
    writer.add(join_planes(images[:7], (9, 8)))
    writer.sync()
    index = writer.index()
    writer.add(join_planes(images[3:5], (9, 8)))  # lost: after the checkpoint
    writer.close()
    writer = PlaneWriter(tmp_path / "a", (9, 8), index)
    writer.add(join_planes(images[7:], (9, 8)))
    writer.finish()
    write(tmp_path / "b", images)
    for name in ("planes.npz", "words.u64"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_damaged_planes_are_refused(tmp_path: Path) -> None:
    write(tmp_path, blocks(np.random.default_rng(7), 9))
    words, index = (tmp_path / "words.u64").read_bytes(), (tmp_path / "planes.npz").read_bytes()
    for name, data in (
        ("words.u64", words[:-8]),
        ("planes.npz", index[:-9]),
        ("planes.npz", b""),
        ("words.u64", None),
        ("planes.npz", None),
    ):
        (tmp_path / "words.u64").write_bytes(words)
        (tmp_path / "planes.npz").write_bytes(index)
        if data is None:
            (tmp_path / name).unlink()
        else:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(OutputError, match=r"planes|damaged|missing"):
            PlaneStore(tmp_path)


def test_per_channel_planes_stay_apart(tmp_path: Path) -> None:
    labels: NDArray[Any] = np.full((9, 8), 2, np.uint16)
    channels = [LabelChannel(0, labels), LabelChannel(0, labels), LabelChannel(0, 2)]
    packed = pack_channels(channels, columns_of(CONCEPTS), (9, 8), once=False)
    assert packed.concept.tolist() == [0, 0, 0]
    assert packed.pixels.tolist() == [72, 72, 72]
    assert pack_channels(channels, columns_of(CONCEPTS), (9, 8), once=True).word_row.tolist() == [-1]
