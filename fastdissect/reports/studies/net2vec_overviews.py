"""Concepts and units in rows: scores, largest weights and neighbours in a line each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdissect.methods.vectors import VectorStudy
from fastdissect.results import Dissection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["across_scores", "concept_overview", "unit_labels", "unit_overview"]

_SCORES = ("iou_val", "accuracy_val", "ap_val")
_TITLES = {"iou_val": "IoU", "accuracy_val": "accuracy", "ap_val": "AP"}


def concept_overview(study: VectorStudy) -> pd.DataFrame:
    """Return a row a concept, best score first."""
    vectors, table = study.vectors, study.vectors.table
    shown = table[["concept", "category"]].copy()
    if study.scores is not None:
        shown["single filter"] = study.scores["single"].to_numpy()
    score = _score(study)
    if score is not None:
        shown[_TITLES[score]] = table[score]
    if study.needed is not None:
        shown["filters needed"] = [f"{n:,}" if n else "" for n in study.needed["needed"]]
    shown["largest weights"] = _lines(study.filters, "number", "unit", "weight", vectors.numbers, 5)
    shown["nearest"] = _lines(study.neighbours, "number", "neighbour", "cosine", vectors.numbers, 3)
    if not study.embedding.learned.all():
        shown["learned"] = np.where(study.embedding.learned, "", "no")
    return shown.iloc[_order(study)]


def unit_overview(study: VectorStudy, labels: Sequence[str]) -> pd.DataFrame:
    """Return a row a unit: its label in the run, and the concepts that it helps to encode.

    Args:
        labels: from `unit_labels`.
    """
    import pandas as pd

    every = range(study.vectors.units)
    table: dict[str, Any] = {"unit": list(every), "label": list(labels)}
    counts = study.units["unit"].value_counts()
    table["concepts"] = counts.reindex(every, fill_value=0).to_numpy()
    table["helps to encode"] = _lines(study.units, "unit", "concept", "weight", every, 6)
    if "single_unit" in study.vectors.table:
        single = study.vectors.table["single_unit"].value_counts()
        table["single filter of"] = single.reindex(every, fill_value=0).to_numpy()
    return pd.DataFrame(table)


def unit_labels(study: VectorStudy, dissection: Dissection) -> list[str]:
    """Each unit's label in the run where it is a detector, else ""."""
    layer = dissection.get(study.vectors.layer)
    if layer is None or layer.units_count != study.vectors.units:
        return [""] * study.vectors.units
    units = layer.units()
    return [str(label) if on else "" for label, on in zip(units["label"], units["detector"], strict=True)]


def across_scores(study: VectorStudy, count: int) -> list[int]:
    """Rows of concepts at evenly spaced ranks of the score, the best and the worst among them."""
    order = _order(study)
    ranks = np.round(np.linspace(0, len(order) - 1, min(count, len(order)))).astype(np.int64)
    return [order[rank] for rank in ranks.tolist()]


def _score(study: VectorStudy) -> str | None:
    return next((name for name in _SCORES if name in study.vectors.table), None)


def _order(study: VectorStudy) -> list[int]:
    """Rows, best score first, unknown ones last."""
    score, rows = _score(study), np.arange(len(study.vectors))
    if score is None:
        return [int(row) for row in rows]
    values = study.vectors.table[score].to_numpy(np.float64)
    return [int(row) for row in np.lexsort((rows, -np.nan_to_num(values, nan=-np.inf)))]


def _lines(
    table: pd.DataFrame, key: str, what: str, value: str, keys: Iterable[int], count: int
) -> list[str]:
    """For each key its first rows: "12 +0.44, 7 -0.31"."""
    sign = "+" if value == "weight" else ""
    found: dict[int, list[str]] = {}
    for one, name, number in zip(table[key], table[what], table[value], strict=True):
        words = found.setdefault(int(one), [])
        if len(words) < count:
            words.append(f"{name} {number:{sign}.2f}")
    return [", ".join(found.get(int(one), ())) for one in keys]
