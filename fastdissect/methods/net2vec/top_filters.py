"""How many filters a concept needs: retraining with the F of largest weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec.filter_counts import FilterCounts
from fastdissect.methods.net2vec.image_scores import EPSILON
from fastdissect.methods.net2vec.problem import Problem, make_problem
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.net2vec.sealed_file import array_digest
from fastdissect.methods.net2vec.settings import SegmentationSettings, first_weights, read_settings
from fastdissect.methods.net2vec.training import Trained, predict, train_tasks
from fastdissect.types import Planes

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FILTERS",
    "check_kind",
    "checked_filters",
    "largest",
    "retrain_filters",
    "retrain_top_filters",
    "scores_table",
]

FILTERS = (1, 2, 4, 8, 16, 32, 64, 128, 160, 192, 224)  # and all K; the released code's


def retrain_top_filters(
    vectors: ConceptVectors,
    layer: LayerDissection,
    planes: Planes,
    train: NDArray[np.bool_],
    *,
    filters: Sequence[int] | None = None,
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
    checkpoint: str | Path | None = None,
) -> FilterCounts:
    """Keep the F filters of largest |w|, set the others to 0 and train anew from the same first weights, for each F.

    All concepts and all F train together. At F = K nothing is left out: that is the vector itself, not trained again.

    Args:
        vectors: of kind "segmentation", of this layer, with the settings that they were trained with.
        layer, planes, train: as they were.
        filters: numbers F; the released code's, cut to K. K always belongs to them.
        device, progress, checkpoint: as for `segmentation_vectors`.

    Raises:
        SettingError: vectors of another kind or layer, F that are no numbers from 1 to K.

    Source: Net2Vec (Fong & Vedaldi 2018), section 4, and its released code (METHODS 3.5). Equal |w|: the lower unit first
    (our choice; the released code leaves it open).
    """
    check_kind(vectors, "segmentation", layer)
    settings = read_settings(SegmentationSettings, vectors.record)
    sizes = checked_filters(filters, layer.units_count, FILTERS)
    problem = make_problem(layer, planes, train, settings, [int(n) for n in vectors.numbers])
    where = None if checkpoint is None else Path(checkpoint)
    return retrain_filters(
        problem, settings, vectors, sizes, device=device, progress=progress, checkpoint=where
    )


def retrain_filters(
    problem: Problem,
    settings: SegmentationSettings,
    vectors: ConceptVectors,
    sizes: Sequence[int],
    *,
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
    checkpoint: Path | None = None,
) -> FilterCounts:
    """As `retrain_top_filters`, of a problem made before.

    Memory: 13 bytes a concept, F and unit, and 48 bytes a concept and image that shows it.
    """
    if problem.digest != vectors.record.get("problem"):
        raise SettingError(
            "expected the images, masks and split that the vectors were trained on; they are others; train the vectors "
            "again"
        )
    units, count = vectors.units, len(problem)
    fewer = [size for size in sizes if size < units]
    concept = np.repeat(np.arange(count), len(fewer))
    order = largest(vectors.weights)
    kept = np.zeros((count, len(fewer), units), np.bool_)
    for i, size in enumerate(fewer):
        np.put_along_axis(kept[:, i], order[:, :size], True, axis=1)
    start = first_weights(settings, problem.numbers, units)[concept]
    trained = train_tasks(
        problem,
        settings,
        concept,
        kept.reshape(-1, units),
        start,
        device=device,
        progress=progress,
        checkpoint=checkpoint,
    )
    weights = {size: trained.weights[i :: len(fewer)] for i, size in enumerate(fewer)}
    bias = None
    if trained.bias is not None and vectors.bias is not None:
        bias = {size: trained.bias[i :: len(fewer)] for i, size in enumerate(fewer)} | {units: vectors.bias}
    scores = {
        size: _scores(problem, Trained(weights[size], None if bias is None else bias[size])) for size in fewer
    }
    scores[units] = tuple(vectors.table[f"iou_{split}"].to_numpy(np.float64) for split in ("train", "val"))
    return FilterCounts(
        "iou",
        units,
        vectors.names,
        scores_table(vectors, scores),
        {**weights, units: vectors.weights},
        bias,
        {"settings": settings.record(), "problem": problem.digest, "vectors": array_digest(vectors.weights)},
    )


def check_kind(vectors: ConceptVectors, kind: str, layer: LayerDissection) -> None:
    """Refuse vectors of another kind, layer or width."""
    if (vectors.kind, vectors.layer, vectors.units) != (kind, layer.name, layer.units_count):
        raise SettingError(
            f"expected {kind} vectors of layer {layer.name!r} with {layer.units_count:,} units; got {vectors!r}"
        )


def largest(weights: NDArray[np.float32]) -> NDArray[np.int64]:
    """Units by |w|, largest first, int64 [concepts, units]; equal ones by their number."""
    return np.argsort(-np.abs(weights), axis=1, kind="stable")


def checked_filters(filters: Sequence[int] | None, units: int, published: Sequence[int]) -> list[int]:
    """The list of F in rising order, K the last of them; the published one, as far as it goes, if none is given.

    Raises:
        SettingError: no whole numbers from 1 to K.
    """
    if filters is None:
        return sorted({*(size for size in published if size < units), units})
    given = list(filters)
    bad = [size for size in given if isinstance(size, bool) or not isinstance(size, (int, np.integer))]
    if bad or not given or min(given) < 1 or max(given) > units:
        raise SettingError(f"expected numbers of filters from 1 to {units:,}; got {given!r}")
    return sorted({*map(int, given), units})


def scores_table(
    vectors: ConceptVectors, scores: Mapping[int, tuple[NDArray[np.float64], ...]]
) -> pd.DataFrame:
    """The table of `FilterCounts`, from {F: (train, val)}, float64 [concepts] each."""
    import pandas as pd

    sizes, count = sorted(scores), len(vectors)
    train, val = (np.array([scores[size][i] for size in sizes]).reshape(-1, count).T for i in (0, 1))
    table = pd.DataFrame(
        {
            "concept": np.repeat(np.array([*vectors.names, ""], object)[:-1], len(sizes)),
            "number": np.repeat(vectors.numbers, len(sizes)),
            "filters": np.tile(np.array(sizes, np.int64), count),
            "train": train.reshape(-1),
            "val": val.reshape(-1),
        }
    )
    return table.astype({"concept": "str"})


def _scores(problem: Problem, trained: Trained) -> tuple[NDArray[np.float64], ...]:
    """IoU_set of every concept on train and val: one F at a time, so that few pairs are in memory."""
    found = []
    for train in (True, False):
        start, shared, union = predict(problem, np.arange(len(problem)), trained, train=train)
        sums = [_sums(values, start) for values in (shared, union)]
        found.append(np.where(np.diff(start) > 0, sums[0] / (sums[1] + EPSILON), np.nan))
    return tuple(found)


def _sums(values: NDArray[np.int64], start: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.concatenate([[0], np.cumsum(values)])
    sums: NDArray[np.int64] = total[start[1:]] - total[start[:-1]]
    return sums
