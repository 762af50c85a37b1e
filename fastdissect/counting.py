"""Count: retained cells x label planes -> integer counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastdissect.device_arrays import to_host
from fastdissect.kernels import backend_for, get_num_threads
from fastdissect.kernels.stores import copied, zeros_beside
from fastdissect.types import Concepts, Counts, Planes, Profile, SparseActivations, Upsampling

__all__ = ["BLOCK", "Counter", "concept_area", "presence_of"]

BLOCK = 64  # images counted together: their planes stay in the cache while all units pass over them


class Counter:
    """Sums I_kc, B_kq and the mask areas of one layer, block by block of images.

    The counts of METHODS 1.4: I_kc pixels of unit k's masks on label c; B_kq mask pixels in the images that
    count for category q (profile.presence). int64 throughout.
    """

    def __init__(
        self, thresholds: NDArray[np.float32], upsampling: Upsampling, concepts: Concepts, profile: Profile
    ) -> None:
        units = len(thresholds)
        self.thresholds, self.upsampling, self.concepts, self.profile = (
            thresholds,
            upsampling,
            concepts,
            profile,
        )
        shapes = (units, len(concepts)), (units, len(concepts.categories)), (units,)
        self._sums = [np.zeros(shape, np.int64) for shape in shapes]

    def add(
        self,
        cells: SparseActivations,
        planes: Callable[[int, int], Planes],
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Count all images of `cells`; planes(first, last) gives the planes of a block of them."""
        cursor = copied(cells.unit_start[:-1])
        intersection, unit_area, mask_area = (
            zeros_beside(s.shape, np.int64, cells.values) for s in self._sums
        )
        kernels = backend_for(cells.values)
        category = self.concepts.category
        for first in range(0, cells.shape[0], BLOCK):
            last = min(first + BLOCK, cells.shape[0])
            block = planes(first, last)
            present = None
            if self.profile.presence == "image":
                present = presence_of(block, category, len(self.concepts.categories))
            elif self.profile.presence == "all":
                present = np.ones((last - first, len(self.concepts.categories)), bool)
            kernels.count(
                cells,
                cursor,
                first,
                self.thresholds,
                self.upsampling,
                block,
                category,
                present,
                intersection,
                unit_area,
                mask_area,
                get_num_threads(),
            )
            if progress is not None:
                progress(last - first)
        for own, more in zip(self._sums, (intersection, unit_area, mask_area), strict=True):
            own += to_host(more)

    def counts(self, area: NDArray[np.int64]) -> Counts:
        """The counts, with the concepts' areas beside them."""
        intersection, unit_area, mask_area = self._sums
        return Counts(intersection, unit_area, area, mask_area)


def concept_area(planes: Planes, concepts: int) -> NDArray[np.int64]:
    """G_c: pixels of each concept over all images, int64 [concepts]."""
    area = np.zeros(concepts, np.int64)
    np.add.at(area, planes.concept, planes.pixels)
    return area


def presence_of(planes: Planes, category: NDArray[np.int64], categories: int) -> NDArray[np.bool_]:
    """[images, categories]: the image holds a pixel of a label whose primary category it is (METHODS 1.4)."""
    present = np.zeros((planes.images, categories), bool)
    image = np.repeat(np.arange(planes.images), np.diff(planes.plane_start))
    held = planes.pixels > 0
    present[image[held], category[planes.concept[held]]] = True
    return present
