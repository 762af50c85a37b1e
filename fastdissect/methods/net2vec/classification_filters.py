"""How many filters a concept needs to be recognised: retraining with the F of largest weight."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec.balanced_fits import FitTask, fit_concepts
from fastdissect.methods.net2vec.classification_problem import ClassificationProblem, make_classification
from fastdissect.methods.net2vec.classification_settings import ClassificationSettings
from fastdissect.methods.net2vec.filter_counts import FilterCounts
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.net2vec.sealed_file import array_digest
from fastdissect.methods.net2vec.settings import read_settings
from fastdissect.methods.net2vec.top_filters import check_kind, checked_filters, largest, scores_table
from fastdissect.types import Planes

__all__ = ["FILTERS", "classification_top_filters", "retrain_classification"]

FILTERS = (1, 2, 3, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 80, 100, 128)  # and all K; the released code's


def classification_top_filters(
    vectors: ConceptVectors,
    layer: LayerDissection,
    planes: Planes,
    train: NDArray[np.bool_],
    *,
    filters: Sequence[int] | None = None,
    progress: Callable[[int], None] | None = None,
    checkpoint: str | Path | None = None,
) -> FilterCounts:
    """Retrain with the F filters of largest |w|, for each F, from the same draws; F = 1 is the "top filter" baseline.

    Args:
        progress: is told the number of concepts and F done. checkpoint: as for `classification_vectors`.

    Raises:
        SettingError: vectors of another kind, layer or data; F that are no numbers from 1 to K.

    Source: METHODS 3.5, 3.6.
    """
    check_kind(vectors, "classification", layer)
    settings = read_settings(ClassificationSettings, vectors.record)
    sizes = checked_filters(filters, layer.units_count, FILTERS)
    problem = make_classification(layer, planes, train, settings, [int(n) for n in vectors.numbers])
    where = None if checkpoint is None else Path(checkpoint)
    return retrain_classification(problem, vectors, sizes, progress=progress, checkpoint=where)


def retrain_classification(
    problem: ClassificationProblem,
    vectors: ConceptVectors,
    sizes: Sequence[int],
    *,
    progress: Callable[[int], None] | None = None,
    checkpoint: Path | None = None,
) -> FilterCounts:
    """As `classification_top_filters`, of a problem made before."""
    if problem.digest != vectors.record.get("problem") or vectors.bias is None:
        raise SettingError(
            "expected the images and split that the vectors were trained on; they are others; train the vectors again"
        )
    units, order = vectors.units, largest(vectors.weights)
    fewer = [size for size in sizes if size < units]
    tasks = [
        FitTask(int(column), int(number), np.sort(order[i, :size]))
        for i, (column, number) in enumerate(zip(problem.columns, problem.numbers, strict=True))
        for size in fewer
    ]
    fits = fit_concepts(problem.data, problem.settings, tasks, progress=progress, checkpoint=checkpoint)
    own = {size: slice(i, None, len(fewer)) for i, size in enumerate(fewer)}
    scores = {size: (fits.scores[at, 2], fits.scores[at, 3]) for size, at in own.items()}
    scores[units] = tuple(
        vectors.table[f"accuracy_{split}"].to_numpy(np.float64) for split in ("train", "val")
    )
    return FilterCounts(
        "accuracy",
        units,
        vectors.names,
        scores_table(vectors, scores),
        {size: fits.weights[at] for size, at in own.items()} | {units: vectors.weights},
        {size: fits.bias[at] for size, at in own.items()} | {units: vectors.bias},
        {
            "settings": dataclasses.asdict(problem.settings),
            "problem": problem.digest,
            "vectors": array_digest(vectors.weights),
        },
    )
