"""What `sift_codes` means: what `sift` gives of the dense maps. Here one unit at a time is made dense."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels.protocol import Sifted
from fastdissect.kernels.unit_blocks import joined_units
from fastdissect.kernels.views import CodesView
from fastdissect.types import ActivationView

__all__ = ["dense_unit", "sift_codes"]


def dense_unit(view: CodesView, unit: int) -> NDArray[np.float32]:
    """One unit's maps, [images, 1, height, width]."""
    images, _, height, width = view.shape
    named = (view.indices == unit) & (view.values != 0)  # [images, places, k]
    image, place, _ = np.nonzero(named)
    maps = np.zeros((images, height * width), np.float32)
    maps[image, place] = view.values[named]
    return maps.reshape(images, 1, height, width)


def sift_codes(
    view: CodesView, bounds: NDArray[np.uint32], sift: Callable[[ActivationView, NDArray[np.uint32]], Sifted]
) -> Sifted:
    """`sift` of each unit's dense maps, side by side."""
    return joined_units(
        [
            sift(ActivationView(dense_unit(view, unit), "float32"), bounds[unit : unit + 1])
            for unit in range(view.shape[1])
        ]
    )
