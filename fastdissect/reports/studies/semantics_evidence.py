"""Evidence on a picture, and the account of a score as a figure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels.reference import upsample
from fastdissect.methods.semantics import ConceptView
from fastdissect.reports.studies.figures import Figure
from fastdissect.reports.studies.waterfall import Part, waterfall
from fastdissect.upsampling import make_upsampling

__all__ = ["evidence_tile", "score_figure"]

_FOR, _AGAINST = "#3f74b8", "#bd5275"
_GLOW = np.array([255, 190, 40], np.float32)


def evidence_tile(pixels: NDArray[np.uint8], evidence: NDArray[np.float64], peak: float) -> NDArray[np.uint8]:
    """Return the picture, grey and dim, with its colours and a glow where a concept's evidence is positive.

    Args:
        pixels: uint8 [height, width, 3]. evidence: float64 [h, w], upsampled with half-pixel centres.
        peak: the evidence that is shown in full, the same for all concepts of a view.
    """
    height, width = pixels.shape[:2]
    cells = np.maximum(evidence, 0).astype(np.float32)
    size = (int(cells.shape[0]), int(cells.shape[1]))
    large = upsample(cells, make_upsampling("half-pixel", size, (height, width)))
    share = (
        np.clip(large / np.float32(peak), 0, 1)[:, :, None]
        if peak > 0
        else np.zeros((height, width, 1), np.float32)
    )
    picture = pixels.astype(np.float32)
    grey = picture.mean(2, keepdims=True) * 0.45 + 30
    lit = 0.55 * picture + 0.45 * _GLOW
    root = np.sqrt(share)  # weak evidence is to be seen
    tile: NDArray[np.uint8] = np.clip(grey + root * (lit - grey), 0, 255).astype(np.uint8)
    return tile


def score_figure(view: ConceptView, rest: str, name: str, caption: str) -> Figure:
    """Draw how a score is made up: each part begins where the one before ended.

    Args:
        rest: what the rest is called. name: of the figure's files.
    """
    own = view.evidence
    concepts = zip(view.names, own.contributions.tolist(), strict=True)
    parts = [Part(what, value, _FOR if value > 0 else _AGAINST) for what, value in concepts]
    total = "difference of the logits" if view.against is not None else "score"
    ends = [Part("residual", own.residual), Part(rest, own.rest)]
    return waterfall([*parts, *ends], total, own.score, name, caption)
