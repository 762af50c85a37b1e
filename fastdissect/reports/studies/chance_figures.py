"""Figures of the chance study: what chance gives beside what was found."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdissect.methods.chance import ChanceLevel
from fastdissect.reports.studies.figures import INK, QUIET, Figure, figure_files, printable, study_figure

__all__ = ["null_histogram", "ranked_units"]

_FOUND, _CHANCE, _CALIBRATED = "#3f74b8", "#b9b4a9", "#c07f22"
_BINS = 48


def null_histogram(found: ChanceLevel, name: str) -> Figure:
    """Draw the units' best IoU, observed and under permutations, as shares of all units."""
    top = max(float(found.iou.max(initial=0)), float(found.null.max(initial=0)), 2 * _cut(found), 1e-6)
    edges = np.linspace(0, top, _BINS + 1)
    with study_figure(6.5, 3.0) as (figure, axes):
        for values, colour, label in (
            (found.null.ravel(), _CHANCE, f"under {found.permutations:,} permutations"),
            (found.iou, _FOUND, "observed"),
        ):
            weights = np.full(len(values), 100 / max(len(values), 1))
            axes.hist(values, edges, weights=weights, color=colour, alpha=0.75, label=label)
        _cuts(axes.axvline, found)
        axes.set_xlabel("best IoU over all concepts")
        axes.set_ylabel("units (%)")
        axes.set_xlim(0, top)
        axes.legend()
        caption = (
            f"Best IoU of the {len(found.iou):,} units of {printable(found.layer.name)}, and of the same units when "
            "images and labels are paired at random."
        )
        return figure_files(figure, f"{name}-null", caption)


def ranked_units(found: ChanceLevel, name: str) -> Figure:
    """Draw the units by IoU, each over the middle 90 % of its own null distribution."""
    order = np.argsort(-found.iou, kind="stable")
    rank = np.arange(1, len(order) + 1)
    low, high = np.quantile(found.null[:, order], [0.05, 0.95], axis=0, method="inverted_cdf")
    beyond = found.beyond_chance[order]
    with study_figure(6.5, 3.4) as (figure, axes):
        axes.vlines(
            rank,
            low,
            high,
            color=_CHANCE,
            linewidth=max(0.6, min(4, 250 / len(rank))),
            label="5 to 95 % by chance",
        )
        for own, colour, label in (
            (beyond, _FOUND, f"q ≤ {found.level:g}"),
            (~beyond, INK, f"q > {found.level:g}"),
        ):
            if own.any():
                axes.plot(rank[own], found.iou[order][own], "o", color=colour, markersize=2.5, label=label)
        _cuts(axes.axhline, found)
        axes.set_xlabel("units, by IoU")
        axes.set_ylabel("best IoU")
        axes.set_ylim(bottom=0)
        axes.legend()
        caption = (
            f"The units of {printable(found.layer.name)} in falling order of IoU, over what chance gives each of them. "
            "A unit with large masks is higher by chance than one with small masks."
        )
        return figure_files(figure, f"{name}-units", caption)


def _cut(found: ChanceLevel) -> float:
    return max(found.cut, found.layer.profile.cut)


def _cuts(line: Any, found: ChanceLevel) -> None:
    cut = found.layer.profile.cut
    line(cut, color=QUIET, linestyle="--", linewidth=1, label=f"cut of the profile, {cut:g}")
    line(found.cut, color=_CALIBRATED, linestyle="--", linewidth=1, label=f"calibrated cut, {found.cut:.3g}")
