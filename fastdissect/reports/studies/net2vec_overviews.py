"""In which order concepts stand, which of them are shown, and what the run calls the units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastdissect.methods.vectors import VectorStudy
from fastdissect.results import Dissection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["across_scores", "score_column", "unit_labels"]

_SCORES = ("iou_val", "accuracy_val", "ap_val")


def score_column(study: VectorStudy) -> str | None:
    """The column of the vectors' table by which concepts are ranked; None: there is none."""
    return next((name for name in _SCORES if name in study.vectors.table), None)


def across_scores(study: VectorStudy, count: int) -> list[int]:
    """Rows of concepts at evenly spaced ranks of the score, the best and the worst among them."""
    order = _order(study)
    ranks = np.round(np.linspace(0, len(order) - 1, min(count, len(order)))).astype(np.int64)
    return [order[rank] for rank in ranks.tolist()]


def unit_labels(study: VectorStudy, dissection: Dissection) -> pd.DataFrame | None:
    """The run's own labels (columns label, category, iou, detector), a row a unit; None: it has other units."""
    layer = dissection.get(study.vectors.layer)
    if layer is None or layer.units_count != study.vectors.units:
        return None
    return layer.units()


def _order(study: VectorStudy) -> list[int]:
    """Rows, best score first, unknown ones last."""
    score, rows = score_column(study), np.arange(len(study.vectors))
    if score is None:
        return [int(row) for row in rows]
    values = study.vectors.table[score].to_numpy(np.float64)
    return [int(row) for row in np.lexsort((rows, -np.nan_to_num(values, nan=-np.inf)))]
