"""Counts under permutations of the images, and the best IoU that each unit then has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect import scores
from fastdissect.counting import concept_area, presence_of
from fastdissect.errors import DataError
from fastdissect.kernels import get_num_threads
from fastdissect.kernels.mask_ranges import MaskRanges
from fastdissect.kernels.selection import host_backend
from fastdissect.layer import LayerDissection
from fastdissect.types import Counts, Planes

__all__ = ["Laid", "check_planes", "null_maxima", "permuted_counts"]

_ROOM = (
    64 << 20
)  # bytes of sums at a time, but at least one permutation a thread (each has a buffer as large)


class Laid(NamedTuple):
    """A layer's masks and the planes that are laid under them."""

    layer: LayerDissection
    masks: MaskRanges
    planes: Planes


def permuted_counts(
    laid: Laid, permutations: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count with the planes of image permutations[i, n] under the masks of image n.

    Returns:
        intersection, int64 [permutations, units, concepts]; unit_area, int64 [permutations, units, categories].
    """
    layer, masks, planes = laid
    concepts, count = layer.concepts, len(permutations)
    categories = len(concepts.categories)
    present = None
    if layer.profile.presence == "image":
        present = presence_of(planes, concepts.category, categories)
    elif layer.profile.presence == "all":
        present = np.ones((planes.images, categories), np.bool_)
    intersection = np.zeros((count, masks.units, len(concepts)), np.int64)
    unit_area = np.zeros((count, masks.units, categories), np.int64)
    kernels = host_backend()  # the planes and the masks are on the host
    kernels.count_permuted(
        masks,
        planes,
        np.ascontiguousarray(permutations, np.int64),
        np.ascontiguousarray(concepts.category, np.int64),
        present,
        intersection,
        unit_area,
        get_num_threads(),
    )
    return intersection, unit_area


def check_planes(laid: Laid) -> None:
    """Count once without a permutation: that must give the layer's own counts, bit for bit.

    Raises:
        DataError: the planes are of other images, of another size, or their labels have changed since.
    """
    layer, masks, planes = laid
    same = planes.images == masks.images and planes.size == masks.size
    same = same and int(planes.concept.max(initial=-1)) < len(layer.concepts)
    if same:
        area = concept_area(planes, len(layer.concepts))
        intersection, unit_area = permuted_counts(laid, np.arange(planes.images)[None])
        same = bool(
            np.array_equal(area, layer.counts.concept_area)
            and np.array_equal(intersection[0], layer.intersection)
            and np.array_equal(unit_area[0], layer.unit_area)
        )
    if not same:
        raise DataError(
            f"layer {layer.name!r}: expected the label planes of the run, under which its own counts come out again; "
            f"got {planes.images:,} images of {planes.size[0]} x {planes.size[1]} with other labels; the data set has "
            "changed since: open the run's own (data=, --data SPEC), or dissect again"
        )


def null_maxima(
    laid: Laid, permutations: int, seed: int, progress: Callable[[int], None] | None = None
) -> NDArray[np.float64]:
    """Return every unit's best IoU over the concepts under random permutations, float64 [permutations, units].

    Permutation i depends on the seed and the number of images alone: it is the same for all units and layers.
    """
    layer = laid.layer
    best = np.zeros((permutations, laid.masks.units))
    for first, orders in _drawn(laid, permutations, seed):
        intersection, unit_area = permuted_counts(laid, orders)
        for i, (shared, area) in enumerate(zip(intersection, unit_area, strict=True), first):
            counts = Counts(shared, area, layer.counts.concept_area, layer.mask_area)
            best[i] = scores.iou(counts, layer.concepts, layer.profile).max(1, initial=0)
        if progress is not None:
            progress(len(orders))
    return best


def _drawn(laid: Laid, permutations: int, seed: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(number of the first, permutations) in blocks that the sums have room for."""
    rng = np.random.default_rng(seed)
    one = 8 * laid.masks.units * (len(laid.layer.concepts) + len(laid.layer.concepts.categories))
    block = max(get_num_threads(), min(64, _ROOM // max(one, 1)))
    for first in range(0, permutations, block):
        count = min(block, permutations - first)
        yield first, np.stack([rng.permutation(laid.masks.images) for _ in range(count)])
