"""`fastdissect net2vec`: the vectors, found again where the same ones were kept, else trained and kept."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.errors import SettingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastdissect.layer import LayerDissection
    from fastdissect.methods.net2vec import (
        ClassificationSettings,
        ConceptVectors,
        FilterCounts,
        SegmentationSettings,
    )
    from fastdissect.results import Dissection
    from fastdissect.types import Planes

__all__ = ["Task", "chosen_layer", "classification", "filter_counts", "segmentation"]


@dataclass(frozen=True, eq=False)
class Task:
    """What is trained, on what, and where it is kept."""

    layer: LayerDissection
    planes: Planes
    train: NDArray[np.bool_]  # [images]
    concepts: Sequence[str] | None
    device: str
    folder: Path


def chosen_layer(dissection: Dissection, name: str | None) -> str:
    """The layer that --layer names, or the run's only one.

    Raises:
        SettingError: the run has several. LayerError: it has none of this name.
    """
    if name is not None:
        return dissection[name].name
    if len(dissection) > 1:
        raise SettingError(f"expected --layer, one of {', '.join(dissection)}; got none")
    return next(iter(dissection))


def segmentation(task: Task, settings: SegmentationSettings) -> tuple[ConceptVectors, bool]:
    """Return the vectors, and whether they were there already.

    What was interrupted goes on where it stopped: until then the folder has a checkpoint.
    """
    from fastdissect.methods.net2vec.problem import make_problem
    from fastdissect.methods.net2vec.segmentation import train_segmentation
    from fastdissect.methods.vectors.kept import kept_vectors
    from fastdissect.progress import progress_bar

    problem = make_problem(task.layer, task.planes, task.train, settings, task.concepts)
    record = {"settings": settings.record(), "problem": problem.digest}
    found = kept_vectors(task.folder, "segmentation", task.layer.name, record)
    if found is not None:
        return found, True
    checkpoint = _checkpoint(task, "training", record, task.device)
    with progress_bar("net2vec", settings.epochs) as advance:
        vectors = train_segmentation(
            problem, settings, device=task.device, progress=advance, checkpoint=checkpoint
        )
    vectors.save(task.folder)
    _tidy(task, "training")
    return vectors, False


def classification(task: Task, settings: ClassificationSettings) -> tuple[ConceptVectors, bool]:
    """Return the vectors, and whether they were there already."""
    from fastdissect.methods.net2vec import classification_vectors
    from fastdissect.methods.net2vec.classification import pooled_data
    from fastdissect.methods.net2vec.problem import chosen_columns
    from fastdissect.methods.vectors.kept import kept_vectors
    from fastdissect.progress import progress_bar

    columns = chosen_columns(task.layer.concepts, task.concepts)
    pooled = pooled_data(task.layer, task.planes, task.train, settings)
    digest = hashlib.blake2b(digest_size=16)
    for array in (pooled.x, pooled.shows, pooled.train, columns):
        digest.update(str((array.dtype, array.shape)).encode() + array.tobytes())
    record = {"settings": dataclasses.asdict(settings), "problem": digest.hexdigest()}
    found = kept_vectors(task.folder, "classification", task.layer.name, record)
    if found is not None:
        return found, True
    with progress_bar("net2vec", len(columns)) as advance:
        vectors = classification_vectors(
            task.layer, task.planes, task.train, settings, concepts=task.concepts, progress=advance
        )
    vectors = dataclasses.replace(vectors, record={**vectors.record, **record})
    vectors.save(task.folder)
    return vectors, False


def filter_counts(task: Task, vectors: ConceptVectors, filters: Sequence[int] | None) -> FilterCounts:
    """Train with fewer filters, or go on where the same call stopped (its checkpoint is kept)."""
    from fastdissect.methods.net2vec import classification_top_filters, retrain_top_filters
    from fastdissect.progress import progress_bar

    if vectors.kind == "classification":
        with progress_bar("filters", len(vectors)) as advance:
            return classification_top_filters(
                vectors, task.layer, task.planes, task.train, filters=filters, progress=advance
            )
    record = {name: vectors.record[name] for name in ("settings", "problem")}
    checkpoint = _checkpoint(task, "filters", {**record, "filters": filters}, task.device)
    _tidy(task, "filters", keep=checkpoint)
    with progress_bar("filters", vectors.record["settings"]["epochs"]) as advance:
        return retrain_top_filters(
            vectors,
            task.layer,
            task.planes,
            task.train,
            filters=filters,
            device=task.device,
            progress=advance,
            checkpoint=checkpoint,
        )


def _checkpoint(task: Task, what: str, record: dict[str, Any], device: str) -> Path:
    """A name of its own for what is trained: another training's checkpoint is no obstacle."""
    told = repr((sorted(record.items(), key=lambda item: item[0]), device)).encode()
    return task.folder / f"{what}-{hashlib.blake2b(told, digest_size=4).hexdigest()}.safetensors"


def _tidy(task: Task, what: str, keep: Path | None = None) -> None:
    for path in task.folder.glob(f"{what}-*.safetensors"):
        if path != keep:
            path.unlink(missing_ok=True)
