"""Sources: what `dissect` was given as data -> batches, vocabulary, and the key of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch

from fastdissect.batches import BatchSource, DatasetBatches
from fastdissect.datasets import Dataset, open_dataset
from fastdissect.datasets.labelled import without_unlabelled
from fastdissect.datasets.pairs.dataset import Pairs
from fastdissect.errors import DataError, SettingError
from fastdissect.loaders import LoaderBatches, concepts_from
from fastdissect.packing import columns_of
from fastdissect.types import Concepts, Profile

__all__ = ["data_key", "open_source"]

Size = tuple[int, int]


def open_source(
    data: Any,
    concepts: Concepts | Sequence[str] | None,
    preprocessing: Any,
    profile: Profile,
    *,
    size: Size | None,
    mask_size: Size | None,
    batch_size: int,
    workers: int | None,
    images: int | None,
) -> tuple[BatchSource, Concepts]:
    """The source of batches and its vocabulary.

    Args:
        data: a data set's name, a `Dataset`; with `concepts` a map-style torch data set of (image, labels), read as
            `datasets.pairs.Pairs`, or a DataLoader of (images, labels), whose images all have labels.
        size, mask_size: of the network's input and of the masks; None: the model's or the data set's, and half.

    Raises:
        DataError, SettingError: nothing that can be read, or options that do not go with it.
    """
    once = profile.repeats == "once"
    if _has_items(data):
        data, concepts = Pairs(data, concepts_from(concepts)), None
    if isinstance(data, (str, Dataset)):
        dataset = open_dataset(data)
        if concepts is not None:
            raise SettingError(
                "expected concepts= with a DataLoader only, or with a torch data set; a data set brings its own"
            )
        if not len(dataset):
            raise DataError(f"{dataset.name}: expected at least one image; got none")
        if profile.unlabelled == "removed":
            dataset = without_unlabelled(dataset)
        inputs = size or preprocessing.size or dataset.image_size()
        count = len(dataset) if images is None else min(images, len(dataset))
        if workers is None:
            workers = 0 if count < 4 * batch_size else max(1, min(8, torch.get_num_threads() // 2))
        source = DatasetBatches(
            dataset,
            preprocessing,
            inputs,
            mask_size or _half(inputs),
            columns_of(dataset.concepts),
            once=once,
            batch_size=batch_size,
            workers=workers,
            images=count,
        )
        return source, dataset.concepts
    if not hasattr(data, "__iter__"):
        raise DataError(
            "expected a data set's name, a fastdissect.datasets.Dataset or a DataLoader of (images, labels), or a torch "
            f"data set of (image, labels); got {type(data).__name__}"
        )
    if size is not None:
        raise SettingError(
            "expected size= with a data set only; a DataLoader gives the network's input as it is"
        )
    vocabulary = concepts_from(concepts)
    return LoaderBatches(data, vocabulary, mask_size, images, once), vocabulary


def _has_items(data: Any) -> bool:
    """Whether data is a map-style data set: items by number, where a DataLoader or a list gives batches."""
    if isinstance(data, (str, Dataset, torch.utils.data.IterableDataset)):
        return False
    if isinstance(data, torch.utils.data.Dataset):
        return True
    return hasattr(data, "__getitem__") and hasattr(data, "__len__") and not hasattr(data, "__iter__")


def _half(size: Size) -> Size:
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def data_key(source: BatchSource, vocabulary: Concepts) -> dict[str, Any]:
    """What tells one data set from another by content: {name: digest}, for the key of a run."""
    names = hashlib.blake2b(digest_size=16)
    for index in range(source.images):
        names.update(source.image_name(index).encode(errors="surrogateescape") + b"\0")
    words = hashlib.blake2b(digest_size=16)
    for text in (*vocabulary.names, "", *vocabulary.categories):
        words.update(text.encode(errors="surrogateescape") + b"\0")
    words.update(vocabulary.numbers.tobytes() + vocabulary.category.tobytes())
    found = {"image names": names.hexdigest(), "vocabulary": words.hexdigest()}
    if isinstance(source, DatasetBatches):
        return found | {"data set": source.dataset.fingerprint()}
    if isinstance(source, LoaderBatches):
        return found | {"data set": f"first batch {source.fingerprint}"}
    return found
