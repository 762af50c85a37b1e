"""Samples: images spread evenly over a data set, run to learn from a few what all will need."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fastdissect.batches import BatchSource, DatasetBatches
from fastdissect.errors import DataError
from fastdissect.forward_options import in_channels_last
from fastdissect.opening import OpenedRun
from fastdissect.resuming import Checkpoints
from fastdissect.running import Run
from fastdissect.settings import RunSettings

__all__ = ["running_sample", "spread_images"]


@contextlib.contextmanager
def running_sample(
    opened: OpenedRun,
    settings: RunSettings,
    images: DatasetBatches,
    *,
    progress: bool | None,
    after_batch: Callable[[Run], None] | None = None,
) -> Iterator[Run]:
    """A run of some images under settings of its own, all of whose files are temporary."""
    with (
        tempfile.TemporaryDirectory(prefix="fastdissect-") as work,
        in_channels_last(opened.loaded.module, settings.forward),
        contextlib.closing(
            Run(
                settings,
                opened.loaded,
                images,
                opened.concepts,
                opened.device,
                Checkpoints(Path(work), {}),
                None,
                progress,
                after_batch=after_batch,
            )
        ) as run,
    ):
        yield run


def spread_images(source: BatchSource, images: int, why: str) -> DatasetBatches:
    """Batches of some images of a source, the first and the last among them, at even distances between.

    Args:
        why: what they are for, for the message.

    Raises:
        DataError: images cannot be picked: a DataLoader.
    """
    if not isinstance(source, DatasetBatches):
        raise DataError(
            f"expected a data set, or its name, for {why}: it takes images from the whole of it; got a DataLoader; make a "
            "fastdissect.datasets.Dataset of it"
        )
    count = min(images, source.images)
    chosen = np.unique(np.linspace(0, source.images - 1, count).round().astype(np.int64))
    return source.only(chosen)
