"""A DataLoader of (images, labels) as a source of batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastdissect.arrays import host_array
from fastdissect.batches import Batch, BatchSource
from fastdissect.datasets.mask_values import MaskValues
from fastdissect.datasets.pairs.labels import object_channels
from fastdissect.errors import DataError, SettingError
from fastdissect.masks import image_planes
from fastdissect.packing import ImagePlanes, columns_of
from fastdissect.types import Concepts, LabelChannel

__all__ = ["LoaderBatches", "concepts_from"]


def concepts_from(concepts: Concepts | Sequence[str] | None) -> Concepts:
    """A vocabulary from names: label 1 is the first name, and so on; all in the category "concept"."""
    if isinstance(concepts, Concepts):
        numbers, category = concepts.numbers, concepts.category
        if (
            not len(concepts)
            or not (len(numbers) == len(concepts.names) == len(category))
            or numbers.min() < 1
            or (np.diff(numbers) < 1).any()
            or not 0 <= category.min() <= category.max() < len(concepts.categories)
        ):
            raise SettingError(
                "expected a Concepts of at least one concept: rising numbers from 1, and for each a name and a "
                f"category's index; got numbers {numbers}, {len(concepts.names)} names, categories {category}"
            )
        return concepts
    if concepts is None or isinstance(concepts, str) or not len(concepts):
        raise SettingError(
            "expected concepts= with a DataLoader or a torch data set: the labels' names in order (label 1 first), or "
            f"a Concepts; got {concepts!r}"
        )
    names = tuple(str(name) for name in concepts)
    return Concepts(np.arange(1, len(names) + 1), names, np.zeros(len(names), np.int64), ("concept",))


class LoaderBatches(BatchSource):
    """Batches of a torch DataLoader of (images [n, 3, H, W], labels [n, H, W] or [n, channels, H, W]).

    Images may also be a list of n tensors [3, H, W] of one size, labels a list of n maps, or of n targets
    {"masks": [k, H, W] of 0 and 1, "labels": [k]} as torchvision's detection sets give; such masks may overlap.
    torchvision's tv_tensors are tensors like any other. The images are taken as they are (already the network's
    input); the labels are resized by nearest neighbour to the masks' size. The loader must give the same images in
    the same order each time (shuffle=False, no random transforms): later passes and resumed runs check it.

    Args:
        limit: only the first so many images; of a loader without a length, an upper bound of it.

    Attributes:
        fingerprint: digest of the first batch (blake2b, 16 bytes, hex): what tells one loader from another.
    """

    replays = True

    def __init__(
        self,
        loader: Any,
        concepts: Concepts,
        mask_size: tuple[int, int] | None,
        limit: int | None,
        once: bool,
    ) -> None:
        self.loader = loader
        self.name = f"DataLoader of {type(getattr(loader, 'dataset', loader)).__name__}"
        length = _length(loader)
        if length is None and limit is None:
            raise DataError(
                "expected a data set of known length (the threshold's rank depends on it); got a DataLoader without "
                "one; pass images= with the number of images, an upper bound will do"
            )
        self.images = min(n for n in (length, limit) if n is not None)
        self._cuts = length is not None and limit is not None and limit < length
        again = iter(loader)
        if again is loader:
            raise DataError(
                f"expected a DataLoader, which can be read again; got {type(loader).__name__}, which runs once; "
                "make a DataLoader or a list of batches of it"
            )
        first = next(again, None)
        if first is None:
            raise DataError(f"{self.name}: expected at least one image; got no batch")
        images, labels = _pair(first, 0)
        height, width = (int(n) for n in images.shape[-2:])
        self.input_size = height, width
        self.mask_size = mask_size or ((height + 1) // 2, (width + 1) // 2)
        self._columns, self._once, self._concepts = columns_of(concepts), once, concepts
        self._values: MaskValues | None = None  # made for the first target of masks
        self._example = torch.zeros_like(images[:1])
        self.batch_size = getattr(loader, "batch_size", None) or len(images)
        self.fingerprint = hashlib.blake2b(
            "".join(_digest(part) for part in (images, *_parts(labels))).encode(), digest_size=16
        ).hexdigest()

    def example(self) -> torch.Tensor:
        return self._example

    def image_name(self, index: int) -> str:
        return f"{index:08d}"

    def batches(self, first: int, planes: bool) -> Iterator[Batch]:
        """All batches, whatever `first` is (`replays`)."""
        del first
        at = 0
        for batch in self.loader:
            images, labels = _pair(batch, at)
            if at + len(images) > self.images:
                if not self._cuts:
                    raise DataError(
                        f"{self.name}: expected at most {self.images} images, as announced; got more; give its true "
                        "length (images=, or the data set's __len__)"
                    )
                images, labels = images[: self.images - at], labels[: self.images - at]
            if len(images):
                packed = tuple(self._pack(own, at + i) for i, own in enumerate(labels)) if planes else None
                digests = tuple(_digest(image) for image in images)
                yield Batch(at, images, digests, (0,) * len(images), packed)
            at += len(images)
            if self._cuts and at == self.images:
                return

    def _pack(self, labels: Any, image: int) -> ImagePlanes:
        if isinstance(labels, Mapping):
            self._values = self._values or MaskValues(self._concepts)
            found = object_channels(labels, self._values, f"image {image}", self.input_size)
            return self._packed(found, image)
        maps = host_array(labels)
        if maps.ndim == 2:
            maps = maps[None]
        if maps.ndim != 3 or maps.dtype.kind not in "ui" or maps.min(initial=0) < 0:
            raise DataError(
                f"image {image}: expected integer labels of 0 or more [H, W] or [channels, H, W]; got {maps.dtype} "
                f"{maps.shape}{f' from {maps.min()} on' if maps.size and maps.dtype.kind == 'i' else ''}"
            )
        return self._packed([LabelChannel(0, np.ascontiguousarray(m)) for m in maps], image)

    def _packed(self, channels: Sequence[LabelChannel], image: int) -> ImagePlanes:
        aspect = self.input_size[0] / self.input_size[1]
        return image_planes(
            channels,
            self._columns,
            self.mask_size,
            once=self._once,
            image=self.image_name(image),
            aspect=aspect,
        )


def _length(loader: Any) -> int | None:
    """Images of the loader's data set, or of a list of batches; None where it does not say."""
    if isinstance(loader, (list, tuple)):
        return sum(len(_pair(batch, 0)[0]) for batch in loader)
    try:
        return len(loader.dataset) if hasattr(loader, "dataset") else None
    except TypeError:  # an IterableDataset without __len__
        return None


