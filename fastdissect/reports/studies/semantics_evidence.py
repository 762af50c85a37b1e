"""Evidence on a picture, and the account of a score as a figure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels.reference import upsample
from fastdissect.methods.semantics import ConceptView
from fastdissect.reports.studies.figures import INK, QUIET, Figure, figure_files, printable, study_figure
from fastdissect.upsampling import make_upsampling

__all__ = ["evidence_tile", "score_figure"]

_FOR, _AGAINST, _PLAIN, _TOTAL = "#3f74b8", "#bd5275", "#b4afa6", "#3a3f47"
_GLOW = np.array([255, 190, 40], np.float32)
_LONGEST = 40


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
    lines = [
        *zip(view.names, own.contributions.tolist(), strict=True),
        ("residual", own.residual),
        (rest, own.rest),
    ]
    total = "difference of the logits" if view.against is not None else "score"
    labels = [_short(what) for what, _ in lines] + [total]
    values = [value for _, value in lines]
    starts = [0.0, *np.cumsum(values)[:-1].tolist()]
    fills = [_PLAIN if i >= len(view.names) else _FOR if v > 0 else _AGAINST for i, v in enumerate(values)]
    bars = [*zip(starts, values, strict=True), (0.0, own.score)]
    count = len(bars)
    with study_figure(6.8, 0.62 + 0.27 * count) as (figure, axes):
        axes.barh(
            range(count),
            [length for _, length in bars],
            left=[left for left, _ in bars],
            color=[*fills, _TOTAL],
            height=0.66,
        )
        for row, (left, length) in enumerate(bars[:-1]):
            axes.plot([left + length] * 2, [row + 0.33, row + 0.67], color=QUIET, linewidth=0.7)
        low = min(0.0, *(min(left, left + length) for left, length in bars))
        high = max(0.0, *(max(left, left + length) for left, length in bars))
        room = (high - low or 1.0) * 0.012
        for row, (left, length) in enumerate(bars):
            sign = f"{length:+.3g}" if row < count - 1 else f"{length:.3g}"
            axes.text(max(left, left + length) + room, row, sign, va="center", fontsize=8, color=INK)
        axes.axvline(0, color=QUIET, linewidth=0.8)
        axes.set_yticks(range(count), labels)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(count - 0.4, -0.6)
        axes.set_xlim(low - 2 * room, high + 9 * room)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        return figure_files(figure, name, caption)


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
