"""Activations that a script holds as an array or a memory map of its own, in the place of our handle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.arrays import activation_view
from fastdissect.counting import Counter, concept_area
from fastdissect.errors import ActivationError
from fastdissect.layer import LayerDissection
from fastdissect.sifting import LayerSifter, Sieved, fault_error
from fastdissect.types import ActivationView, Concepts, Planes, Profile, Upsampling
from fastdissect.upsampling import make_upsampling

__all__ = ["SiftedArray", "count_array", "sift_array"]

_BLOCK = 64  # images sifted together


class SiftedArray(NamedTuple):
    """One array, read once."""

    shape: tuple[int, int, int, int]
    found: Sieved
    upsampling: Upsampling
    means: NDArray[np.float32]
    maxima: NDArray[np.float32]


def sift_array(
    features: Any,
    profile: Profile,
    masks: tuple[int, int],
    *,
    name: str = "features",
    thresholds: NDArray[np.float32] | None = None,
) -> SiftedArray:
    """Find exact thresholds, and the cells that can matter above them.

    Args:
        features: [images, units, height, width] or [images, units]; NumPy, a memory map or a torch tensor on the
            CPU; float32, float16 or bfloat16, or float64 that holds float32 values, as Lite's files do.
        masks: height and width of the masks.
        thresholds: float32 [units], to sift with known ones.

    Raises:
        ActivationError: another shape or dtype, float64 values that no float32 has, NaN, or no image.
    """
    if not hasattr(features, "shape") or not len(features):
        raise ActivationError(
            f"expected features from feature_extraction, or an array [images, units, height, width]; got "
            f"{type(features).__name__} of shape {getattr(features, 'shape', None)}"
        )
    sifter: LayerSifter | None = None
    means, maxima, seen = [], [], 0
    for view in _blocks(features):
        _, units, height, width = view.data.shape
        if sifter is None:
            upsampling = make_upsampling(profile.upsampling, (height, width), masks)
            sifter = LayerSifter(
                name,
                (units, height, width),
                view.kind,
                len(features),
                profile,
                upsampling,
                thresholds=thresholds,
            )
        sifted = sifter.add(view)
        if sifted.fault is not None:
            raise fault_error(name, sifted.fault, str(seen + sifted.fault.image))
        means.append(sifted.means)
        maxima.append(sifted.maxima)
        seen += len(view.data)
    assert sifter is not None
    shape = (seen, *sifter.shape)
    return SiftedArray(shape, sifter.finish(), upsampling, np.concatenate(means), np.concatenate(maxima))


def _blocks(features: Any) -> Iterator[ActivationView]:
    for first in range(0, len(features), _BLOCK):
        block = features[first : first + _BLOCK]
        if isinstance(block, np.ndarray) and block.dtype == np.float64:
            with np.errstate(over="ignore"):
                narrow = block.astype(np.float32)
            if not np.array_equal(narrow, block, equal_nan=True):
                raise ActivationError(
                    f"expected float32 activations, or float64 that holds them as NetDissect-Lite's files do; got "
                    f"float64 values that no float32 has (images {first} to {first + len(block) - 1}); convert them "
                    "knowingly with features.astype(np.float32)"
                )
            block = narrow
        yield activation_view(block if not isinstance(block, np.memmap) else np.asarray(block))


def count_array(
    sifted: SiftedArray, name: str, profile: Profile, concepts: Concepts, planes: Callable[[int, int], Planes]
) -> LayerDissection:
    """Count an array's masks over the data set's images, of which it must have as many."""
    found, images = sifted.found, sifted.shape[0]
    counter = Counter(found.thresholds, sifted.upsampling, concepts, profile)
    counter.add(found.cells, planes)
    area = np.zeros(len(concepts), np.int64)
    for first in range(0, images, _BLOCK):
        area += concept_area(planes(first, min(first + _BLOCK, images)), len(concepts))
    return LayerDissection(
        name=name,
        profile=profile,
        concepts=concepts,
        shape=sifted.shape,
        thresholds=found.thresholds,
        seen=found.seen,
        counts=counter.counts(area),
        upsampling=sifted.upsampling,
        activations=found.cells,
        means=sifted.means,
        maxima=sifted.maxima,
    )
