"""Counting again with thresholds from elsewhere, from the cells that were retained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.counting import Counter
from fastdissect.errors import SettingError
from fastdissect.kernels import get_num_threads
from fastdissect.kernels.keys import keys
from fastdissect.kernels.selection import host_backend
from fastdissect.layer import LayerDissection
from fastdissect.settings import rounded_down
from fastdissect.types import Planes
from fastdissect.unit_masks import require_cells

__all__ = ["checked_thresholds", "recount", "suffices"]


def checked_thresholds(values: Any, units: int, layer: str) -> NDArray[np.float32]:
    """Thresholds of any float type as float32 [units], rounded down.

    Lite compares float32 pixels with float64 thresholds; `pixel > T` is the same as `pixel > (T rounded down to a
    float32)`, so nothing is lost.

    Raises:
        SettingError: another shape, no numbers, or NaN.
    """
    try:
        found = rounded_down(values)
    except (TypeError, ValueError):
        found = np.full(0, np.nan, np.float32)
    if found.shape != (units,) or np.isnan(found).any():
        raise SettingError(
            f"layer {layer!r}: expected thresholds [{units}], one a unit, without NaN; got "
            f"{type(values).__name__} of shape {found.shape}"
        )
    return found


def suffices(layer: LayerDissection, thresholds: NDArray[np.float32]) -> bool:
    """Whether all cells that can matter above these thresholds were retained."""
    return layer.activations is not None and bool((keys(thresholds) >= keys(layer.thresholds)).all())


def recount(
    layer: LayerDissection, thresholds: NDArray[np.float32], planes: Callable[[int, int], Planes]
) -> LayerDissection:
    """The layer under other thresholds, none lower than its own: exactly what a pass with them would give.

    Args:
        planes: planes(first, last) of the run's images.
    """
    assert layer.activations is not None
    tables = layer.upsampling
    require_cells(layer.activations.cells, layer.shape, f"layer {layer.name!r}")
    cells = host_backend().prune(
        [layer.activations], keys(thresholds), tables.reach, tables.ring, get_num_threads()
    )
    counter = Counter(thresholds, tables, layer.concepts, layer.profile)
    counter.add(cells, planes)
    return dataclasses.replace(
        layer, thresholds=thresholds, counts=counter.counts(layer.concept_area), activations=cells
    )
