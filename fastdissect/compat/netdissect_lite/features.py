"""A layer's activations as NetDissect-Lite's scripts index them, from the cells that were retained."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import ActivationError, SettingError
from fastdissect.kernels.keys import widen
from fastdissect.layer import LayerDissection
from fastdissect.unit_masks import require_cells

if TYPE_CHECKING:
    from fastdissect.compat.netdissect_lite.extraction import Extraction

__all__ = ["LayerFeatures"]


class LayerFeatures:
    """The activations of one layer over all images: a handle, not a copy of them.

        handle.shape, len(handle)       (images, units, height, width); a fully connected layer is 1 x 1
        handle[i]                       float32 [units, height, width]
        handle[i][k], handle[i, k]      float32 [height, width]
        handle[3:7]                     float32 [4, units, height, width]
        handle.thresholds               float32 [units], exact

    A cell that lies within one step of a cell above the threshold has its exact value, so that any bilinear
    enlargement has the exact mask `> T` wherever `T >= handle.thresholds`. The other cells were not kept; they
    read as their common mean in that map (known, since the map's mean is), and never as more than the threshold.

    Attributes:
        name: the layer.
        layer: what was found in it, `fastdissect.LayerDissection`.
    """

    def __init__(self, layer: LayerDissection, extraction: Extraction) -> None:
        self.layer, self.extraction, self.name = layer, extraction, layer.name
        if layer.activations is None or layer.means is None:
            raise SettingError(f"layer {layer.name!r}: its activations were not kept")
        self._cells, self._means = layer.activations, layer.means
        self.shape, self.ndim, self.dtype = layer.shape, 4, np.dtype(np.float32)
        self.thresholds = layer.thresholds

    def __len__(self) -> int:
        return self.layer.shape[0]

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        image, *rest = index if isinstance(index, tuple) else (index,)
        if isinstance(image, slice):
            numbers = range(*image.indices(len(self)))
            dense = np.stack([self._map(i) for i in numbers]) if len(numbers) else self._none()
            return dense[(slice(None), *rest)] if rest else dense
        try:
            number = int(image.__index__())
        except (AttributeError, TypeError):  # an array has __index__, but of one number alone
            raise SettingError(f"expected an image's number or a slice of them; got {image!r}") from None
        if not -len(self) <= number < len(self):
            raise IndexError(f"expected an image from 0 to {len(self) - 1}; got {number}")
        dense = self._map(number % len(self))
        return dense[tuple(rest)] if rest else dense

    def _none(self) -> NDArray[np.float32]:
        return np.zeros((0, *self.layer.shape[1:]), np.float32)

    @cached_property
    def _by_image(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Records in the order of images (inside an image: of units), and where each image's begin."""
        images = np.asarray(self._cells.images)
        start = np.zeros(len(self) + 1, np.int64)
        np.cumsum(np.bincount(images, minlength=len(self)), out=start[1:])
        return np.argsort(images, kind="stable"), start

    def _map(self, image: int) -> NDArray[np.float32]:
        cells, (_, units, height, width) = self._cells, self.layer.shape
        order, start = self._by_image
        records = order[start[image] : start[image + 1]]
        unit = np.searchsorted(cells.unit_start, records, side="right") - 1
        first, count = cells.cell_start[records], cells.cell_start[records + 1] - cells.cell_start[records]
        # the cells' numbers: those of each record, one record after the other
        ends = np.cumsum(count)
        at = np.repeat(first - (ends - count), count) + np.arange(ends[-1] if len(ends) else 0)
        owner, place, values = np.repeat(unit, count), cells.cells[at], widen(cells.values[at], cells.kind)
        require_cells(place, self.layer.shape, f"layer {self.name!r}, image {image}")
        total = self._means[image].astype(np.float64) * (height * width)
        total -= np.bincount(owner, weights=values, minlength=units)
        absent = height * width - np.bincount(owner, minlength=units)
        rest = np.minimum(total / np.maximum(absent, 1), self.thresholds)
        dense = np.repeat(rest.astype(np.float32)[:, None], height * width, axis=1)
        dense[owner, place] = values
        return dense.reshape(units, height, width)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        raise ActivationError(
            f"features of layer {self.name!r} are a handle on the retained cells of {self.shape}, not an array of "
            f"{4 * np.prod(self.shape, dtype=np.int64):,} bytes; take images from it (features[i], features[3:7]), "
            "or the images' maxima from maxfeature"
        )

    def __repr__(self) -> str:
        return f"<LayerFeatures {self.name!r} {self.shape}: {self._cells.nbytes:,} bytes retained>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # NumPy and copy look for protocols that way
            raise AttributeError(name)
        raise AttributeError(
            "features of a layer are a handle: shape, dtype, ndim, len(), name, thresholds, layer, and arrays by "
            f"index (features[i], features[i][k], features[3:7]); not {name!r}. maxfeature has the images' maxima"
        )
