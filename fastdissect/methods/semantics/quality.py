"""How well a vector tells its concept, beside the best single unit and the difference of the means.

AP     average precision over the positions of val; chance is about one half, as there are as many of either kind
IoU    over all cells of the images that show the concept (METHODS 3.3, at the layer's resolution: a cell counts by the
       share of it that the concept covers), at the cut that is best on train
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.semantics.gathering import Features
from fastdissect.methods.semantics.positions import Drawn
from fastdissect.methods.semantics.precision import average_precision, best_cut, chance_precision, iou_above
from fastdissect.types import Concepts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["QUANTILE", "Quality", "table_of"]

QUANTILE = 0.95  # of the control: an average precision that is not above it is no representation
_NAN = float("nan")
Floats = NDArray[np.float64]


class Quality(NamedTuple):
    """What the vectors are measured by."""

    features: Features
    unit: Floats  # [concepts, units], u
    bias: Floats  # [concepts], of u.a + bias
    slope: Floats  # [concepts], what u.a + bias is multiplied by to be log odds
    shifts: int
    seed: int
    pooled: bool  # a map of one cell: every image that shows the concept is that cell, and IoU says nothing

    def values(self, positions: NDArray[np.int64]) -> Floats:
        return self.features.values[self.features.rows(positions)].astype(np.float64)


def table_of(
    quality: Quality, concepts: Concepts, columns: NDArray[np.int64], drawn: Sequence[tuple[Drawn, Drawn]]
) -> pd.DataFrame:
    """Return a row a concept.

    Columns: concept, number, category; train_images, val_images (that show it); train_positives, train_negatives,
    val_positives, val_negatives (positions); ap_train, ap_val, control (the 95 % quantile under shifted labels),
    represented; cut, iou_train, iou_val; slope; effective_units (participation ratio); difference_ap (of the difference
    of the means, val); single_unit (the one whose means lie farthest apart on train), single_ap, single_iou (val).
    NaN: without positions of both kinds in val.
    """
    import pandas as pd

    rows = []
    for i, (column, (train, val)) in enumerate(zip(columns.tolist(), drawn, strict=True)):
        head = {
            "concept": concepts.names[column],
            "number": int(concepts.numbers[column]),
            "category": concepts.categories[concepts.category[column]],
            "train_images": train.images,
            "val_images": val.images,
            "train_positives": len(train.positives),
            "train_negatives": len(train.negatives),
            "val_positives": len(val.positives),
            "val_negatives": len(val.negatives),
        }
        rows.append(head | _measured(quality, i, train, val, int(concepts.numbers[column])))
    table = pd.DataFrame(rows)
    return table.astype({"concept": "str", "category": "str"})


def _measured(quality: Quality, i: int, train: Drawn, val: Drawn, number: int) -> dict[str, Any]:
    u, bias = quality.unit[i], quality.bias[i]
    positives, negatives = quality.values(train.positives), quality.values(train.negatives)
    difference = positives.mean(0) - negatives.mean(0)
    spread = np.sqrt((positives.var(0) + negatives.var(0)) / 2)
    apart = np.divide(difference, spread, out=np.zeros(len(u)), where=spread > 0)
    single = int(np.argmax(np.abs(apart)))
    sign = -1.0 if apart[single] < 0 else 1.0
    told = np.r_[np.ones(len(positives), bool), np.zeros(len(negatives), bool)]
    found: dict[str, Any] = {
        "ap_train": float(average_precision(np.concatenate([positives, negatives]) @ u, told)),
        **_on_val(quality, u, difference, single, sign, val, number),
        "slope": float(quality.slope[i]),
        "effective_units": float(1 / (u**4).sum()) if u.any() else _NAN,
    }
    return found | _overlaps(quality, u, bias, single, sign, train, val)


def _overlaps(
    quality: Quality, u: Floats, bias: float, single: int, sign: float, train: Drawn, val: Drawn
) -> dict[str, float]:
    names = ("cut", "iou_train", "iou_val", "single_iou")
    if quality.pooled or (train.covered == 1).all():
        return dict.fromkeys(names, _NAN)
    inside, outside = quality.values(train.inside), quality.values(val.inside)
    scores = inside @ u + bias
    cut = best_cut(scores, train.covered)
    own = best_cut(sign * inside[:, single], train.covered)
    values = (
        cut,
        iou_above(scores, train.covered, cut),
        iou_above(outside @ u + bias, val.covered, cut),
        iou_above(sign * outside[:, single], val.covered, own),
    )
    return dict(zip(names, values, strict=True))


def _on_val(
    quality: Quality, u: Floats, difference: Floats, single: int, sign: float, val: Drawn, number: int
) -> dict[str, Any]:
    names = ("ap_val", "control", "difference_ap", "single_ap")
    found: dict[str, Any] = dict.fromkeys(names, _NAN)
    if len(val.positives) and len(val.negatives):
        positions = np.concatenate([val.positives, val.negatives])
        order = np.argsort(
            positions, kind="stable"
        )  # by image: the control's shifts keep neighbours together
        told = (np.arange(len(positions)) < len(val.positives))[order]
        values = quality.values(positions[order])
        scores = values @ u
        control = chance_precision(scores, told, quality.shifts, QUANTILE, (quality.seed, number, 9))
        of = (scores, None, values @ difference, sign * values[:, single])
        found = {
            n: _NAN if s is None else float(average_precision(s, told))
            for n, s in zip(names, of, strict=True)
        }
        found["control"] = control
    found["represented"] = bool(found["ap_val"] > found["control"])
    found["single_unit"] = single
    return found
