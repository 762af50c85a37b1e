"""Pixels that two unions of labels share, under units' masks: parts on their wholes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastdissect.layer import LayerDissection
from fastdissect.methods.hierarchy.counting import count_planes
from fastdissect.methods.hierarchy.uniting import Unions, shared_planes
from fastdissect.types import Concepts, Planes

__all__ = ["SharedCounts", "count_shared"]

_MOST = 1 << 24  # counts at a time, 128 MB


@dataclass(frozen=True, eq=False)
class SharedCounts:
    """Pixels that two unions share, for pairs of them."""

    under: tuple[NDArray[np.int64], ...]  # [pairs], each [units that were asked for], under the unit's masks
    pixels: NDArray[np.int64]  # [pairs], anywhere


def count_shared(
    layer: LayerDissection,
    planes: Planes,
    sets: Sequence[Sequence[int]],
    pairs: NDArray[np.int64],
    units: Sequence[NDArray[np.int64]],
    progress: Callable[[int], None] | None = None,
) -> SharedCounts:
    """Count what two sets of labels share, under units' masks; (p, p) counts the set p itself.

    Args:
        sets: columns of each. pairs: int64 [pairs, 2], numbers of sets.
        units: of each pair, those whose counts are kept.
    """
    unite = Unions(sets, len(layer.concepts))
    under: list[NDArray[np.int64]] = []
    pixels = np.zeros(len(pairs), np.int64)
    step = max(1, _MOST // max(1, layer.units_count))
    for first in range(0, len(pairs), step):
        own = pairs[first : first + step]
        vocabulary = Concepts(
            np.arange(1, len(own) + 1), ("",) * len(own), np.zeros(len(own), np.int64), ("all",)
        )

        def shared(block: Planes, own: NDArray[np.int64] = own) -> Planes:
            return shared_planes(unite(block), len(sets), own)

        found, area = count_planes(layer, planes, shared, vocabulary, "all", progress)
        under += [found.intersection[kept, i] for i, kept in enumerate(units[first : first + step])]
        pixels[first : first + step] = area
    return SharedCounts(tuple(under), pixels)
