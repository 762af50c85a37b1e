"""Segmentation vectors: for each concept the combination of units whose mask lies best on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels.selection import host_backend
from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec.baseline import SingleFilters, single_filters
from fastdissect.methods.net2vec.image_scores import ImageScores
from fastdissect.methods.net2vec.problem import Problem, make_problem
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.net2vec.settings import SegmentationSettings, first_weights
from fastdissect.methods.net2vec.training import Trained, predict, train_tasks
from fastdissect.types import Planes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["segmentation_vectors", "train_segmentation"]


def segmentation_vectors(
    layer: LayerDissection,
    planes: Planes,
    train: NDArray[np.bool_],
    settings: SegmentationSettings | None = None,
    *,
    concepts: Sequence[str | int] | None = None,
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
    checkpoint: str | Path | None = None,
) -> ConceptVectors:
    """Train a vector of units for every concept, all concepts together, from a run's sparse activations.

        M(x; w) = sigmoid(up(sum of w_k Z_k(x))),   Z_k = 1[a_k > T_k] at the layer's resolution

    The network is not needed. A concept's weights depend on its own images alone: training a subset gives the same.

    Args:
        layer: of a run that kept its activations.
        planes: of the run's images (`methods.chance.planes_of`); with `first_category`, `first_category_planes` of them.
        train: bool [images] (`methods.chance.splits_of`); vectors are trained on these and reported on the others.
        settings: the released code's, if not given.
        concepts: names or numbers; None: all with pixel masks.
        device: "cpu" (compiled kernel), or a torch device.
        progress: is told the number of epochs done.
        checkpoint: a file from which the same call goes on after it was stopped.

    Returns:
        ConceptVectors of kind "segmentation", with the images' scores.

    Memory: that of `make_problem` (what a run keeps of its activations), 13 bytes a concept and unit while training, and
    56 bytes a concept and image that shows it. Nothing has images x units x pixels.

    Raises:
        SettingError: no activations (the message says which command keeps them), unknown concepts, bad settings.
        DataError: planes of other images. OutputError: the checkpoint.

    Example:
        >>> d = fd.load("out")                                                              # doctest: +SKIP
        >>> train = splits_of(run_images(d), d.image_names).train                           # doctest: +SKIP
        >>> segmentation_vectors(d["conv5"], planes_of(d), train).table                     # doctest: +SKIP

    Source: Net2Vec (Fong & Vedaldi 2018), section 3.1, and its released code (METHODS 3.1 to 3.4). Our choices: the
    concept's mask is the OR over all its categories; the learning rate is scaled by the masks' area.
    """
    chosen = settings or SegmentationSettings()
    problem = make_problem(layer, planes, train, chosen, concepts)
    where = None if checkpoint is None else Path(checkpoint)
    return train_segmentation(problem, chosen, device=device, progress=progress, checkpoint=where)


def train_segmentation(
    problem: Problem,
    settings: SegmentationSettings,
    *,
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
    checkpoint: Path | None = None,
) -> ConceptVectors:
    """As `segmentation_vectors`, of a problem made before."""
    every, units = np.arange(len(problem)), problem.layer.units_count
    start = first_weights(settings, problem.numbers, units)
    kept = np.ones((len(problem), units), np.bool_)
    trained = train_tasks(
        problem, settings, every, kept, start, device=device, progress=progress, checkpoint=checkpoint
    )
    images = score_images(problem, trained)
    concepts = problem.concepts
    record: dict[str, Any] = {
        "method": "Net2Vec segmentation (Fong & Vedaldi 2018)",
        "settings": settings.record(),
        "learning_rate_used": settings.rule(problem.targets.mask_pixels).rate,
        "mask_size": list(problem.upsampling.size),
        "problem": problem.digest,
        "device": device,
        "backend": host_backend().name if device == "cpu" else "torch",
    }
    return ConceptVectors(
        kind="segmentation",
        layer=problem.layer.name,
        numbers=problem.numbers,
        names=problem.names,
        category=concepts.category[problem.targets.columns],
        categories=concepts.categories,
        weights=trained.weights,
        bias=trained.bias,
        table=_table(problem, images, single_filters(problem)),
        skipped=problem.skipped,
        record=record,
        images=images,
    )


def score_images(problem: Problem, trained: Trained) -> ImageScores:
    """IoU_ind's pixels of every concept in every image that shows it."""
    every = np.arange(len(problem))
    parts = []
    for train in (True, False):
        start, shared, union = predict(problem, every, trained, train=train)
        shown = problem.targets.train if train else problem.targets.val
        concept = np.repeat(every, np.diff(start))
        parts.append((concept, shown.image, np.full(len(concept), train), shared, union))
    concept, image, split, shared, union = (np.concatenate(one) for one in zip(*parts, strict=True))
    order = np.lexsort((image, concept))
    return ImageScores(concept[order], image[order], split[order], shared[order], union[order])


def _table(problem: Problem, images: ImageScores, single: SingleFilters) -> pd.DataFrame:
    import pandas as pd

    count, row = len(problem), np.arange(len(problem))
    concepts, columns = problem.concepts, problem.targets.columns
    train, val = problem.targets.counts(True), problem.targets.counts(False)
    iou_train, iou_val = images.iou_set(count, True), images.iou_set(count, False)
    active = _active_images(problem)
    table = pd.DataFrame(
        {
            "concept": np.array(problem.names, object),
            "number": problem.numbers,
            "category": np.array([concepts.categories[q] for q in concepts.category[columns]], object),
            "train_images": train,
            "val_images": val,
            "iou_train": iou_train,
            "iou_val": iou_val,
            "single_unit": single.best,
            "single_iou_train": single.train[single.best, row],
            "single_iou_val": single.val[single.best, row],
            "alpha": problem.targets.alpha(),
            "one_image": train == 1,  # allowed, but its vector is that image's
            "no_val": val == 0,
            "nothing_active": active == 0,  # the gradient is 0: the weights are still the random first ones
            "zero_val": (val > 0) & (iou_val == 0),  # its neighbours mean nothing
        }
    )
    return table.astype({"concept": "str", "category": "str"})


def _active_images(problem: Problem) -> NDArray[np.int64]:
    """Training images of each concept in which any unit is active, int64 [concepts]."""
    shown = problem.targets.train
    any_cell = np.diff(problem.cells.image_start)[shown.image] > 0
    concept = np.repeat(np.arange(len(problem)), np.diff(shown.concept_start))
    return np.bincount(concept[any_cell], minlength=len(problem))
