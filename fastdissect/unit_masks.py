"""A unit's mask in one image, from the sparse activations: `upsample(a_k) > T_k`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError, SettingError
from fastdissect.kernels.keys import widen
from fastdissect.kernels.reference import upsampled_mask
from fastdissect.types import SparseActivations, Upsampling

__all__ = ["require_cells", "unit_map", "unit_mask"]


def require_cells(cells: NDArray[Any], shape: tuple[int, int, int, int], where: str) -> None:
    """Refuse numbers of cells that the map has not: they are read from a file whose content is not sealed.

    Raises:
        OutputError: there is one.
    """
    if cells.max(initial=0) >= shape[2] * shape[3]:
        raise OutputError(
            f"{where}: expected cells of a map of {shape[2]} x {shape[3]}; got cell {int(cells.max())}: the run's "
            "activations.safetensors is damaged; run again, or restore the file"
        )


def unit_map(
    activations: SparseActivations, thresholds: NDArray[np.float32], unit: int, image: int
) -> NDArray[np.float32] | None:
    """Return one map with its retained cells, absent ones reading as T_k; None if no cell was retained.

    Raises:
        SettingError: there is no such unit or image.
        OutputError: a cell lies outside the map: the file is damaged.

    Returns:
        float32 [height, width], exact values whatever the kind.
    """
    images, units, height, width = activations.shape
    for what, number, count in (("unit", unit, units), ("image", image, images)):
        if not 0 <= number < count:
            raise SettingError(f"expected {what} 0 to {count - 1}; got {number}")
    first, last = activations.unit_start[unit], activations.unit_start[unit + 1]
    record = first + np.searchsorted(
        activations.images[first:last], np.uint32(image)
    )  # its own type: no copy
    if record == last or activations.images[record] != image:
        return None
    own = slice(activations.cell_start[record], activations.cell_start[record + 1])
    require_cells(activations.cells[own], activations.shape, f"unit {unit}, image {image}")
    dense = np.full(height * width, thresholds[unit], np.float32)
    dense[activations.cells[own]] = widen(activations.values[own], activations.kind)
    return dense.reshape(height, width)


def unit_mask(
    activations: SparseActivations,
    thresholds: NDArray[np.float32],
    upsampling: Upsampling,
    unit: int,
    image: int,
) -> NDArray[np.bool_]:
    """Return where the unit's upsampled map exceeds its threshold, in the arithmetic that the counts used.

    An absent cell reads as the threshold itself. That is exact for every table whose taps reach no further
    than the retained cells do: a pixel that can be above has all its cells retained (DESIGN section 2).

    Args:
        thresholds: float32 [units].

    Returns:
        bool [height, width], of the upsampling's size.
    """
    dense = unit_map(activations, thresholds, unit, image)
    if dense is None:
        return np.zeros(upsampling.size, np.bool_)
    return upsampled_mask(dense, thresholds[unit], upsampling)
