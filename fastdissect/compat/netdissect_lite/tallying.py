"""NetDissect-Lite's table of a layer: rows as it returns them, and the file that it writes.

Columns: unit (from 1), category, label, score, then for each category q: q-label, q-truth (G), q-activation (B),
q-intersect (I), q-iou. Where a unit overlaps with nothing in a category, the label is number 0, which has no name
and, by Lite's rule of ties, belongs to the last category: its B stands in that row's q-activation.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastdissect.files import write_bytes
from fastdissect.layer import LayerDissection
from fastdissect.tally import HEAD, TAIL

__all__ = ["Row", "same_scores", "tally_rows", "write_rows"]

Row = dict[str, Any]


def tally_rows(layer: LayerDissection, zero: int = 0) -> list[Row]:
    """Lite's rows of a layer: best score first; of equal scores the higher unit (a reversed sort).

    Args:
        zero: number of the concept that stands for label 0 (`LiteBroden.zero`); 0: none does.

    Ties, as METHODS of Lite's: the lowest label number inside a category, 0 before all; the later category.
    """
    concepts, counts = layer.concepts, layer.counts
    units, last = layer.units_count, len(concepts.categories) - 1
    columns = np.arange(len(concepts))
    iou, nothing = layer.iou(), np.zeros(units)
    own0 = np.flatnonzero(concepts.numbers == zero)
    # the column of label 0 comes first, so that argmax, which takes the first of equals, takes it
    order = np.concatenate([own0, columns[concepts.numbers != zero]])
    winner = np.full((units, last + 1), -1, np.int64)
    score = np.zeros((units, last + 1))
    for q in range(last + 1):
        own = order[concepts.category[order] == q]
        if len(own):
            best = own[iou[:, own].argmax(axis=1)]
            score[:, q] = iou[np.arange(units), best]
            winner[:, q] = np.where(score[:, q] > 0, best, -1)
    truth = np.append(counts.concept_area, counts.concept_area[own0].sum())  # column -1 is label 0
    names = (*concepts.names, "")
    shared0 = counts.intersection[:, own0].sum(axis=1) if len(own0) else nothing
    shared = np.column_stack([counts.intersection, shared0])
    category = np.append(concepts.category, last)
    best = last - score[:, ::-1].argmax(axis=1)  # the later of equals
    rows: list[Row] = []
    for unit in np.argsort(score.max(axis=1), kind="stable")[::-1].tolist():
        q = int(best[unit])
        label = names[winner[unit, q]]
        row: Row = dict(
            zip(HEAD, (unit + 1, concepts.categories[q], label, float(score[unit, q])), strict=True)
        )
        for p, name in enumerate(concepts.categories):
            column = int(winner[unit, p])
            values = (
                names[column],
                float(truth[column]),
                float(counts.unit_area[unit, category[column]]),
                float(shared[unit, column]),
                float(score[unit, p]),
            )
            row |= {f"{name}-{item}": value for item, value in zip(TAIL, values, strict=True)}
        rows.append(row)
    return rows


def write_rows(rows: list[Row], categories: tuple[str, ...], path: Path) -> None:
    """Write the rows as Lite's tally.csv."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*HEAD, *(f"{q}-{item}" for q in categories for item in TAIL)])
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def same_scores(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> bool:
    """Whether two tables give every unit the same best score; a table may be as a CSV reader gives it, all text."""
    try:
        found = [{int(row["unit"]): float(row["score"]) for row in rows} for rows in (one, other)]
    except (KeyError, TypeError, ValueError):
        return False
    return found[0] == found[1]
