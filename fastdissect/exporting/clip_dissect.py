"""CLIP-Dissect: descriptions of all layers in one table, and NetDissect's tables as it keeps them.

descriptions.csv                  layer, unit (from 0), description, similarity; here the label and its IoU
NetDissect_results/<layer>.csv    NetDissect's columns, units from 1, in rising order:
                                  the notebooks go by the row

A unit without any overlap has an empty description, which pandas reads as NaN.
"""

from __future__ import annotations

from pathlib import Path

from fastdissect.exporting.jobs import Job
from fastdissect.exporting.tables import tally_rows, write_rows
from fastdissect.storage import layer_folder

__all__ = ["write"]


def write(job: Job) -> list[Path]:
    """Write the descriptions, then a table a layer."""
    rows: list[tuple[object, ...]] = [("layer", "unit", "description", "similarity")]
    for layer in job.layers:
        units = layer.units()
        found = zip(units["unit"].tolist(), units["label"].tolist(), units["iou"].tolist(), strict=True)
        rows += [(layer.name, *row) for row in found]
    written = [write_rows(job.folder / "descriptions.csv", rows)]
    for layer in job.layers:
        header, *body = tally_rows(layer)
        body.sort(key=lambda row: int(row[0]))
        name = f"{layer_folder(layer.name)}.csv"
        written.append(write_rows(job.folder / "NetDissect_results" / name, [header, *body]))
    return written
