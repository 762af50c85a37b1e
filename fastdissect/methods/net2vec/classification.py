"""Classification vectors: is the concept in the image, from the units' pooled activations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec.balanced_fits import Fits, FitTask, fit_concepts
from fastdissect.methods.net2vec.classification_problem import ClassificationProblem, make_classification
from fastdissect.methods.net2vec.classification_settings import ClassificationSettings
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.net2vec.top_filters import largest
from fastdissect.types import Planes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["classification_vectors", "train_classification"]


def classification_vectors(
    layer: LayerDissection,
    planes: Planes,
    train: NDArray[np.bool_],
    settings: ClassificationSettings | None = None,
    *,
    concepts: Sequence[str | int] | None = None,
    progress: Callable[[int], None] | None = None,
    checkpoint: str | Path | None = None,
) -> ConceptVectors:
    """Train f(x; w, b) = sigmoid(b + sum of w_k * mean of a_k(x)) for every concept.

    Binary cross-entropy on balanced draws: each epoch takes all positives of train and as many negatives, drawn without
    replacement (where positives are more, they are drawn). Accuracy is at 0.5, chance is 0.5: over the last epoch's draw,
    and over one fixed balanced draw of val. A concept's weights depend on its own draws alone: training a subset gives
    the same.

    Args:
        layer: of a run that kept its means (or maxima). A map without a usable cell (nan="omit") counts as 0.
        planes: of the run's images: an image shows a concept where it has a pixel of it.
        train: bool [images]. concepts: names or numbers; None: all.
        progress: is told the number of concepts done.
        checkpoint: a file from which the same call goes on after it was stopped.

    Returns:
        ConceptVectors of kind "classification" with a bias. table: concept, number, category, train_images, val_images
        (positives), accuracy_train, accuracy_val, loss_train, loss_val, single_unit (the largest |w|), single_weight,
        one_image, no_val (no balanced draw of val: without positives or without negatives there).

    Memory: 5 bytes an image and unit, 1 byte an image and concept; nothing has pixels.

    Raises:
        SettingError: the run kept no means; unknown concepts. DataError: planes of other images.
        OutputError: the checkpoint.

    Source: Net2Vec (Fong & Vedaldi 2018), section 3.2, and the published runs' settings (METHODS 3.6).
    """
    problem = make_classification(layer, planes, train, settings, concepts)
    where = None if checkpoint is None else Path(checkpoint)
    return train_classification(problem, progress=progress, checkpoint=where)


def train_classification(
    problem: ClassificationProblem,
    *,
    progress: Callable[[int], None] | None = None,
    checkpoint: Path | None = None,
) -> ConceptVectors:
    """As `classification_vectors`, of a problem made before."""
    concepts, columns = problem.layer.concepts, problem.columns
    tasks = [FitTask(int(c), int(n)) for c, n in zip(columns, problem.numbers, strict=True)]
    fits = fit_concepts(problem.data, problem.settings, tasks, progress=progress, checkpoint=checkpoint)
    return ConceptVectors(
        kind="classification",
        layer=problem.layer.name,
        numbers=problem.numbers,
        names=problem.names,
        category=concepts.category[columns],
        categories=concepts.categories,
        weights=fits.weights,
        bias=fits.bias,
        table=_table(problem, fits),
        skipped=problem.skipped,
        record={
            "method": "Net2Vec classification (Fong & Vedaldi 2018)",
            "settings": dataclasses.asdict(problem.settings),
            "problem": problem.digest,
        },
    )


def _table(problem: ClassificationProblem, fits: Fits) -> pd.DataFrame:
    import pandas as pd

    concepts, columns, data = problem.layer.concepts, problem.columns, problem.data
    train = np.count_nonzero(data.shows[data.train][:, columns], axis=0)
    val = np.count_nonzero(data.shows[~data.train][:, columns], axis=0)
    best = largest(fits.weights)[:, 0] if len(columns) else np.zeros(0, np.int64)
    table = pd.DataFrame(
        {
            "concept": np.array([concepts.names[c] for c in columns], object),
            "number": concepts.numbers[columns],
            "category": np.array([concepts.categories[concepts.category[c]] for c in columns], object),
            "train_images": train,
            "val_images": val,
            "accuracy_train": fits.scores[:, 2],
            "accuracy_val": fits.scores[:, 3],
            "loss_train": fits.scores[:, 0],
            "loss_val": fits.scores[:, 1],
            "single_unit": best,
            "single_weight": fits.weights[np.arange(len(best)), best],
            "one_image": train == 1,
            "no_val": np.isnan(fits.scores[:, 3]),
        }
    )
    return table.astype({"concept": "str", "category": "str"})
