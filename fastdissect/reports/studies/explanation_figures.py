"""The account of a logit as a figure: each part begins where the one before ended, down to the logit itself.

unit 81 · tree          |=====|
unit 0 · tree                 |====|
10 other units in favour           |========|
82 units against                           =|
remainder                             |=====|
logit                   |=============|
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from fastdissect.methods.explanation import NO_CONCEPT, ClassView
from fastdissect.reports.studies.figures import (
    INK,
    QUIET,
    Figure,
    category_colours,
    figure_files,
    printable,
    study_figure,
)

__all__ = ["account_figure", "percent", "rest_name"]

_PLAIN, _TOTAL = "#b4afa6", "#3a3f47"
_LONGEST = 44  # letters of a row's name


def rest_name(kind: str) -> str:
    """What the part that no unit contributes is called under a head of that kind."""
    return "bias" if kind == "linear" else "remainder"


def percent(share: float) -> str:
    """A share in per cent; "-" where there is nothing to share.

    >>> percent(0.6063), percent(float("nan"))
    ('60.6 %', '-')
    """
    return "-" if math.isnan(share) else f"{100 * share:.1f} %"


def account_figure(view: ClassView, kind: str, name: str, caption: str, mean: bool = False) -> Figure:
    """Draw how a logit, or the difference of two, is made up.

    Args:
        kind: of the head. name: of the figure's files.
        mean: the parts are means over several images.
    """
    lines = view.account(rest_name(kind))
    table = view.units.set_index("unit")
    colours = category_colours(dict.fromkeys(table["category"]))
    what = "difference of the logits" if view.against is not None else "logit"
    labels, bars, fills = [], [], []
    at = 0.0
    for line in lines:
        labels.append(_short(line.what))
        bars.append((at, line.value))
        at += line.value
        fills.append(_PLAIN if line.unit is None else _colour(table.loc[line.unit], colours))
    labels.append(f"mean {what}" if mean else what)
    bars.append((0.0, view.logit))
    fills.append(_TOTAL)
    count = len(bars)
    with study_figure(6.8, 0.62 + 0.27 * count) as (figure, axes):
        rows = range(count)
        axes.barh(
            rows, [length for _, length in bars], left=[left for left, _ in bars], color=fills, height=0.66
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
        axes.set_yticks(list(rows), labels)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(count - 0.4, -0.6)
        axes.set_xlim(low - 2 * room, high + 9 * room)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        return figure_files(figure, name, caption)


def _colour(unit: object, colours: Mapping[str, str]) -> str:
    row: Mapping[str, str] = unit  # type: ignore[assignment]  # a row of the table
    return _PLAIN if row["concept"] == NO_CONCEPT else colours[row["category"]]


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
