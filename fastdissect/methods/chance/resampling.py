"""Bootstrap over images: how far would a unit's score and label move with another sample of images?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect import labels, scores
from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.chance.by_image import ImageCounts
from fastdissect.methods.chance.level import check_count
from fastdissect.types import Counts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Bootstrap", "best_labels", "bootstrap"]


def best_labels(layer: LayerDissection, counts: Counts) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return every unit's best concept under other counts: its column (-1: no overlap), and its IoU (METHODS 1.5)."""
    found = labels.label_units(
        scores.iou(counts, layer.concepts, layer.profile), layer.concepts, layer.profile
    )
    rows = np.arange(len(found.best))
    if not layer.concepts.categories:
        return np.full(len(rows), -1), np.zeros(len(rows))
    return found.column[rows, found.best], found.score[rows, found.best]


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Best IoU and label of every unit in every replicate."""

    layer: LayerDissection
    iou: NDArray[np.float64]  # [replicates, units]
    column: NDArray[np.int32]  # [replicates, units], -1: no overlap with any concept
    confidence: float
    seed: int

    def table(self) -> pd.DataFrame:
        """Return a row a unit: unit, label, category, iou, low, high, stability, other, other_share.

        low and high bound the percentile interval (Efron 1979) of the best IoU, whatever concept it is of.
        stability is the share of replicates with the unit's own label; `other` is the most frequent other one
        ("" where there is none), with its share.
        """
        units = self.layer.units()[["unit", "label", "category", "iou"]].copy()
        own, _ = best_labels(self.layer, self.layer.counts)
        half = (1 - self.confidence) / 2
        units["low"], units["high"] = np.quantile(self.iou, [half, 1 - half], axis=0)
        units["stability"] = (self.column == own).mean(0)
        names = [*self.layer.concepts.names, ""]
        rivals = [_rival(column, label) for column, label in zip(self.column.T, own, strict=True)]
        units["other"] = np.array([names[rival] for rival, _ in rivals], object)
        units["other_share"] = [share for _, share in rivals]
        return units.astype({"other": "str"})


def _rival(column: NDArray[np.int32], own: int) -> tuple[int, float]:
    """The most frequent label but the unit's own, and its share; of equals the lower column."""
    found, count = np.unique(column[column != own], return_counts=True)
    if not len(found):
        return -1, 0.0
    first = int(count.argmax())
    return int(found[first]), float(count[first]) / len(column)


def bootstrap(
    layer: LayerDissection,
    counts: ImageCounts,
    *,
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Bootstrap:
    """Draw as many images as there are, with replacement, again and again, and label every unit each time.

    Thresholds stay those of the run: what varies is which images are looked at, not where a unit's mask begins. The
    best of many concepts is biased upward in a sample, and in a replicate once more: for a unit without a clear label
    most of the interval lies above the observed score. It tells how stable a score is, not how far it is from chance
    (`chance_level` does).

    Args:
        counts: of the layer (`image_counts`).
        replicates: 1000 or more for intervals. confidence: of the intervals.
        seed: replicate i draws the i-th `integers(0, images, images)` of `numpy.random.default_rng(seed)`.
        progress: is told the number of replicates done.

    Raises:
        SettingError: a number out of its range, or counts of another number of images.

    Example:
        >>> bootstrap(layer, image_counts(layer, planes)).table().head()     # doctest: +SKIP

    Source: the bootstrap (Efron 1979) with images as the sample; our formulation for labels.
    """
    check_count("replicates", replicates)
    if not 0 < confidence < 1:
        raise SettingError(f"expected a confidence between 0 and 1, such as 0.95; got {confidence!r}")
    images = layer.shape[0]
    if counts.images != images:
        raise SettingError(f"expected counts of the layer's {images:,} images; got {counts.images:,}")
    rng = np.random.default_rng(seed)
    best = np.zeros((replicates, layer.units_count))
    column = np.full((replicates, layer.units_count), -1, np.int32)
    for i in range(replicates):
        weights = np.bincount(rng.integers(0, images, images), minlength=images)
        column[i], best[i] = best_labels(layer, counts.counts(weights))
        if progress is not None:
            progress(1)
    return Bootstrap(layer, best, column, confidence, seed)
