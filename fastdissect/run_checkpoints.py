"""A run's checkpoints: all that is needed to go on from where it stands, written down and taken up again."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastdissect.batch_passes import BatchPasses
from fastdissect.batches import DatasetBatches
from fastdissect.caching import PlaneCache
from fastdissect.image_records import ImageRecords
from fastdissect.plane_files import INDEX, index_from
from fastdissect.resuming import Checkpoint

__all__ = ["go_on_from", "open_records", "write_checkpoint"]

log = logging.getLogger("fastdissect")


def open_records(run: BatchPasses, checkpoint: Checkpoint | None, cache: Path | None) -> ImageRecords:
    """What is written down of each image: begun, or as the checkpoint knows it."""
    settings, folder = run.settings, run.checkpoints.folder
    own = PlaneCache(cache, run.source) if isinstance(run.source, DatasetBatches) else None
    units = {name: c.shape[0] for name, c in run.collectors.items() if name in settings.kept}
    if checkpoint is None:
        return ImageRecords(folder, settings.mask_size, own, units, first=run.first)
    arrays = {name: checkpoint.arrays.get(f"planes/{name}") for name in INDEX}
    index = {name: array for name, array in arrays.items() if array is not None}
    return ImageRecords(
        folder,
        settings.mask_size,
        own,
        units,
        rows=checkpoint.state["seen"],
        index=index_from(index, settings.mask_size) if index else None,
        whole=checkpoint.state["whole"],
        first=run.first,
    )


def go_on_from(run: BatchPasses, checkpoint: Checkpoint) -> None:
    """Put a run where the checkpoint's stood; its records are open.

    Raises:
        OutputError: an image or its masks have changed since.
    """
    state, arrays = checkpoint
    run.pass_, run.position, run.resumed = state["pass"], state["position"], state["resumed"] + 1
    for number, (name, collector) in enumerate(run.collectors.items()):
        own = {key.partition("/")[2]: a for key, a in arrays.items() if key.startswith(f"{number}/")}
        collector.restore(state["layers"][name], own)
    if isinstance(run.source, DatasetBatches):
        run.records.check_files(run.source)
    log.info("going on after %d images of pass %d", run.position, run.pass_ + 1)


def write_checkpoint(run: BatchPasses) -> None:
    """Write down where a run stands; all sifting has ended."""
    arrays: dict[str, NDArray[Any]] = {}
    layers = {}
    for number, (name, collector) in enumerate(run.collectors.items()):
        layers[name], own = collector.state()
        arrays |= {f"{number}/{key}": array for key, array in own.items()}
    index = run.records.sync()
    if index is not None:
        arrays |= {f"planes/{name}": getattr(index, name) for name in INDEX}
    state = {
        "pass": run.pass_,
        "position": run.position,
        "seen": run.records.images,
        "whole": run.records.whole,
        "resumed": run.resumed,
        "layers": layers,
    }
    run.checkpoints.save(state, arrays)
