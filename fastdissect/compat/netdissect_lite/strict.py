"""`strict=True`: NetDissect-Lite's stale category vector, which changes unit areas.

Under a unit's mask Lite adds up which categories occur, in a vector that it makes anew where the image has a
label map. An image that has whole-image labels alone adds to the vector that is left over from the last unit that
fired, in an earlier image. So its mask pixels also count for categories that it has no label of:

    image 1, maps     the last unit that fires has {object, color} under its mask
    image 2, texture  every unit that fires counts for {object, color} and {texture}; {texture} alone is right
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from fastdissect.compat.netdissect_lite.broden import LiteBroden
from fastdissect.datasets import resize_labels
from fastdissect.layer import LayerDissection
from fastdissect.types import Counts

__all__ = ["with_stale_categories"]


def with_stale_categories(layer: LayerDissection, broden: LiteBroden) -> LayerDissection:
    """The layer with the unit areas that Lite gets. Plain NumPy, map by map: slow where many images lack maps.

    Lite stops with an error where no unit has fired in an image with maps before; here the vector begins empty.
    """
    cells = layer.activations
    assert cells is not None
    area = layer.unit_area.copy()
    order = np.argsort(cells.images, kind="stable")  # inside an image: by unit, as Lite goes
    unit_of = np.searchsorted(cells.unit_start, order, side="right") - 1
    ends = np.searchsorted(np.asarray(cells.images)[order], np.arange(layer.shape[0]), side="right")
    left_over = np.zeros(len(layer.concepts.categories), np.bool_)
    last: tuple[int, int] | None = (
        None  # (unit, image) whose vector is the one left over, if not yet worked out
    )
    for image, (first, end) in enumerate(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)):
        units = unit_of[first:end]
        if not len(units):
            continue
        if broden.has_maps(image):
            last = int(units[-1]), image
            continue
        if last is not None:
            left_over, last = _under_mask(layer, broden, *last), None
        own = _under_mask(layer, broden, None, image)
        extra = left_over & ~own
        if extra.any():
            for unit in units.tolist():
                area[unit, extra] += int(layer.unit_mask(unit, image).sum())
        left_over = left_over | own
    counts = Counts(layer.intersection, area, layer.concept_area, layer.mask_area)
    return dataclasses.replace(layer, counts=counts)


def _under_mask(
    layer: LayerDissection, broden: LiteBroden, unit: int | None, image: int
) -> NDArray[np.bool_]:
    """[categories]: those of the labels under a unit's mask, and of the whole image's labels."""
    concepts = layer.concepts
    category = np.full(int(concepts.numbers.max()) + 1, -1)
    category[concepts.numbers] = concepts.category
    present = np.zeros(len(concepts.categories), np.bool_)
    mask = None if unit is None else layer.unit_mask(unit, image)
    for channel in broden.read_labels(image):
        if isinstance(channel.labels, int):
            present[category[channel.labels]] = True
        elif mask is not None:
            numbers = np.unique(resize_labels(channel.labels, mask.shape)[mask])
            present[category[numbers[numbers > 0]]] = True
    return present
