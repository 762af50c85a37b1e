"""Batches of a data set: the global order, decoded and packed, in this process or in workers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import PLAIN, Labelled, vocabulary
from kernel_cases import assert_same

from fastdissect.batches import DatasetBatches, network_input
from fastdissect.datasets import open_dataset
from fastdissect.errors import DataError
from fastdissect.masks import image_planes
from fastdissect.models import Preprocessing
from fastdissect.packing import columns_of
from fastdissect.stamps import stamp_of


def source_of(data: Any = "shapes:images=11,size=32", **options: Any) -> DatasetBatches:
    dataset = open_dataset(data)
    defaults: dict[str, Any] = {"once": True, "batch_size": 4, "workers": 0, "images": len(dataset)}
    columns = columns_of(dataset.concepts)
    return DatasetBatches(dataset, PLAIN, (24, 20), (12, 10), columns, **{**defaults, **options})


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_follow_the_global_order(workers: int) -> None:
    source = source_of(workers=workers)
    found = list(source.batches(0, planes=True))
    assert [(batch.first, len(batch.images)) for batch in found] == [(0, 4), (4, 4), (8, 3)]
    index = 0
    for batch in found:
        assert batch.planes is not None
        for image, digest, stamp, planes in zip(*batch[1:], strict=True):
            pixels, expected = source.dataset.read_image(index)
            np.testing.assert_array_equal(image, network_input(pixels, PLAIN, (24, 20)))
            assert (digest, stamp) == (expected, 0)
            channels = source.dataset.read_labels(index)
            assert_same(planes, image_planes(channels, source.columns, (12, 10), once=True))
            index += 1
    assert index == 11
    assert source.example().shape == (1, 3, 24, 20)
    assert source.image_name(3) == source.dataset.image_name(3)


def test_later_batches_are_those_of_the_whole() -> None:
    source = source_of()
    whole = list(source.batches(0, planes=False))
    assert whole[0].planes is None
    later = list(source.batches(8, planes=False))
    assert [batch.first for batch in later] == [8]
    assert torch.equal(later[0].images, whole[2].images)
    assert not list(source.batches(11, planes=False))
    assert len(list(source_of(images=5).batches(0, planes=False))[-1].images) == 1


def test_masks_are_not_read_where_they_are_not_asked_for() -> None:
    data = Labelled(np.zeros((2, 8, 8, 3), np.uint8), [[(0, 99)]] * 2, vocabulary(["a"]))
    assert len(list(source_of(data).batches(0, planes=False))) == 1
    with pytest.raises(DataError, match=r"image 0000: .* got 99"):
        list(source_of(data).batches(0, planes=True))


class Stale(Labelled):
    """A data set whose file changes while it is read."""

    def __init__(self, path: Path) -> None:
        super().__init__(np.zeros((1, 8, 8, 3), np.uint8), [[]], vocabulary(["a"]))
        self.path = path

    def files(self, index: int) -> tuple[Path, ...]:
        return (self.path,)

    def read_image(self, index: int) -> Any:
        found = super().read_image(index)
        self.path.write_text("changed meanwhile")
        return found


def test_stamps_are_taken_before_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_text("as it was read")
    data = Stale(path)
    before = stamp_of(data, 0)
    (batch,) = source_of(data).batches(0, planes=False)
    assert batch.stamps == (before,)
    assert stamp_of(data, 0) != before


class Broken(Labelled):
    def read_image(self, index: int) -> Any:
        if index == 5:
            raise DataError(f"image 5: in process {os.getpid()}")
        return super().read_image(index)


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_keep_their_message_across_processes(workers: int) -> None:
    data = Broken(np.zeros((8, 8, 8, 3), np.uint8), [[]] * 8, vocabulary(["a"]))
    batches = source_of(data, workers=workers).batches(0, planes=False)
    assert next(batches).first == 0
    with pytest.raises(DataError, match=r"^image 5: in process \d+$") as info:
        next(batches)
    assert (str(os.getpid()) in str(info.value)) == (workers == 0)


def test_network_input_is_what_torchvision_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    own = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    found = network_input(pixels, own, (9, 7))
    assert found.dtype == np.float32
    scaled = pixels.transpose(2, 0, 1) / 255
    expected = (scaled - np.reshape(own.mean, (3, 1, 1))) / np.reshape(own.std, (3, 1, 1))
    np.testing.assert_allclose(found, expected, atol=3e-7)
    assert network_input(pixels, own, (4, 5)).shape == (3, 4, 5)
