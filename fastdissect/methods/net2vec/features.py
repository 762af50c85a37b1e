"""Binary features Z_k = 1[a_k > T_k] of a run's sparse activations, at the layer's own resolution."""

from __future__ import annotations

import numpy as np

from fastdissect.errors import OutputError, SettingError
from fastdissect.kernels.concept_masks import ActiveCells
from fastdissect.kernels.keys import widen
from fastdissect.kernels.stores import cells_on_host
from fastdissect.layer import LayerDissection
from fastdissect.unit_masks import require_cells

__all__ = ["active_cells", "require_activations"]


def require_activations(layer: LayerDissection) -> None:
    """Refuse a layer whose cells above the thresholds are not known.

    Raises:
        SettingError: the run kept no activations, or had too few images for thresholds.
    """
    if layer.activations is None:
        raise SettingError(
            f"layer {layer.name!r}: Net2Vec needs the activations, which this run did not keep; run `fastdissect run` "
            "again without --no-activations (activations=True), or choose a layer that has them"
        )
    if layer.undetermined and not layer.mask_area.any():
        raise SettingError(
            f"layer {layer.name!r}: expected units that are active somewhere; the run had too few images for the top "
            f"{layer.profile.quantile} (its thresholds are undetermined); dissect more images, or with a larger "
            "--quantile"
        )


def active_cells(layer: LayerDissection) -> ActiveCells:
    """Return the cells above the thresholds, image by image: threshold first, upsample later.

    Memory: 8 bytes an active cell, some 40 while they are sorted, and 20 MB; a run at quantile 0.005 has 0.005 of all
    cells. What is retained beside them stays in its file.

    Raises:
        SettingError: as `require_activations`. OutputError: the file of activations is damaged.

    Source: Net2Vec (Fong & Vedaldi 2018), section 3.1.
    """
    require_activations(layer)
    assert layer.activations is not None
    cells = cells_on_host(layer.activations)
    require_cells(cells.cells, cells.shape, f"layer {layer.name!r}")
    images, units = cells.shape[:2]
    thresholds = np.asarray(layer.thresholds)
    unit_of = np.repeat(np.arange(units, dtype=np.int32), np.diff(cells.unit_start))  # [records]
    kept = []
    for first in range(0, len(cells.cells), _BLOCK):
        own = slice(first, min(first + _BLOCK, len(cells.cells)))
        record = np.searchsorted(cells.cell_start, np.arange(own.start, own.stop), side="right") - 1
        above = widen(cells.values[own], cells.kind) > thresholds[unit_of[record]]
        kept.append(np.flatnonzero(above) + first)
    at = np.concatenate([np.zeros(0, np.int64), *kept])
    record = np.searchsorted(cells.cell_start, at, side="right") - 1
    image = np.asarray(cells.images)[record].astype(np.int64)
    if image.max(initial=0) >= images:
        raise OutputError(
            f"layer {layer.name!r}: expected cells of {images:,} images; got image {image.max():,}: the run's "
            "activations.safetensors is damaged; run again, or restore the file"
        )
    order = np.argsort(image, kind="stable")  # units rise in it already
    return ActiveCells(
        cells.shape,
        np.searchsorted(image[order], np.arange(images + 1)).astype(np.int64),
        unit_of[record][order],
        np.asarray(cells.cells)[at][order].astype(np.int32),
    )


_BLOCK = 1 << 20  # cells looked at together: 20 MB
