"""The label planes of a finished run's data set: from the plane cache, else packed again."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastdissect.batches import DatasetBatches
from fastdissect.caching import PlaneCache, cache_folder
from fastdissect.datasets import Dataset
from fastdissect.datasets.labelled import without_unlabelled
from fastdissect.errors import DataError
from fastdissect.models import Preprocessing
from fastdissect.packing import columns_of, join_planes
from fastdissect.plane_files import PlaneStore, PlaneWriter
from fastdissect.progress import progress_bar
from fastdissect.reopening import reopen_data
from fastdissect.results import Dissection
from fastdissect.types import Planes

__all__ = ["planes_of", "run_images"]

_AS_THEY_ARE = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), source="only the masks are read")


def run_images(d: Dissection, data: Any = None) -> Dataset:
    """Open a run's data set: its image n is the run's image n.

    Raises:
        DataError: as `reopening.reopen_data`.
    """
    dataset = reopen_data(d, data)
    return without_unlabelled(dataset) if d.profile.unlabelled == "removed" else dataset


def planes_of(
    d: Dissection, data: Any = None, *, cache: str | Path | None = "auto", progress: bool | None = None
) -> Planes:
    """Return the packed label planes of a run's images, in its masks' size and its concepts' columns.

    Args:
        data: a data set or its name, instead of the one that the run recorded.
        cache: folder of packed masks, "auto" (the user's cache folder) or None. What the run packed is found
            there.
        progress: show a bar while masks are packed; default: on a terminal.

    Raises:
        DataError: the data set cannot be opened, or has other images or concepts than the run.

    Example:
        >>> planes = planes_of(fd.load("out"))            # doctest: +SKIP
    """
    dataset = run_images(d, data)
    ours, theirs = d.concepts, dataset.concepts
    if ours.names != theirs.names or ours.numbers.tolist() != theirs.numbers.tolist():
        raise DataError(
            f"expected the {len(ours):,} concepts of the run; {dataset.name} has {len(theirs):,} others; open the "
            "run's own data set (data=, --data SPEC)"
        )
    size, images = next(iter(d.values())).upsampling.size, len(d.image_names)
    workers = 0 if images < 128 else max(1, min(8, torch.get_num_threads() // 2))
    source = DatasetBatches(
        dataset,
        _AS_THEY_ARE,
        size,
        size,
        columns_of(ours),
        once=d.profile.repeats == "once",
        batch_size=32,
        workers=workers,
        images=images,
    )
    place = None if cache is None else cache_folder() if cache == "auto" else Path(cache)
    kept = PlaneCache(place, source)
    store = kept.find()
    if store is not None:
        return store.planes
    with tempfile.TemporaryDirectory(prefix="fastdissect-") as folder:
        fresh, stamps = _pack(source, Path(folder), progress)
        kept.keep(fresh, stamps)
        return dataclasses.replace(fresh.planes, words=np.array(fresh.planes.words))


def _pack(
    source: DatasetBatches, folder: Path, progress: bool | None
) -> tuple[PlaneStore, NDArray[np.uint64]]:
    writer = PlaneWriter(folder, source.mask_size)
    stamps: list[int] = []
    with progress_bar("masks", source.images, show=progress) as advance:
        for batch in source.batches(0, True):
            assert batch.planes is not None
            writer.add(join_planes(batch.planes, source.mask_size))
            stamps += batch.stamps
            advance(len(batch.stamps))
    return writer.finish(), np.array(stamps, np.uint64)
