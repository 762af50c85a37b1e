"""Labels chosen on some images and scored on others: a score that the choice of the best concept cannot flatter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect import scores
from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.chance.by_image import ImageCounts
from fastdissect.methods.chance.resampling import best_labels

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["held_out"]


def held_out(layer: LayerDissection, counts: ImageCounts, train: NDArray[np.bool_]) -> pd.DataFrame:
    """Choose every unit's label on the training images and score it on the others.

    Thresholds stay those of all images; no label took part in them.

    Args:
        counts: of the layer (`image_counts`).
        train: bool [images] (`splits_of`).

    Returns:
        DataFrame, a row a unit: unit, label (chosen on train), category, train_iou, val_iou (of that label),
        val_label (chosen on val), val_best_iou, same_label. A unit without any overlap has label "" and IoU
        0.

    Raises:
        SettingError: not one flag an image, or none, or all, of them for training.
    """
    import pandas as pd

    train = np.asarray(train)
    if train.dtype != np.bool_ or train.shape != (counts.images,) or train.all() or not train.any():
        raise SettingError(
            f"expected {counts.images:,} flags, True for train and False for val, and both of them; got {train.dtype} "
            f"{train.shape} with {int(np.count_nonzero(train)):,} True"
        )
    concepts = layer.concepts
    fit, test = counts.counts(train.astype(np.int64)), counts.counts((~train).astype(np.int64))
    column, iou = best_labels(layer, fit)
    other, best = best_labels(layer, test)
    rows = np.arange(len(column))
    val = scores.iou(test, concepts, layer.profile)
    scored = np.where(column >= 0, val[rows, column], 0.0) if len(concepts) else np.zeros(len(column))
    names, category = np.array([*concepts.names, ""], object), np.append(concepts.category, -1)
    groups = np.array([*concepts.categories, ""], object)
    table = pd.DataFrame(
        {
            "unit": rows,
            "label": names[column],
            "category": groups[category[column]],
            "train_iou": iou,
            "val_iou": scored,
            "val_label": names[other],
            "val_best_iou": best,
            "same_label": column == other,
        }
    )
    return table.astype(dict.fromkeys(("label", "category", "val_label"), "str"))
