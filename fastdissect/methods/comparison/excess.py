"""A layer's retained cells as a sparse matrix: units x (images x positions), by how much each is above threshold."""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.kernels.keys import widen
from fastdissect.layer import LayerDissection
from fastdissect.methods.extras import need
from fastdissect.types import SparseActivations
from fastdissect.unit_masks import require_cells

__all__ = ["common_grid", "excess"]


def common_grid(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """Return the finest grid (height, width) that divides both maps.

    >>> common_grid((14, 14), (7, 7)), common_grid((13, 13), (7, 7)), common_grid((6, 8), (6, 8))
    ((7, 7), (1, 1), (6, 8))
    """
    return gcd(a[0], b[0]), gcd(a[1], b[1])


def excess(layer: LayerDissection, grid: tuple[int, int]) -> Any:
    """Return max(a_k - T_k, 0), summed over the cells of each field of the grid.

    Every cell above its threshold is retained, so nothing is missing from it.

    Args:
        grid: (height, width) that divides the layer's map.

    Returns:
        scipy.sparse.csr_array float64 [units, images * grid height * grid width]; 12 bytes a cell above threshold (16
        where there are 2^31 columns or cells, or more), and twice that while it is made.

    Raises:
        SettingError: the run kept no activations.
        OutputError: a cell lies outside the map: the file is damaged.
    """
    if layer.activations is None:
        raise SettingError(
            f"layer {layer.name!r}: matching units needs the activations, which this run did not keep; dissect "
            "without --no-activations (activations=True)"
        )
    images, units, height, width = layer.shape
    fields = grid[0] * grid[1]
    whole = grid == (height, width)
    y, x = np.divmod(np.arange(height * width), width)
    field = (y // (height // grid[0])) * grid[1] + x // (width // grid[1])
    positions = np.int32 if images * fields < 2**31 else np.int64
    parts = []
    for k in range(units):
        columns, values = _one_unit(layer.activations, layer.thresholds[k], k, field, fields, whole)
        parts.append((columns.astype(positions), values))
    start = np.cumsum([0, *(len(columns) for columns, _ in parts)])
    index = positions if start[-1] < 2**31 else np.int64  # scipy wants one type for both
    columns = np.concatenate([columns for columns, _ in parts], dtype=index)
    values = np.concatenate([values for _, values in parts])
    return need("scipy.sparse").csr_array(
        (values, columns, start.astype(index)), shape=(units, images * fields)
    )


def _one_unit(
    cells: SparseActivations,
    threshold: np.float32,
    unit: int,
    field: NDArray[np.int64],
    fields: int,
    whole: bool,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The unit's columns, ascending, each once, and their values, float64."""
    records = slice(int(cells.unit_start[unit]), int(cells.unit_start[unit + 1]))
    start = cells.cell_start[records.start : records.stop + 1].astype(np.int64)
    own = slice(int(start[0]), int(start[-1])) if len(start) > 1 else slice(0, 0)
    require_cells(cells.cells[own], cells.shape, f"unit {unit}")
    values = widen(cells.values[own], cells.kind)
    above = values > threshold
    image = np.repeat(cells.images[records].astype(np.int64), np.diff(start))
    columns = image[above] * fields + field[cells.cells[own][above]]
    kept = values[above].astype(np.float64) - np.float64(threshold)
    if whole:  # canonical order: image, then cell
        return columns, kept
    unique, place = np.unique(columns, return_inverse=True)
    return unique, np.bincount(place, kept, minlength=len(unique))
