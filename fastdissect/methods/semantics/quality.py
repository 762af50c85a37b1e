"""How well a vector tells its concept, beside the best single unit and the difference of the means (our formulation).

AP     average precision over the positions of val; chance is about one half, as there are as many of either kind
IoU    over all cells of the images that show the concept (METHODS 3.3, at the layer's resolution: a cell counts by the
       share of it that the concept covers), at the cut that is best on train

The best single unit is chosen on train, for AP and for IoU each, among the few whose means lie farthest apart; a unit
that is low where the concept is counts with its sign turned.
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

__all__ = ["COLUMNS", "QUANTILE", "Quality", "table_of"]

COLUMNS = (
    *("concept", "number", "category", "train_images", "val_images"),
    *("train_positives", "train_negatives", "val_positives", "val_negatives"),
    *("ap_train", "ap_val", "difference_ap", "single_ap", "control", "represented", "single_unit", "single_sign"),
    *("slope", "effective_units", "cut", "iou_train", "iou_val", "single_iou", "single_iou_unit"),
)  # fmt: skip

QUANTILE = 0.95  # of the control: an average precision that is not above it is no representation
_SHORTLIST = 8  # units whose means lie farthest apart: ranking all of a wide layer's would take longer than the vectors
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
    represented; single_unit, single_sign (1 or -1), single_ap (val); difference_ap (of the difference of the means, val);
    slope; effective_units (participation ratio); cut, iou_train, iou_val; single_iou_unit (-1: none), single_iou (val).
    NaN: without positions of both kinds in val; IoU also of a map of one cell, and of labels of whole images.
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
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"concept": "str", "category": "str"})


class _Single(NamedTuple):
    unit: int
    sign: float  # -1: low where the concept is


def _measured(quality: Quality, i: int, train: Drawn, val: Drawn, number: int) -> dict[str, Any]:
    u, bias = quality.unit[i], quality.bias[i]
    positives, negatives = quality.values(train.positives), quality.values(train.negatives)
    difference = positives.mean(0) - negatives.mean(0)
    values = np.concatenate([positives, negatives])
    told = np.arange(len(values)) < len(positives)
    few = _shortlist(positives, negatives)
    single = max(few, key=lambda one: float(average_precision(one.sign * values[:, one.unit], told)))
    return {
        "ap_train": float(average_precision(values @ u, told)),
        **_on_val(quality, u, difference, single, val, number),
        "slope": float(quality.slope[i]),
        "effective_units": float(1 / (u**4).sum()) if u.any() else _NAN,
        **_overlaps(quality, u, bias, few, train, val),
    }


def _shortlist(positives: Floats, negatives: Floats) -> list[_Single]:
    """The units whose means lie farthest apart, in units of their spread; the farthest first."""
    difference = positives.mean(0) - negatives.mean(0)
    spread = np.sqrt((positives.var(0) + negatives.var(0)) / 2)
    apart = np.divide(difference, spread, out=np.zeros(len(spread)), where=spread > 0)
    order = np.argsort(-np.abs(apart), kind="stable")[:_SHORTLIST]
    return [_Single(int(k), -1.0 if apart[k] < 0 else 1.0) for k in order]


def _overlaps(
    quality: Quality, u: Floats, bias: float, few: Sequence[_Single], train: Drawn, val: Drawn
) -> dict[str, float]:
    found = dict.fromkeys(("cut", "iou_train", "iou_val", "single_iou"), _NAN)
    if quality.pooled or (train.covered == 1).all():
        return found | {"single_iou_unit": -1}
    inside, outside = quality.values(train.inside), quality.values(val.inside)
    scores = inside @ u + bias
    cut = best_cut(scores, train.covered)
    by_unit = []
    for place, (unit, sign) in enumerate(few):
        own = best_cut(sign * inside[:, unit], train.covered)
        by_unit.append((iou_above(sign * inside[:, unit], train.covered, own), -place, own))
    _, place, own = max(by_unit)
    unit, sign = few[-place]
    return {
        "cut": cut,
        "iou_train": iou_above(scores, train.covered, cut),
        "iou_val": iou_above(outside @ u + bias, val.covered, cut),
        "single_iou_unit": unit,
        "single_iou": iou_above(sign * outside[:, unit], val.covered, own),
    }


def _on_val(
    quality: Quality, u: Floats, difference: Floats, single: _Single, val: Drawn, number: int
) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(("ap_val", "control", "difference_ap", "single_ap"), _NAN)
    if len(val.positives) and len(val.negatives):
        positions = np.concatenate([val.positives, val.negatives])
        order = np.argsort(
            positions, kind="stable"
        )  # by image: the control's shifts keep neighbours together
        told = (np.arange(len(positions)) < len(val.positives))[order]
        values = quality.values(positions[order])
        for name, scores in (
            ("ap_val", values @ u),
            ("difference_ap", values @ difference),
            ("single_ap", single.sign * values[:, single.unit]),
        ):
            found[name] = float(average_precision(scores, told))
        seed = (quality.seed, number, 9)
        found["control"] = chance_precision(values @ u, told, quality.shifts, QUANTILE, seed)
    found["represented"] = bool(found["ap_val"] > found["control"])
    return found | {"single_unit": single.unit, "single_sign": int(single.sign)}
