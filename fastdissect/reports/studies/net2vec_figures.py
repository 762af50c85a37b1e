"""Figures of Net2Vec: one filter against many, how many filters a concept needs, how many concepts share a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastdissect.methods.extras import need
from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.figures import (
    INK,
    QUIET,
    Figure,
    category_colours,
    figure_files,
    printable,
    study_figure,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["needed_figure", "score_curve", "sharing_figure", "single_against_combined"]

_PANELS = 3  # categories in a row
_BAR = "#3f74b8"


def single_against_combined(scores: pd.DataFrame, what: str) -> Figure:
    """Draw a panel a category, a point a concept: the single filter's score and the combination's.

    Args:
        scores: from `single_and_combined`; concepts without both scores are left out. what: the score, in words.
    """
    known = scores[scores["single"].notna() & scores["combined"].notna()]
    shown = display_order(known["category"])
    colours = category_colours(shown)
    rows, columns = -(-len(shown) // _PANELS), min(len(shown), _PANELS)
    values = known[["single", "combined"]].to_numpy()
    low, high = _limits(float(values.min()), float(values.max()))
    with study_figure(6.5, 0.5 + 2.2 * rows, rows, columns, sharex=True, sharey=True, squeeze=False) as (
        figure,
        axes,
    ):
        for axis in axes.ravel()[len(shown) :]:
            axis.set_visible(False)
        for axis, category in zip(axes.ravel(), shown, strict=False):
            own = known[known["category"] == category]
            better = int((own["combined"] > own["single"]).sum())
            axis.plot([low, high], [low, high], color=QUIET, linewidth=0.8, zorder=1)
            axis.scatter(
                own["single"], own["combined"], s=14, color=colours[category], alpha=0.75, linewidths=0
            )
            axis.set_title(f"{printable(category)[:24]}: {better:,} of {len(own):,} gain")
            axis.set_xlim(low, high)
            axis.set_ylim(low, high)
            axis.set_aspect("equal")
        figure.supxlabel(f"single filter, {what}", fontsize=9)
        figure.supylabel(f"combination, {what}", fontsize=9)
        caption = (
            f"Each concept's {what} on val by its single filter and by the combination of all filters. Above the line the "
            "combination is better."
        )
        return figure_files(figure, "single-combined", caption)


def _limits(low: float, high: float) -> tuple[float, float]:
    """From 0, or from what the lowest score leaves room for where all are high (accuracies)."""
    first = 0.0 if low < 0.3 else low - 0.05
    return first, max(high + 0.03 * (high - first), first + 0.05)


def needed_figure(curve: pd.DataFrame, units: int) -> Figure:
    """Draw the share of concepts that need no more than so many filters; `curve`: columns filters, share."""
    with study_figure(5.0, 3.0) as (figure, axes):
        axes.plot(curve["filters"], 100 * curve["share"], marker="o", drawstyle="steps-post")
        axes.set_xscale("log", base=2)
        _powers(axes, curve["filters"])
        axes.set_xlabel(f"filters (of {units:,})")
        axes.set_ylabel("concepts (%)")
        axes.set_ylim(0, 103)
        caption = "Concepts that need no more than so many filters."
        return figure_files(figure, "filters-needed", caption)


def score_curve(curve: pd.DataFrame, units: int, what: str, bottom: float = 0.0) -> Figure:
    """Draw the mean score on val against the number of filters.

    Args:
        curve: from `FilterCounts.curve`. bottom: what the axis begins with, or lower: what knowing nothing scores.
    """
    with study_figure(5.0, 3.0) as (figure, axes):
        axes.errorbar(curve["filters"], curve["mean"], yerr=curve["error"], marker="o", capsize=2)
        axes.set_xscale("log", base=2)
        _powers(axes, curve["filters"])
        axes.set_xlabel(f"filters (of {units:,})")
        axes.set_ylabel(f"mean {what}")
        if curve["mean"].notna().any():
            axes.set_ylim(bottom=min(bottom, 0.95 * float(curve["mean"].min())))
        caption = (
            f"Mean {what} on val over the concepts, with its standard error, against the number of filters."
        )
        return figure_files(figure, "score-filters", caption)


def _powers(axes: Any, filters: Any) -> None:
    """Ticks at the numbers that were tried, as far as they do not run into each other."""
    kept: list[int] = []
    for f in sorted({int(f) for f in filters}):
        if not kept or f >= 1.6 * kept[-1]:
            kept.append(f)
    axes.set_xticks(kept, [str(f) for f in kept])
    axes.xaxis.set_minor_locator(need("matplotlib.ticker").NullLocator())


def sharing_figure(bins: pd.DataFrame) -> Figure:
    """Draw how many units are the best single filter of 0, 1, 2-5, ... concepts; `bins` is from `net2vec.sharing`."""
    with study_figure(5.0, 2.6) as (figure, axes):
        places = np.arange(len(bins))
        axes.bar(places, bins["filters"], 0.7, color=_BAR)
        for x, count in zip(places, bins["filters"], strict=True):
            axes.annotate(
                f"{count:,}",
                (x, count),
                (0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=INK,
            )
        axes.set_xticks(places, bins["concepts"])
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("concepts whose best single filter it is")
        axes.set_ylabel("units")
        axes.margins(y=0.12)
        return figure_files(figure, "sharing", "How many concepts share a best single filter.")
