"""NetDissect (2017): <layer>-result.csv, a row a unit, best score first, units from 1.

The released plotting scripts find categories by their place, so the six of Broden come in the released
tables' order, whatever the data set's own; other categories follow.
"""

from __future__ import annotations

from pathlib import Path

from fastdissect.exporting.jobs import Job
from fastdissect.exporting.tables import tally_rows, write_rows
from fastdissect.storage import layer_folder
from fastdissect.tally import HEAD, TAIL

__all__ = ["write"]

_ORDER = ("object", "color", "material", "scene", "texture", "part")


def write(job: Job) -> list[Path]:
    """Write a file a layer."""
    return [
        write_rows(
            job.folder / f"{layer_folder(layer.name)}-result.csv",
            _released_order(tally_rows(layer), layer.concepts.categories),
        )
        for layer in job.layers
    ]


def _released_order(rows: list[list[str]], categories: tuple[str, ...]) -> list[list[str]]:
    order = [q for q in _ORDER if q in categories] + [q for q in categories if q not in _ORDER]
    places = list(range(len(HEAD)))
    for q in order:
        first = len(HEAD) + categories.index(q) * len(TAIL)
        places.extend(range(first, first + len(TAIL)))
    return [[row[place] for place in places] for row in rows]
