"""A Lite run's masks as packed planes, and the conventions that they are counted by."""

from __future__ import annotations

from collections.abc import Callable

from fastdissect.batches import DatasetBatches
from fastdissect.caching import PlaneCache, cache_folder
from fastdissect.compat.netdissect_lite.broden import LiteBroden
from fastdissect.compat.netdissect_lite.inputs import PIXELS
from fastdissect.compat.netdissect_lite.lite_settings import LiteSettings
from fastdissect.conventions import profile
from fastdissect.masks import image_planes
from fastdissect.packing import join_planes
from fastdissect.sources import open_source
from fastdissect.types import Planes, Profile

__all__ = ["label_planes", "lite_profile"]


def lite_profile(settings: LiteSettings) -> Profile:
    """NetDissect-Lite's conventions with these settings."""
    return profile("netdissect-lite", quantile=settings.top, cut=settings.score_threshold)


def label_planes(broden: LiteBroden, settings: LiteSettings) -> Callable[[int, int], Planes]:
    """planes(first, last) of a data set's images: those that the run left in the cache, or packed when asked for."""
    source, _ = open_source(
        broden,
        None,
        PIXELS,
        lite_profile(settings),
        size=broden.images_size,
        mask_size=broden.masks_size,
        batch_size=settings.batch_size,
        workers=0,
        images=None,
    )
    assert isinstance(source, DatasetBatches)
    store = PlaneCache(cache_folder(), source).find()
    if store is not None:
        return store.block

    def pack(first: int, last: int) -> Planes:
        images = (
            image_planes(
                broden.read_labels(i),
                source.columns,
                source.mask_size,
                once=source.once,
                image=broden.image_name(i),
            )
            for i in range(first, last)
        )
        return join_planes(images, source.mask_size)

    return pack
