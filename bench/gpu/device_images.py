"""Synthetic images that lie on the device, as a source of batches: decoding and copying are left out on both sides."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.batches import Batch, BatchSource
from fastdissect.masks import image_planes
from fastdissect.packing import ImagePlanes, columns_of
from fastdissect.types import Concepts, LabelChannel

__all__ = ["LABELS", "DeviceImages", "label_maps", "vocabulary"]

LABELS, DISTINCT = 20, 8


def vocabulary() -> Concepts:
    numbers = np.arange(1, LABELS + 1)
    names = tuple(f"label {i}" for i in numbers)
    return Concepts(numbers, names, np.zeros(LABELS, np.int64), ("object",))


def label_maps() -> NDArray[np.uint16]:
    """A few label maps [maps, 112, 112] of 8 x 8 blocks; image i has map i mod their number."""
    blocks = np.random.default_rng(0).integers(0, LABELS + 1, (DISTINCT, 14, 14)).astype(np.uint16)
    return blocks.repeat(8, 1).repeat(8, 2)


class DeviceImages(BatchSource):
    """Batches of an image tensor on the device; labels packed beforehand, digests made up.

    Attributes:
        loop_seconds: from the first batch's being asked for to the end of the work on the last one.
    """

    def __init__(self, tensor: Any, batch_size: int, synchronize: Any) -> None:
        self.tensor, self.batch_size, self._synchronize = tensor, batch_size, synchronize
        self.name, self.images = "images on the device", len(tensor)
        self.input_size = int(tensor.shape[2]), int(tensor.shape[3])
        self.mask_size = (112, 112)
        columns = columns_of(vocabulary())
        self._planes: list[ImagePlanes] = [
            image_planes((LabelChannel(0, own),), columns, self.mask_size, once=True) for own in label_maps()
        ]
        self.loop_seconds = 0.0

    def example(self) -> Any:
        return self.tensor[:1].clone().zero_()

    def image_name(self, index: int) -> str:
        return f"{index:08d}"

    def batches(self, first: int, planes: bool) -> Iterator[Batch]:
        self._synchronize()
        begun = time.perf_counter()
        for at in range(first, self.images, self.batch_size):
            images = self.tensor[at : at + self.batch_size]
            numbers = range(at, at + len(images))
            packed = tuple(self._planes[i % DISTINCT] for i in numbers) if planes else None
            yield Batch(at, images, tuple(f"{i:032x}" for i in numbers), (0,) * len(images), packed)
        self._synchronize()
        self.loop_seconds = time.perf_counter() - begun
