"""A layer's unit masks, made once from its sparse activations and kept as ranges of words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.kernels.keys import widen
from fastdissect.kernels.mask_ranges import MaskRanges, trim_masks
from fastdissect.kernels.reference import along, pack_bits, upsampled_mask
from fastdissect.kernels.stores import cells_on_host
from fastdissect.layer import LayerDissection
from fastdissect.types import Upsampling
from fastdissect.unit_masks import require_cells

__all__ = ["unit_masks"]


def unit_masks(layer: LayerDissection, progress: Callable[[int], None] | None = None) -> MaskRanges:
    """Return the mask `upsample(a_k) > T_k` of every unit in every image where it is not empty.

    These are the masks that were counted, bit for bit (`LayerDissection.unit_mask` gives them one by one). Memory: 24
    bytes a mask and its words, some 350 bytes in all at 112 x 112, and as much again while they are made.

    Args:
        progress: is told the number of records done (a record: one unit's retained cells in one image).

    Raises:
        SettingError: the run kept no activations, or had too few images for thresholds.
        OutputError: the file of activations is damaged.

    Example:
        >>> unit_masks(fd.load("out")["layer4"]).area.sum()      # doctest: +SKIP
    """
    cells = layer.activations
    if cells is None:
        raise SettingError(
            f"layer {layer.name!r}: the chance level needs the activations, which this run did not keep; dissect "
            "without --no-activations (activations=True), or leave this layer out"
        )
    if layer.undetermined and not layer.mask_area.any():
        raise SettingError(
            f"layer {layer.name!r}: expected masks; they are empty, because the run had too few images for the top "
            f"{layer.profile.quantile} (its thresholds are undetermined); dissect more images, or with a "
            "larger --quantile, or leave this layer out"
        )
    cells = cells_on_host(cells)
    images, units, height, width = cells.shape
    require_cells(cells.cells, cells.shape, f"layer {layer.name!r}")
    unit = np.repeat(np.arange(units), np.diff(cells.unit_start))
    thresholds = np.asarray(layer.thresholds)[unit]

    def packed(own: slice) -> NDArray[np.uint64]:
        start = cells.cell_start[own.start : own.stop + 1]
        record = np.repeat(np.arange(own.stop - own.start), np.diff(start))
        maps = np.repeat(thresholds[own], height * width).reshape(-1, height * width)
        some = slice(start[0], start[-1])
        maps[record, cells.cells[some]] = widen(cells.values[some], cells.kind)
        return _packed_masks(maps.reshape(-1, height, width), thresholds[own], layer.upsampling)

    size = layer.upsampling.size
    block = max(1, (1 << 23) // (size[0] * size[1]))  # 8 MB of pixels at a time
    return trim_masks(packed, unit, cells.images, size, units, images, block=block, progress=progress)


def _packed_masks(
    maps: NDArray[np.float32], thresholds: NDArray[np.float32], table: Upsampling
) -> NDArray[np.uint64]:
    """`upsampled_mask` of many maps, packed; with two taps only the rows that have a cell above are looked at.

    A pixel lies between its two taps (fastdissect/upsampling.py), so a row without one above has no pixel
    above.
    """
    cut, (height, width) = thresholds[:, None, None], table.size
    if not (table.rows.lerp and table.columns.lerp):
        return pack_bits(upsampled_mask(maps, cut, table).reshape(len(maps), height * width))
    rows = along(np.pad(maps, [(0, 0), (1, 1), (1, 1)]) if table.ring else maps, table.rows, -2)
    at, y = np.nonzero((rows > cut).any(2))
    masks = np.zeros((len(maps), height, width), np.bool_)
    masks[at, y] = along(rows[at, y], table.columns, -1) > thresholds[at, None]
    return pack_bits(masks.reshape(len(maps), height * width))
