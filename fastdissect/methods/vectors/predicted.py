"""Where a concept's vector sees the concept: the mask of a combination of filters in one image.

Source: Net2Vec (Fong and Vedaldi 2018), section 3.1; METHODS 3.2: sigmoid(up(sum w_k Z_k)) > 0.5, which is
up(sum w_k Z_k) > 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.kernels.concept_masks import ActiveCells
from fastdissect.kernels.reference import upsampled_mask
from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec.features import active_cells
from fastdissect.methods.net2vec.interpolation import MODES, mask_upsampling
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.types import Upsampling

__all__ = ["PredictedMasks", "predicted_masks"]


@dataclass(frozen=True, eq=False)
class PredictedMasks:
    """Masks of a layer's segmentation vectors, image by image, without the network."""

    vectors: ConceptVectors
    cells: ActiveCells
    upsampling: Upsampling

    def __call__(self, row: int, image: int) -> NDArray[np.bool_]:
        """Return where a concept is predicted, bool [height, width] of the masks' size.

        Args:
            row: of the concept's vector. image: number in the run.
        """
        _, _, height, width = self.cells.shape
        own = slice(*self.cells.image_start[image : image + 2])
        weights = self.vectors.weights[row].astype(np.float64)
        summed = np.bincount(self.cells.cell[own], weights[self.cells.unit[own]], height * width)
        bias = 0.0 if self.vectors.bias is None else float(self.vectors.bias[row])
        dense = (summed + bias).astype(np.float32).reshape(height, width)
        return upsampled_mask(dense, np.zeros(1, np.float32), self.upsampling)


def predicted_masks(vectors: ConceptVectors, layer: LayerDissection) -> PredictedMasks:
    """Return the masks of segmentation vectors on the layer that they were trained on.

    Raises:
        SettingError: other vectors, another layer, or a run without activations.

    Example:
        >>> predicted_masks(vectors, d["conv5"])(vectors.find("sky"), 0).mean()            # doctest: +SKIP
    """
    if vectors.kind != "segmentation":
        raise SettingError(f"expected segmentation vectors, which have masks; got {vectors.kind}")
    if (vectors.layer, vectors.units) != (layer.name, layer.units_count):
        raise SettingError(
            f"expected the layer of the vectors, {vectors.layer!r} with {vectors.units} units; got {layer.name!r} with "
            f"{layer.units_count}"
        )
    mode = vectors.record.get("settings", {}).get("upsampling", MODES[0])
    return PredictedMasks(vectors, active_cells(layer), mask_upsampling(mode, layer.upsampling))
