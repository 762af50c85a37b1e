"""count_intersections: the tally on plain arrays, on its own (numpy alone beside the package)."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdissect.arrays import activation_view, host_array
from fastdissect.conventions import profile
from fastdissect.counting import Counter, concept_area
from fastdissect.errors import ActivationError, DataError, SettingError
from fastdissect.kernels.keys import keys
from fastdissect.kernels.stores import begin_sift
from fastdissect.packing import join_planes, pack_channels, slice_planes
from fastdissect.types import Concepts, Counts, LabelChannel
from fastdissect.upsampling import make_upsampling

__all__ = ["count_intersections"]


def count_intersections(
    activations: Any,
    thresholds: ArrayLike,
    labels: Any,
    size: tuple[int, int] = (112, 112),
    upsample: str = "half-pixel",
    *,
    layout: str = "NCHW",
    concepts: int | None = None,
) -> Counts:
    """Count the pixels of `upsample(activations) > thresholds` on every label, without building a mask.

    Args:
        activations: float32, float16 or bfloat16 [N, K, h, w] (or `layout`); numpy, torch, CuPy, ... on the CPU
            or a CUDA device, where they are then counted.
        thresholds: [K], on any device; compared strictly: a pixel is above when it is greater.
        labels: integers, on any device (they are packed on the CPU), [N, H, W] or [N, channels, H, W] with (H, W) = `size`, 0 = none. A label that several
            channels carry at a pixel counts once.
        size: height and width of the masks.
        upsample: "half-pixel" (default), "half-pixel-zero" or "pil" (fastdissect/upsampling.py).
        concepts: number of label numbers; the default is the greatest one that occurs. Give it when the counts
            of several batches are added.

    Returns:
        Counts, all int64: intersection [K, concepts], column c - 1 for label c; unit_area [K, 1] (mask pixels
        over all images) and the same as mask_area [K]; concept_area [concepts].

    Raises:
        ActivationError, DataError, SettingError: shapes, dtypes or values that do not fit together.

    Example:
        >>> a = np.array([[[[0.0, 1.0]]]], np.float32)
        >>> y = np.array([[[1, 2]]])
        >>> count_intersections(a, [0.5], y, size=(1, 2)).intersection
        array([[0, 1]])

    Source: the tally of Network Dissection (Bau, Zhou et al. 2017); the sparse computation is ours.
    """
    view = activation_view(activations, layout)
    n, units, height, width = view.data.shape
    cut = np.asarray(host_array(thresholds), np.float32)
    if cut.shape != (units,) or np.isnan(cut).any():
        raise SettingError(f"expected {units} thresholds without NaN, one a unit; got shape {cut.shape}")
    try:
        size = (operator.index(size[0]), operator.index(size[1]))
    except (TypeError, IndexError) as error:
        raise SettingError(f"expected size (height, width) in pixels; got {size!r}") from error
    maps = _label_maps(labels, n, size)
    greatest = int(maps.max(initial=0))
    concepts = greatest if concepts is None else int(concepts)
    if greatest > concepts:
        raise DataError(f"expected labels of at most concepts = {concepts}; got {greatest}")
    upsampling = make_upsampling(upsample, (height, width), size)
    columns = np.arange(-1, concepts, dtype=np.int32)
    vocabulary = Concepts(
        np.arange(1, concepts + 1), ("",) * concepts, np.zeros(concepts, np.int64), ("labels",)
    )
    planes = join_planes(
        (
            pack_channels([LabelChannel(0, m) for m in image], columns, upsampling.size, once=True)
            for image in maps
        ),
        upsampling.size,
    )
    sifted = begin_sift(view, keys(cut), upsampling.reach, upsampling.ring, False)()
    if sifted.fault is not None:
        fault = sifted.fault
        raise ActivationError(
            f"expected finite activations below 1.7e38; got {fault.value} at image {fault.image}, unit {fault.unit}, "
            f"cell {fault.cell}"
        )
    counter = Counter(cut, upsampling, vocabulary, profile("netdissect", presence="all"))
    counter.add(sifted.cells, lambda first, last: slice_planes(planes, first, last))
    return counter.counts(concept_area(planes, concepts))


def _label_maps(labels: Any, n: int, size: tuple[int, int]) -> NDArray[Any]:
    maps = host_array(labels)
    if maps.ndim == 3:
        maps = maps[:, None]
    if maps.ndim != 4 or maps.shape[0] != n or maps.shape[2:] != tuple(size) or maps.dtype.kind not in "ui":
        raise DataError(
            f"expected integer labels [{n}, {size[0]}, {size[1]}] or [{n}, channels, {size[0]}, {size[1]}]; got "
            f"{maps.dtype} {maps.shape}; resize them by nearest neighbour, or pass size=(height, width)"
        )
    if maps.dtype.kind == "i" and maps.min(initial=0) < 0:
        raise DataError(f"expected labels of 0 (none) or more; got {int(maps.min())}")
    if maps.max(initial=0) > 1 << 24:
        raise DataError(f"expected labels of at most {1 << 24}; got {int(maps.max())}")
    return maps
