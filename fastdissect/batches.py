"""Batches: a data set's images as network input, decoded and their masks packed in worker processes.

Batch i is images i * batch_size ..., always: whole batches of the global order are what is dealt, counted and
resumed, because a network's own arithmetic may depend on the batch.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from fastdissect.datasets import Dataset, resize_image
from fastdissect.datasets.labelled import LabelledImages
from fastdissect.datasets.segmented.network_labels import labelled_by_network
from fastdissect.errors import FastdissectError
from fastdissect.masks import image_planes
from fastdissect.models import Preprocessing
from fastdissect.packing import ImagePlanes
from fastdissect.stamps import stamp_of

__all__ = ["Batch", "BatchSource", "DatasetBatches", "network_input"]


class Batch(NamedTuple):
    first: int  # number of its first image
    images: torch.Tensor  # float32 [n, 3, height, width], or a generator's samples [n, ...]
    digests: tuple[str, ...]  # of the images' contents, hex
    stamps: tuple[int, ...]  # of the files, taken before they were read; 0 where there are none
    planes: tuple[ImagePlanes, ...] | None  # None where they were not asked for


class BatchSource:
    """What the chain asks of a source of batches."""

    name: str
    images: int
    input_size: tuple[int, int]
    mask_size: tuple[int, int]
    batch_size: int
    replays = False  # True: it can only begin at the first image; earlier batches come again

    def example(self) -> torch.Tensor:
        """An image of zeros, as the network gets them: [1, channels, height, width]."""
        raise NotImplementedError

    def record(self) -> dict[str, Any]:
        """What run.json says of the images' labels, where they are made in the run."""
        return {}

    def batches(self, first: int, planes: bool) -> Iterator[Batch]:
        """Batches from image `first` (the start of a batch) on, with packed masks or without."""
        raise NotImplementedError

    def image_name(self, index: int) -> str:
        raise NotImplementedError


def network_input(
    pixels: NDArray[np.uint8], preprocessing: Preprocessing, size: tuple[int, int]
) -> NDArray[np.float32]:
    """uint8 [H, W, 3] -> float32 [3, height, width]: resized without cropping, then (x / 255 - mean) / std."""
    pixels = resize_image(pixels, size, preprocessing.interpolation)
    std = np.asarray(preprocessing.std, np.float64)
    scale = (1 / (255 * std)).astype(np.float32)
    shift = (-np.asarray(preprocessing.mean, np.float64) / std).astype(np.float32)
    out = np.empty((3, *size), np.float32)
    for channel in range(3):
        np.multiply(pixels[..., channel], scale[channel], out=out[channel])
        out[channel] += shift[channel]
    return out


class _Items(TorchDataset[Any]):
    """One image a time, for the workers. Errors travel as values: a worker would drown their message."""

    def __init__(self, source: DatasetBatches, planes: bool) -> None:
        self.source, self.planes = source, planes

    def __getitem__(self, index: int) -> Any:
        source, dataset = self.source, self.source.dataset
        network, own = labelled_by_network(dataset, index)
        try:
            if network is not None and network.makes_images:
                return *network.read_input(own), 0, None
            stamp = stamp_of(dataset, index)
            pixels, digest = dataset.read_image(index)
            packed: Any = None
            if self.planes and network is not None:
                packed = network.prepare(pixels)  # segmented where the network is, by `_labelled`
            elif self.planes:
                packed = image_planes(
                    dataset.read_labels(index),
                    source.columns,
                    source.mask_size,
                    once=source.once,
                    image=dataset.image_name(index),
                    aspect=pixels.shape[0] / pixels.shape[1],
                )
            return network_input(pixels, source.preprocessing, source.input_size), digest, stamp, packed
        except FastdissectError as error:
            return error


def _collate(items: Sequence[Any]) -> Any:
    for item in items:
        if isinstance(item, FastdissectError):
            return item
    images, digests, stamps, planes = zip(*items, strict=True)
    return torch.from_numpy(np.stack(images)), digests, stamps, planes


def _leave_with_parent(_worker: int) -> None:
    """End this worker when the run is killed: a worker that waits to hand on a batch would wait for ever."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class DatasetBatches(BatchSource):
    """Batches of a `Dataset`.

    Args:
        columns, once: see `packing.pack_channels`.
        workers: worker processes; 0 decodes in this process.
        images: only the first so many.
    """

    def __init__(
        self,
        dataset: Dataset,
        preprocessing: Preprocessing,
        input_size: tuple[int, int],
        mask_size: tuple[int, int],
        columns: NDArray[np.int32],
        *,
        once: bool,
        batch_size: int,
        workers: int,
        images: int,
    ) -> None:
        self.dataset, self.preprocessing, self.columns, self.once = dataset, preprocessing, columns, once
        self.input_size, self.mask_size = input_size, mask_size
        self.batch_size, self.workers, self.images = batch_size, workers, images
        self.name = dataset.name

    def example(self) -> torch.Tensor:
        network, own = labelled_by_network(self.dataset)
        if network is not None and network.makes_images:
            return torch.zeros(1, *network.read_input(own)[0].shape)
        return torch.zeros(1, 3, *self.input_size)

    def record(self) -> dict[str, Any]:
        network, _ = labelled_by_network(self.dataset)
        return {} if network is None else network.record()

    def image_name(self, index: int) -> str:
        return self.dataset.image_name(index)

    def only(self, images: NDArray[np.int64]) -> DatasetBatches:
        """The same for some images, numbered from 0 in the order given."""
        return DatasetBatches(
            LabelledImages(self.dataset, images),
            self.preprocessing,
            self.input_size,
            self.mask_size,
            self.columns,
            once=self.once,
            batch_size=self.batch_size,
            workers=self.workers,
            images=len(images),
        )

    def batches(self, first: int, planes: bool) -> Iterator[Batch]:
        network, _ = labelled_by_network(self.dataset)
        drawn = network is not None and network.makes_images  # samples are quickly had
        workers = 0 if drawn else self.workers
        loader = DataLoader(
            _Items(self, planes),
            batch_size=self.batch_size,
            sampler=range(first, self.images),
            num_workers=workers,
            collate_fn=_collate,
            prefetch_factor=2 if workers else None,
            worker_init_fn=_leave_with_parent,
        )
        for result in loader:
            if isinstance(result, FastdissectError):
                raise result
            images, digests, stamps, packed = result
            if planes and network is not None:
                packed = self._labelled(first, packed)
            yield Batch(first, images, digests, stamps, packed if planes else None)
            first += len(images)

    def _labelled(self, first: int, prepared: Sequence[Any]) -> tuple[ImagePlanes, ...]:
        """Planes of images first ... whose labels a network makes; None: not prepared."""
        found = [labelled_by_network(self.dataset, first + i) for i in range(len(prepared))]
        numbers = [own for _, own in found]
        at_hand = {own: image for own, image in zip(numbers, prepared, strict=True) if image is not None}
        network = found[0][0]
        assert network is not None
        return tuple(
            image_planes(
                channels, self.columns, self.mask_size, once=self.once, image=self.image_name(first + i)
            )
            for i, channels in enumerate(network.labels_of(numbers, at_hand))
        )
