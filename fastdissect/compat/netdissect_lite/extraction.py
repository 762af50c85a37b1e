"""The run behind `feature_extraction`: one pass over all layers, kept in OUTPUT_FOLDER/fastdissect."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fastdissect.compat.netdissect_lite.broden import LiteBroden
from fastdissect.compat.netdissect_lite.features import LayerFeatures
from fastdissect.compat.netdissect_lite.inputs import PIXELS, lite_inputs
from fastdissect.compat.netdissect_lite.label_planes import label_planes, lite_profile
from fastdissect.compat.netdissect_lite.lite_settings import LiteSettings
from fastdissect.compat.netdissect_lite.recounting import recount, suffices
from fastdissect.dissection import dissect
from fastdissect.errors import LayerError, OutputError
from fastdissect.layer import LayerDissection
from fastdissect.models import resolve_layers
from fastdissect.results import Dissection
from fastdissect.types import Planes

__all__ = ["Extraction"]

log = logging.getLogger("fastdissect")


class Extraction:
    """All layers of a network over all images, and the network, in case that other thresholds need it again.

    Args:
        fresh: move aside what is in OUTPUT_FOLDER/fastdissect instead of going on with it.

    Raises:
        OutputError: that folder belongs to a run with other settings, weights or data.
        LayerError: an unknown layer.
    """

    def __init__(
        self, model: nn.Module, settings: LiteSettings, broden: LiteBroden, *, fresh: bool = False
    ) -> None:
        self.model, self.settings, self.broden = model, settings, broden
        self._names = {given: _one_layer(model, given) for given in settings.layers}
        self.dissection = self._whole(fresh)
        self.features = [
            LayerFeatures(self.dissection[self._names[given]], self) for given in settings.layers
        ]
        self.reported: set[str] = set()  # layers whose report was written
        self._others: dict[str, LayerDissection] = {}  # the last one with other thresholds, a layer

    @property
    def maxima(self) -> list[NDArray[np.float32]]:
        """float32 [images, units] of each layer: the images' maxima."""
        found = [handle.layer.maxima for handle in self.features]
        return [array for array in found if array is not None]

    def _whole(self, fresh: bool) -> Dissection:
        folder = self.settings.run
        found = self._dissect(tuple(self._names.values()), out=folder, fresh=fresh)
        if all(layer.activations is not None for layer in found.values()):
            return found
        log.info("the activations in %s were cleaned away: running the network again", folder)
        del found
        shutil.rmtree(folder)
        return self._dissect(tuple(self._names.values()), out=folder)

    def _dissect(self, layers: tuple[str, ...], *, out: Path | None, **options: Any) -> Dissection:
        settings, broden = self.settings, self.broden
        try:
            with lite_inputs(self.model):
                return dissect(
                    self.model,
                    broden,
                    layers,
                    profile=lite_profile(settings),
                    device="cuda" if settings.gpu else "cpu",
                    out=out,
                    batch_size=settings.batch_size,
                    size=broden.images_size,
                    mask_size=broden.masks_size,
                    preprocessing=PIXELS,
                    **options,
                )
        except OutputError as error:
            raise OutputError(
                f"{error} (from NetDissect-Lite's settings: another OUTPUT_FOLDER, or FeatureOperator(fresh=True) "
                "in the place of --fresh)"
            ) from error

    def at(self, layer: LayerDissection, thresholds: NDArray[np.float32]) -> LayerDissection:
        """The layer counted with these thresholds: from the retained cells, or by another pass where they are lower."""
        if np.array_equal(thresholds, layer.thresholds):
            return layer
        other = self._others.get(layer.name)
        if other is None or not np.array_equal(thresholds, other.thresholds):
            if suffices(layer, thresholds):
                other = recount(layer, thresholds, self.planes)
            else:
                lower = int((thresholds < layer.thresholds).sum())
                log.warning(
                    "layer %s: %d of %d thresholds are lower than the exact ones, whose cells were retained: running "
                    "the network once more",
                    layer.name,
                    lower,
                    len(thresholds),
                )
                other = self._dissect((layer.name,), out=None, thresholds={layer.name: thresholds})[
                    layer.name
                ]
            self._others[layer.name] = other
        return other

    @cached_property
    def planes(self) -> Callable[[int, int], Planes]:
        """planes(first, last): the packed masks, from the cache where it has them."""
        return label_planes(self.broden, self.settings)


def _one_layer(model: nn.Module, given: str) -> str:
    names = resolve_layers(model, given)
    if len(names) != 1:
        raise LayerError(
            f"settings.FEATURE_NAMES: expected names of single layers; {given!r} is a pattern of {len(names)}"
        )
    return names[0]
