"""`Explanation`: what is known of one decision of the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.explanation.contributions import ClassView
from fastdissect.methods.explanation.segmentation import segmentation
from fastdissect.methods.heads import Head

__all__ = ["Explanation"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why the network decided as it did about one image.

    Attributes:
        views: the predicted class; where it is wrong, the true class and the difference of the two; the classes that
            were asked for; the difference to `versus`.
        true: the image's class, or None where it is not known.
        probability: of the predicted class: the network's own softmax or sigmoid, else the softmax of the logits `among`.
        logits: float64 [classes]. features: x, float64 [units]. maps: float32 [units, h, w].
    """

    image: str
    pixels: NDArray[np.uint8]  # [height, width, 3], as decoded
    predicted: int
    probability: float
    true: int | None
    views: tuple[ClassView, ...]
    logits: NDArray[np.float64]
    features: NDArray[np.float64]
    maps: NDArray[np.float32]
    layer: LayerDissection
    head: Head
    names: tuple[str, ...]  # of the classes
    among: NDArray[np.int64]  # the classes of which a prediction is one
    chosen: str  # why this layer; "" where it was asked for
    mode: str  # of the segmentation

    @property
    def correct(self) -> bool | None:
        """Whether the prediction is right; None where the true class is not known."""
        return None if self.true is None else self.true == self.predicted

    def view(self, role: str) -> ClassView | None:
        """The view of that role: "predicted", "true", "asked", "difference"; of several the first."""
        return next((view for view in self.views if view.role == role), None)

    def segmentation(
        self, unit: int, size: tuple[int, int] | None = None, mode: str | None = None
    ) -> NDArray[np.bool_]:
        """Where a unit is active, bool [height, width] of the picture (or `size`).

        Raises:
            SettingError: no such unit or mode.
        """
        if not 0 <= unit < len(self.maps):
            raise SettingError(f"expected unit 0 to {len(self.maps) - 1}; got {unit}")
        height, width = size or self.pixels.shape[:2]
        threshold = float(self.layer.thresholds[unit])
        return segmentation(self.maps[unit], (height, width), mode or self.mode, threshold)
