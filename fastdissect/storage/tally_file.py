"""tally.csv: a layer's units with NetDissect-Lite's columns, for those who have scripts for them."""

from __future__ import annotations

import csv
from typing import IO

import numpy as np

from fastdissect.layer import LayerDissection
from fastdissect.tally import HEAD, TAIL

__all__ = ["write_tally"]


def write_tally(layer: LayerDissection, file: IO[str]) -> None:
    """Write NetDissect-Lite's columns: best score first; of equal scores the higher unit (a reversed sort)."""
    found, concepts = layer.labels, layer.concepts
    writer = csv.writer(file)
    writer.writerow([*HEAD, *(f"{q}-{item}" for q in concepts.categories for item in TAIL)])
    names = (*concepts.names, "")  # column -1 reads as ""
    truth = np.append(layer.concept_area, 0)
    rows = np.arange(layer.units_count)
    best = found.score[rows, found.best] if concepts.categories else np.zeros(len(rows))
    for unit in np.argsort(best, kind="stable")[::-1].tolist():
        columns, scores = found.column[unit].tolist(), found.score[unit].tolist()
        q = int(found.best[unit])
        head = (concepts.categories[q], names[columns[q]], scores[q]) if q >= 0 else ("", "", 0.0)
        row: list[object] = [unit + 1, *head]
        for i, column in enumerate(columns):
            shared = int(layer.intersection[unit, column]) if column >= 0 else 0
            row += [names[column], int(truth[column]), int(layer.unit_area[unit, i]), shared, scores[i]]
        writer.writerow(row)
