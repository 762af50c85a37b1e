"""Classification vectors: is the concept in the image, from the units' pooled activations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec.balanced_fit import Fit, PooledData, fit_concept
from fastdissect.methods.net2vec.checks import check_masks, checked_split
from fastdissect.methods.net2vec.classification_settings import ClassificationSettings
from fastdissect.methods.net2vec.filter_counts import FilterCounts
from fastdissect.methods.net2vec.problem import chosen_columns
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.net2vec.top_filters import checked_filters, largest
from fastdissect.types import Planes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FILTERS", "classification_top_filters", "classification_vectors"]

FILTERS = (1, 2, 3, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 80, 100, 128)  # and all K; the released code's


def classification_vectors(
    layer: LayerDissection,
    planes: Planes,
    train: NDArray[np.bool_],
    settings: ClassificationSettings | None = None,
    *,
    concepts: Sequence[str | int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> ConceptVectors:
    """Train f(x; w, b) = sigmoid(b + sum of w_k * mean of a_k(x)) for every concept.

    Binary cross-entropy on balanced draws: each epoch takes all positives of train and as many negatives, drawn without
    replacement (where positives are more, they are drawn). Accuracy is at 0.5, chance is 0.5: over the last epoch's draw,
    and over one fixed balanced draw of val.

    Args:
        layer: of a run that kept its means (or maxima).
        planes: of the run's images: an image shows a concept where it has a pixel of it.
        train: bool [images]. concepts: names or numbers; None: all.
        progress: is told the number of concepts done.

    Returns:
        ConceptVectors of kind "classification" with a bias. table: concept, number, category, train_images, val_images
        (positives), accuracy_train, accuracy_val, loss_train, loss_val, single_unit (the largest |w|), single_weight,
        one_image, no_val.

    Raises:
        SettingError: the run kept no means; unknown concepts. DataError: planes of other images.

    Source: Net2Vec (Fong & Vedaldi 2018), section 3.2, and the published runs' settings (METHODS 3.6).
    """
    chosen = settings or ClassificationSettings()
    found = pooled_data(layer, planes, train, chosen)
    columns = chosen_columns(layer.concepts, concepts)
    skipped, kept = _skipped(layer, found, columns, chosen.min_train)
    fits = []
    for column in kept:
        fits.append(fit_concept(found, column, int(layer.concepts.numbers[column]), chosen, None))
        if progress is not None:
            progress(1)
    units = layer.units_count
    weights = np.array([fit.weights for fit in fits], np.float32).reshape(len(kept), units)
    return ConceptVectors(
        kind="classification",
        layer=layer.name,
        numbers=layer.concepts.numbers[kept],
        names=tuple(layer.concepts.names[c] for c in kept),
        category=layer.concepts.category[kept],
        categories=layer.concepts.categories,
        weights=weights,
        bias=np.array([fit.bias for fit in fits], np.float32),
        table=_table(layer, found, kept, fits, weights),
        skipped=skipped,
        record={
            "method": "Net2Vec classification (Fong & Vedaldi 2018)",
            "settings": dataclasses.asdict(chosen),
        },
    )


def classification_top_filters(
    vectors: ConceptVectors,
    layer: LayerDissection,
    planes: Planes,
    train: NDArray[np.bool_],
    *,
    filters: Sequence[int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> FilterCounts:
    """Retrain with the F filters of largest |w|, for each F, from the same draws; F = 1 is the "top filter" baseline.

    Raises:
        SettingError: vectors of another kind or layer; F that are no numbers from 1 to K.

    Source: METHODS 3.5, 3.6.
    """
    import pandas as pd

    if vectors.kind != "classification" or vectors.layer != layer.name or vectors.units != layer.units_count:
        raise SettingError(
            f"expected classification vectors of layer {layer.name!r} with {layer.units_count:,} units; got {vectors!r}"
        )
    settings = ClassificationSettings(**vectors.record["settings"])
    found, units = pooled_data(layer, planes, train, settings), layer.units_count
    sizes = checked_filters(filters, units, FILTERS)
    columns = chosen_columns(layer.concepts, [int(n) for n in vectors.numbers])
    order, rows = largest(vectors.weights), []
    weights = {size: np.zeros((len(columns), units), np.float32) for size in sizes}
    for i, column in enumerate(columns):
        number = int(vectors.numbers[i])
        for size in sizes:
            fit = fit_concept(found, column, number, settings, np.sort(order[i, :size]))
            weights[size][i] = fit.weights
            rows.append((vectors.names[i], number, size, fit.accuracy_train, fit.accuracy_val))
        if progress is not None:
            progress(1)
    table = pd.DataFrame(rows, columns=["concept", "number", "filters", "train", "val"])
    return FilterCounts("accuracy", units, vectors.names, table.astype({"concept": "str"}), weights)


def pooled_data(
    layer: LayerDissection, planes: Planes, train: Any, settings: ClassificationSettings
) -> PooledData:
    pooled = layer.means if settings.pooling == "mean" else layer.maxima
    if pooled is None:
        raise SettingError(
            f"layer {layer.name!r}: classification vectors need each image's {settings.pooling}, which this run did not "
            "keep; run `fastdissect run` again without --no-activations (activations=True)"
        )
    flags = checked_split(train, layer)
    check_masks(layer, planes)
    shows = np.zeros((planes.images, len(layer.concepts)), np.bool_)
    image = np.repeat(np.arange(planes.images), np.diff(planes.plane_start))
    held = planes.pixels > 0
    shows[image[held], planes.concept[held]] = True
    x = np.ascontiguousarray(pooled, np.float32)
    return PooledData(np.where(np.isnan(x), np.float32(0), x), shows, flags)


def _skipped(
    layer: LayerDissection, data: PooledData, columns: NDArray[np.int64], least: int
) -> tuple[tuple[tuple[str, str], ...], NDArray[np.int64]]:
    skipped, kept = [], []
    for column in columns:
        own = data.shows[:, column]
        positive, negative = np.count_nonzero(own & data.train), np.count_nonzero(~own & data.train)
        name = layer.concepts.names[column]
        if positive == 0:
            held = np.count_nonzero(own)
            where = f"{held:,} for validation" if held else "none at all"
            skipped.append((name, f"no images for training show it ({where})"))
        elif positive < least:
            skipped.append((name, f"only {positive:,} images for training show it, fewer than {least:,}"))
        elif negative == 0:
            skipped.append((name, "all images for training show it: there are no negatives"))
        else:
            kept.append(column)
    return tuple(skipped), np.array(kept, np.int64)


def _table(
    layer: LayerDissection,
    data: PooledData,
    columns: NDArray[np.int64],
    fits: list[Fit],
    weights: NDArray[np.float32],
) -> pd.DataFrame:
    import pandas as pd

    concepts = layer.concepts
    train = np.count_nonzero(data.shows[data.train][:, columns], axis=0)
    val = np.count_nonzero(data.shows[~data.train][:, columns], axis=0)
    best = largest(weights)[:, 0] if len(columns) else np.zeros(0, np.int64)
    scores = {
        name: np.array([getattr(fit, name) for fit in fits], np.float64)
        for name in ("accuracy_train", "accuracy_val", "loss_train", "loss_val")
    }
    table = pd.DataFrame(
        {
            "concept": np.array([concepts.names[c] for c in columns], object),
            "number": concepts.numbers[columns],
            "category": np.array([concepts.categories[concepts.category[c]] for c in columns], object),
            "train_images": train,
            "val_images": val,
            **scores,
            "single_unit": best,
            "single_weight": weights[np.arange(len(best)), best],
            "one_image": train == 1,
            "no_val": np.isnan(scores["accuracy_val"]),
        }
    )
    return table.astype({"concept": "str", "category": "str"})
