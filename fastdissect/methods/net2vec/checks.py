"""Planes and splits that do not belong to a run are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import DataError, SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec.first_category import FirstCategoryPlanes
from fastdissect.types import Planes

__all__ = ["check_masks", "checked_split"]


def check_masks(layer: LayerDissection, planes: Planes) -> None:
    """Refuse planes that are not those of the run's images.

    Raises:
        DataError: another number of images, another size, or other areas than the run counted.
        SettingError: no planes at all.
    """
    if isinstance(planes, FirstCategoryPlanes):
        planes = planes.whole
    if not isinstance(planes, Planes):
        raise SettingError(
            f"expected the run's label planes (methods.chance.planes_of); got {type(planes).__name__}"
        )
    images, area = layer.shape[0], np.zeros(len(layer.concepts), np.int64)
    same = planes.images == images and planes.size == layer.upsampling.size
    same = same and int(planes.concept.max(initial=-1)) < len(layer.concepts)
    if same:
        np.add.at(area, planes.concept, planes.pixels)
        same = np.array_equal(area, layer.concept_area)
    if not same:
        raise DataError(
            f"layer {layer.name!r}: expected the label planes of the run's {images:,} images; got {planes.images:,} of "
            f"{planes.size[0]} x {planes.size[1]} with other labels; the data set has changed since: open the run's "
            "own (data=, --data SPEC), or dissect again"
        )


def checked_split(train: Any, layer: LayerDissection) -> NDArray[np.bool_]:
    """One flag an image, and some for training.

    Raises:
        SettingError: it is not that.
    """
    flags = np.asarray(train)
    if flags.dtype != np.bool_ or flags.shape != (layer.shape[0],) or not flags.any():
        raise SettingError(
            f"expected {layer.shape[0]:,} flags, True for the images of training, and some of them; got "
            f"{flags.dtype} {flags.shape} with {int(np.count_nonzero(flags)):,} True"
        )
    return flags