def _pair(batch: Any, at: int) -> tuple[torch.Tensor, Any]:
    """(images, labels) of a batch, checked; labels that are not one array as a list, an entry an image."""
    if (
        not isinstance(batch, (tuple, list))
        or len(batch) != 2
        or not (isinstance(batch[0], torch.Tensor) or _is_list_of_tensors(batch[0]))
    ):
        what = f" of {', '.join(type(b).__name__ for b in batch)}" if isinstance(batch, (tuple, list)) else ""
        raise DataError(
            f"expected a DataLoader of (images, labels); got a batch of type {type(batch).__name__}{what}; "
            "wrap the data set, or pass a collate_fn"
        )
    images, labels = batch
    if not isinstance(images, torch.Tensor):
        sizes = sorted({tuple(image.shape) for image in images})
        if len(sizes) > 1:
            raise DataError(
                f"image {at}: expected images of one size in a batch; got {', '.join(str(list(s)) for s in sizes[:3])}; "
                "resize them, or give the data set itself in place of its DataLoader"
            )
        images = torch.stack(list(images))
    if isinstance(labels, Mapping):  # targets that were collated: {"masks": [n, k, H, W], "labels": [n, k]}
        parts = {key: value for key, value in labels.items() if _count(value) is not None}
        count = min((len(value) for value in parts.values()), default=0)
        labels = [{key: value[i] for key, value in parts.items()} for i in range(count)]
    if images.ndim != 4 or len(images) != _count(labels):
        raise DataError(
            f"image {at}: expected images [n, channels, H, W] and as many labels; got {list(images.shape)} and "
            f"{'none that can be counted' if _count(labels) is None else _count(labels)}, of type {type(labels).__name__}"
        )
    return images, labels


def _count(values: Any) -> int | None:
    """The length of labels; None where they have none: None, a number, an array without axes."""
    try:
        return len(values)
    except TypeError:
        return None


def _is_list_of_tensors(images: Any) -> bool:
    return (
        isinstance(images, (tuple, list))
        and bool(images)
        and all(isinstance(i, torch.Tensor) for i in images)
    )


def _parts(labels: Any) -> list[Any]:
    """The arrays that a batch's labels consist of."""
    if not isinstance(labels, (tuple, list)):
        return [labels]
    parts: list[Any] = []
    for own in labels:
        keys = sorted({"masks", "labels"} & own.keys()) if isinstance(own, Mapping) else ()
        parts += [own[key] for key in keys] or [own]
    return parts


def _array(values: Any) -> NDArray[np.generic]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        if values.dtype == torch.bfloat16:
            values = values.view(torch.int16)
        return values.numpy()  # type: ignore[no-any-return]
    return host_array(values)


def _digest(values: Any) -> str:
    array = np.ascontiguousarray(_array(values))
    return hashlib.blake2b(array.tobytes(), digest_size=16).hexdigest()
