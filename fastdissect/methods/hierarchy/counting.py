"""Counts on planes that are made block by block: the run's masks and its own kernels, other labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastdissect.conventions import profile
from fastdissect.counting import Counter
from fastdissect.errors import DataError, SettingError
from fastdissect.kernels.stores import cells_on_host
from fastdissect.layer import LayerDissection
from fastdissect.packing import slice_planes
from fastdissect.types import Concepts, Counts, Planes, SparseActivations
from fastdissect.unit_masks import require_cells

__all__ = ["count_planes"]


def count_planes(
    layer: LayerDissection,
    planes: Planes,
    changed: Callable[[Planes], Planes],
    vocabulary: Concepts,
    presence: str,
    progress: Callable[[int], None] | None,
) -> tuple[Counts, NDArray[np.int64]]:
    """Count every unit's masks on planes, and sum these planes' pixels.

    Args:
        planes: the run's label planes. changed: makes a block of them the planes that are counted.
        vocabulary: one concept a column of those.
        presence: as `Profile.presence`, of the vocabulary's categories.

    Raises:
        SettingError: the run kept no activations, or had too few images for thresholds.
        DataError: planes of another run. OutputError: the file of activations is damaged.
    """
    cells = _cells(layer, planes)
    area = np.zeros(len(vocabulary), np.int64)

    def block(first: int, last: int) -> Planes:
        own = changed(slice_planes(planes, first, last))
        np.add.at(area, own.concept, own.pixels)
        return own

    counter = Counter(
        layer.thresholds, layer.upsampling, vocabulary, profile(layer.profile, presence=presence)
    )
    counter.add(cells, block, progress)
    return counter.counts(area), area


def _cells(layer: LayerDissection, planes: Planes) -> SparseActivations:
    cells = layer.activations
    if cells is None:
        raise SettingError(
            f"layer {layer.name!r}: the roll-up needs the activations, which this run did not keep; dissect without "
            "--no-activations (activations=True), or leave this layer out"
        )
    if planes.images != layer.shape[0] or planes.size != layer.upsampling.size:
        raise DataError(
            f"layer {layer.name!r}: expected label planes of its {layer.shape[0]:,} images of {layer.upsampling.size} "
            f"pixels; got {planes.images:,} of {planes.size}; take them of the run's data set (planes_of)"
        )
    if layer.undetermined and not layer.mask_area.any():
        raise SettingError(
            f"layer {layer.name!r}: expected masks; they are empty, because the run had too few images for the top "
            f"{layer.profile.quantile} (its thresholds are undetermined); dissect more images, or with a larger "
            "--quantile, or leave this layer out"
        )
    cells = cells_on_host(cells)
    require_cells(cells.cells, cells.shape, f"layer {layer.name!r}")
    return cells
