"""How many filters a concept needs: retraining with the F of largest weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec.filter_counts import FilterCounts
from fastdissect.methods.net2vec.problem import Problem, make_problem
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.net2vec.settings import SegmentationSettings, first_weights
from fastdissect.methods.net2vec.training import Trained, predict, train_tasks
from fastdissect.types import Planes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FILTERS", "checked_filters", "largest", "retrain_top_filters"]

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
    if vectors.kind != "segmentation" or vectors.layer != layer.name or vectors.units != layer.units_count:
        raise SettingError(
            f"expected segmentation vectors of layer {layer.name!r} with {layer.units_count:,} units; got {vectors!r}"
        )
    settings = SegmentationSettings(**vectors.record["settings"])
    sizes = checked_filters(filters, layer.units_count, FILTERS)
    problem = make_problem(layer, planes, train, settings, [int(n) for n in vectors.numbers])
    if problem.digest != vectors.record["problem"]:
        raise SettingError(
            "expected the images, masks and split that the vectors were trained on; they are others; train the vectors "
            "again"
        )
    fewer = [size for size in sizes if size < layer.units_count]
    units, count = layer.units_count, len(problem)
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
        checkpoint=None if checkpoint is None else Path(checkpoint),
    )
    table = _table(problem, vectors, trained, concept, np.tile(fewer, count))
    weights = {size: trained.weights[i :: len(fewer)] for i, size in enumerate(fewer)}
    return FilterCounts("iou", units, vectors.names, table, {**weights, units: vectors.weights})


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


def _table(
    problem: Problem,
    vectors: ConceptVectors,
    trained: Trained,
    concept: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> pd.DataFrame:
    import pandas as pd

    found = {}
    for name, train in (("train", True), ("val", False)):
        start, shared, union = predict(problem, concept, trained, train=train)
        sums = [_sums(values, start) for values in (shared, union)]
        found[name] = np.where(np.diff(start) > 0, sums[0] / (sums[1] + 1e-20), np.nan)
    names = np.array(vectors.names, object)
    rows = pd.DataFrame(
        {
            "concept": names[concept],
            "number": vectors.numbers[concept],
            "filters": sizes,
            "train": found["train"],
            "val": found["val"],
        }
    )
    whole = pd.DataFrame(
        {
            "concept": names,
            "number": vectors.numbers,
            "filters": np.full(len(names), vectors.units),
            "train": vectors.table["iou_train"].to_numpy(),
            "val": vectors.table["iou_val"].to_numpy(),
        }
    )
    both = pd.concat([rows, whole]) if len(rows) else whole
    place = {int(n): i for i, n in enumerate(vectors.numbers)}
    order = np.lexsort((both["filters"], both["number"].map(place)))
    return both.iloc[order].reset_index(drop=True).astype({"concept": "str"})


def _sums(values: NDArray[np.int64], start: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.concatenate([[0], np.cumsum(values)])
    sums: NDArray[np.int64] = total[start[1:]] - total[start[:-1]]
    return sums
