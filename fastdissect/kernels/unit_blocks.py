"""Units side by side: what was sifted of some units at a time, joined; and where a fault of codes lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels.protocol import Fault, Sifted
from fastdissect.kernels.views import CodesView
from fastdissect.types import SparseActivations

__all__ = ["codes_fault", "joined_units"]


def joined_units(parts: Sequence[Sifted]) -> Sifted:
    """What was sifted of consecutive units of the same images, as if at once; cells lie on the host."""
    cells = [part.cells for part in parts]
    units = np.concatenate([[0], np.cumsum([own.shape[1] for own in cells])])
    faults = [
        part.fault._replace(unit=part.fault.unit + int(first))
        for part, first in zip(parts, units[:-1], strict=True)
        if part.fault is not None
    ]
    return Sifted(
        SparseActivations(
            (cells[0].shape[0], int(units[-1]), *cells[0].shape[2:]),
            cells[0].kind,
            _chained([own.unit_start for own in cells]),
            np.concatenate([own.images for own in cells]),
            _chained([own.cell_start for own in cells]),
            np.concatenate([own.cells for own in cells]),
            np.concatenate([own.values for own in cells]),
        ),
        np.concatenate([part.means for part in parts], axis=1),
        np.concatenate([part.maxima for part in parts], axis=1),
        np.concatenate([part.missing for part in parts]),
        min(faults) if faults else None,
    )


def _chained(starts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Starts of consecutive parts, each from 0 to its length, as starts of the whole."""
    ends = np.cumsum([0, *(int(own[-1]) for own in starts)])
    return np.concatenate([[0], *(own[1:] + end for own, end in zip(starts, ends[:-1], strict=True))]).astype(
        np.int64
    )


def codes_fault(view: CodesView, number: int) -> Fault:
    """The cell with this row-major number in the dense maps [images, units, height, width]."""
    _, units, height, width = view.shape
    image, rest = divmod(number, units * height * width)
    unit, cell = divmod(rest, height * width)
    named = (view.indices[image, cell] == unit) & (view.values[image, cell] != 0)
    return Fault(image, unit, cell, float(view.values[image, cell, np.flatnonzero(named)[0]]))
