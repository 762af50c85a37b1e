"""An account as a figure: each part begins where the one before ended, down to their sum.

    unit 81 · tree          |=====|
    unit 0 · tree                 |====|
    10 other units in favour           |========|
    82 units against                           =|
    remainder                             |=====|
    logit                   |=============|

Parts and sum are drawn as they are given: that they add up is the caller's promise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fastdissect.reports.studies.figures import INK, QUIET, Figure, figure_files, printable, study_figure

__all__ = ["PLAIN", "Part", "waterfall"]

PLAIN, _TOTAL = "#b4afa6", "#3a3f47"
_LONGEST = 44  # letters of a row's name


class Part(NamedTuple):
    what: str
    value: float
    colour: str = PLAIN


def waterfall(parts: Sequence[Part], what: str, total: float, name: str, caption: str) -> Figure:
    """Draw the parts one after the other, and their sum from 0.

    Args:
        what: what the sum is called. name: of the figure's files.
    """
    labels, bars, at = [], [], 0.0
    for part in parts:
        labels.append(_short(part.what))
        bars.append((at, part.value))
        at += part.value
    labels.append(_short(what))
    bars.append((0.0, total))
    count = len(bars)
    with study_figure(6.8, 0.62 + 0.27 * count) as (figure, axes):
        axes.barh(
            range(count),
            [length for _, length in bars],
            left=[left for left, _ in bars],
            color=[*(part.colour for part in parts), _TOTAL],
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
