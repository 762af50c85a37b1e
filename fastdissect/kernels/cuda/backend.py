"""The CUDA backend: bulk arrays lie on the device and stay there; small tables may come from either side.

On the device: activations, retained cells and values, bounds. On the host: means, maxima, missing values and the
fault of a sift, counts, planes and label tables. A kernel runs on the device that its bulk arrays lie on, in torch's
current stream there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastdissect.kernels.cuda.count import count
from fastdissect.kernels.cuda.filter import filter_values
from fastdissect.kernels.cuda.histogram import histogram
from fastdissect.kernels.cuda.join import join
from fastdissect.kernels.cuda.launching import on_device, on_device_of
from fastdissect.kernels.cuda.pack import pack
from fastdissect.kernels.cuda.pixels import raise_pixels, select_pixels
from fastdissect.kernels.cuda.prune import prune, starts
from fastdissect.kernels.cuda.select import raise_bounds, select
from fastdissect.kernels.cuda.sift import Sifting, begin_sift
from fastdissect.kernels.protocol import Fault, PackedLabels, Sifted, Values
from fastdissect.types import ActivationView, Kind, Planes, SparseActivations, Upsampling

__all__ = ["Cuda"]


class Cuda:
    """See protocol.py for what each kernel means; `threads` have no meaning here."""

    name = "cuda"

    def upload(self, array: NDArray[Any], beside: Any) -> Any:
        """A host array's copy on the device of another."""
        with on_device_of(beside):
            return on_device(array)

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike, beside: Any) -> Any:
        """Zeros on the device of another array."""
        with on_device_of(beside):
            return cupy.zeros(shape, dtype)

    def begin_sift(
        self, view: ActivationView, bounds: Any, reach: int, ring: bool, omit: bool, threads: int
    ) -> Sifting:
        with on_device_of(view.data):
            return begin_sift(view, bounds, reach, ring, omit)

    def sift(
        self, view: ActivationView, bounds: Any, reach: int, ring: bool, omit: bool, threads: int
    ) -> Sifted:
        return self.begin_sift(view, bounds, reach, ring, omit, threads).settle()

    def starts(self, cells: SparseActivations) -> Any:
        with on_device_of(cells.values):
            return starts(cells)

    def filter(self, view: ActivationView, bounds: Any, omit: bool, threads: int) -> Values:
        with on_device_of(view.data):
            return filter_values(view, bounds, omit)

    def prune(
        self, parts: Sequence[SparseActivations], bounds: Any, reach: int, ring: bool, threads: int
    ) -> SparseActivations:
        with on_device_of(parts[0].values):
            return prune(parts, bounds, reach, ring)

    def join(
        self, starts: Sequence[Any], values: Sequence[Any], kind: Kind, bounds: Any, threads: int
    ) -> tuple[Any, Any]:
        with on_device_of(values[0]):
            return join(starts, values, kind, bounds)

    def select(
        self,
        starts: Sequence[Any],
        values: Sequence[Any],
        kind: Kind,
        bounds: Any,
        ranks: NDArray[np.int64],
        threads: int,
    ) -> Any:
        with on_device_of(values[0]):
            return select(starts, values, kind, bounds, ranks)

    def raise_bounds(
        self, starts: Sequence[Any], values: Sequence[Any], kind: Kind, bounds: Any, rank: int, threads: int
    ) -> Any:
        with on_device_of(values[0]):
            return raise_bounds(starts, values, kind, bounds, rank)

    def select_pixels(
        self,
        parts: Sequence[SparseActivations],
        bounds: Any,
        ranks: NDArray[np.int64],
        upsampling: Upsampling,
        threads: int,
    ) -> Any:
        with on_device_of(parts[0].values):
            return select_pixels(parts, bounds, ranks, upsampling)

    def raise_pixels(
        self, parts: Sequence[SparseActivations], bounds: Any, rank: int, upsampling: Upsampling, threads: int
    ) -> Any:
        with on_device_of(parts[0].values):
            return raise_pixels(parts, bounds, rank, upsampling)

    def histogram(
        self, view: ActivationView, shift: int, prefix: Any, bins: Any, omit: bool, threads: int
    ) -> tuple[NDArray[np.int64], Fault | None]:
        with on_device_of(view.data):
            return histogram(view, shift, prefix, bins, omit)

    def pack(self, labels: Any, columns: NDArray[np.int32], once: bool) -> PackedLabels:
        with on_device_of(labels):
            return pack(labels, columns, once)

    def count(
        self,
        cells: SparseActivations,
        cursor: Any,
        first_image: int,
        thresholds: Any,
        upsampling: Upsampling,
        planes: Planes,
        category: NDArray[np.int64],
        present: NDArray[np.bool_] | None,
        intersection: Any,
        unit_area: Any,
        mask_area: Any,
        threads: int,
    ) -> None:
        with on_device_of(cells.values):
            count(
                cells,
                cursor,
                first_image,
                thresholds,
                upsampling,
                planes,
                category,
                present,
                intersection,
                unit_area,
                mask_area,
            )
