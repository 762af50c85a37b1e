"""NetDissect-Lite: a folder a layer, each what its `settings.OUTPUT_FOLDER` would hold.

tally.csv      a row a unit, best score first, units from 1
quantile.npy   float64 [units], the thresholds

NetDissect-Lite itself reads both instead of computing them where it finds them; it has no layer in the names.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastdissect.exporting.jobs import Job
from fastdissect.exporting.tables import tally_rows, write_rows
from fastdissect.files import atomic_write

__all__ = ["write"]


def write(job: Job) -> list[Path]:
    """Write every layer's folder."""
    written = []
    for layer in job.layers:
        folder = job.place(layer)
        written.append(write_rows(folder / "tally.csv", tally_rows(layer)))
        with atomic_write(folder / "quantile.npy") as file:
            np.save(file, layer.thresholds.astype("<f8"), allow_pickle=False)
        written.append(folder / "quantile.npy")
    return written
