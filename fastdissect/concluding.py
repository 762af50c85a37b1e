"""Concluding: a layer's retained cells and the planes -> exact thresholds, counts, results."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastdissect.counting import Counter
from fastdissect.errors import DeviceMemoryError
from fastdissect.kernels.stores import cells_on_host
from fastdissect.layer import LayerDissection
from fastdissect.sifting import Sieved
from fastdissect.types import Concepts, Planes, Profile, Upsampling

__all__ = ["Collected", "Recorded", "conclude"]

log = logging.getLogger("fastdissect")


class Collected(Protocol):
    """A layer whose activations have all been read (`LayerCollector`, or several shards' parts)."""

    @property
    def layer(self) -> str: ...
    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def upsampling(self) -> Upsampling: ...
    def finish(self) -> Sieved: ...


class Recorded(Protocol):
    """What was written down of all images (`ImageRecords`, or several shards')."""

    @property
    def images(self) -> int: ...
    def planes(self, first: int, last: int) -> Planes: ...
    def kept(self, layer: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...


def conclude(
    collector: Collected,
    records: Recorded,
    concepts: Concepts,
    profile: Profile,
    area: NDArray[np.int64],
    *,
    keep: bool,
    progress: Callable[[int], None],
) -> LayerDissection:
    """Threshold and count one layer.

    Args:
        area: pixels of each concept over all images [concepts].
        keep: keep cells, means and maxima in the result.
        progress: is told the number of images counted.
    """
    name = collector.layer
    found = collector.finish()
    counter = Counter(found.thresholds, collector.upsampling, concepts, profile)
    try:
        counter.add(found.cells, records.planes, progress)
    except DeviceMemoryError:  # the GPU holds the cells, but not the planes beside them
        found = found._replace(cells=cells_on_host(found.cells))
        counter = Counter(found.thresholds, collector.upsampling, concepts, profile)
        counter.add(found.cells, records.planes)
    means, maxima = records.kept(name) if keep else (None, None)
    layer = LayerDissection(
        name=name,
        profile=profile,
        concepts=concepts,
        shape=(records.images, *collector.shape),
        thresholds=found.thresholds,
        seen=found.seen,
        counts=counter.counts(area),
        upsampling=collector.upsampling,
        activations=cells_on_host(found.cells) if keep else None,
        means=means,
        maxima=maxima,
    )
    if layer.undetermined:
        most = int(found.seen.max())
        needed = math.ceil(1 / profile.quantile)
        log.warning(
            "layer %s: n = %d values a unit are too few for the top %s: its masks are empty; %d values are needed, "
            "some %d images",
            name,
            most,
            profile.quantile,
            needed,
            math.ceil(needed * records.images / most),
        )
    return layer
