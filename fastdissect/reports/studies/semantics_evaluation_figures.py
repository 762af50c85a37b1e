"""The figures behind the evaluation of semantic vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastdissect.methods.semantics import STABLE
from fastdissect.methods.semantics.views import UNEXPLAINED
from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.figures import (
    QUIET,
    Figure,
    category_colours,
    figure_files,
    printable,
    study_figure,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["overlap_figure", "pointing_figure", "removal_figure", "residual_figure", "stability_figure"]

_RIGHT, _WRONG, _OPEN = "#2b8a76", "#bd5275", "#4f7f92"
_KINDS = (("yes", "right", _RIGHT), ("no", "wrong", _WRONG), ("", "true class not known", _OPEN))


def overlap_figure(table: pd.DataFrame) -> Figure:
    """AP and IoU of each vector against those of the best single unit."""
    panels = [("AP", "ap_val", "single_ap"), ("IoU", "iou_val", "single_iou")]
    if not (table["iou_val"].notna() & table["single_iou"].notna()).any():
        del panels[1]
    with study_figure(6.8, 3.5, 1, len(panels), squeeze=False) as (figure, axes):
        for axis, (name, ours, single) in zip(axes[0], panels, strict=True):
            _points(axis, table, single, ours)
            axis.set_xlabel(f"best single unit, {name}")
            axis.set_ylabel(f"semantic vector, {name}")
        axes[0][-1].legend(loc="lower right")
        words = "On held-out images, a point a concept. Above the line the vector is better than the best single unit."
        return figure_files(figure, "single", words)


def pointing_figure(played: pd.DataFrame) -> Figure:
    """Shares of hits of each vector against the best single unit and random directions."""
    panels = (("single_unit", "best single unit"), ("random", "random directions"))
    with study_figure(6.8, 3.5, 1, 2, sharey=True) as (figure, axes):
        for axis, (column, words) in zip(axes, panels, strict=True):
            _points(axis, played, column, "vector")
            axis.set_xlabel(f"{words}, share of hits")
        axes[0].set_ylabel("semantic vector, share of hits")
        axes[1].legend(loc="lower right")
        words = "The pointing game, a point a concept. Above the line the vector points better."
        return figure_files(figure, "pointing", words)


def residual_figure(decisions: pd.DataFrame) -> Figure:
    """How the residual share is spread over decisions, right and wrong ones."""
    some = [
        (decisions.loc[decisions["right"] == key, "residual_share"].dropna(), f"{name}", colour)
        for key, name, colour in _KINDS
    ]
    some = [one for one in some if len(one[0])]
    with study_figure(6.0, 3.0) as (figure, axes):
        axes.hist(
            [one[0] for one in some],
            bins=np.linspace(0, 1, 21),
            stacked=True,
            color=[one[2] for one in some],
            label=[f"{one[1]}: {len(one[0]):,}" for one in some],
        )
        axes.axvline(UNEXPLAINED, color=QUIET, linewidth=1, linestyle="--")
        axes.set_xlim(0, 1)
        axes.set_xlabel("residual, share of contributions and residual")
        axes.set_ylabel("decisions")
        axes.yaxis.get_major_locator().set_params(integer=True)
        if some:
            axes.legend(title="decisions")
        words = "Decisions by their residual share; to the right of the line they are not explained by the vocabulary."
        return figure_files(figure, "residuals", words)


def removal_figure(removals: pd.DataFrame) -> Figure:
    """How the score falls against what a concept contributed; sizes of changes against chance."""
    first = removals["rank"] == 1
    with study_figure(6.8, 3.3, 1, 2) as (figure, (left, right)):
        for own, colour, label in (
            (removals[~first], "#b4afa6", "other concepts"),
            (removals[first], "#3f74b8", "an image's strongest concept"),
        ):
            left.plot(
                own["contribution"], -own["change"], "o", color=colour, markersize=2.6, alpha=0.6, label=label
            )
        low = min(removals["contribution"].min(), (-removals["change"]).min())
        high = max(removals["contribution"].max(), (-removals["change"]).max())
        left.plot([low, high], [low, high], color=QUIET, linewidth=0.8)
        left.set_xlabel("contribution")
        left.set_ylabel("fall of the score without it")
        left.legend(loc="lower right")
        strongest = removals[first]
        for values, colour, label in (
            (strongest["change"].abs(), "#3f74b8", "strongest concept"),
            (strongest["chance"], "#c07f22", "random directions"),
        ):
            ordered = np.sort(values.to_numpy(float))
            right.plot(
                ordered, np.arange(1, len(ordered) + 1) / max(len(ordered), 1), color=colour, label=label
            )
        right.set_xlabel("size of the change of the score")
        right.set_ylabel("share of images")
        right.legend(loc="lower right")
        words = (
            "Left: what a concept contributed, and how far the score falls when it is removed. Right: by how much the score "
            "changes without an image's strongest concept, and along random directions of equal energy (root mean square)."
        )
        return figure_files(figure, "removals", words)


def stability_figure(stability: pd.DataFrame) -> Figure:
    """The least cosine of every concept with the vectors of other seeds."""
    colours = category_colours(dict.fromkeys(stability["category"]))
    order = list(display_order(dict.fromkeys(stability["category"])))
    with study_figure(6.0, 1.1 + 0.32 * len(order)) as (figure, axes):
        for row, name in enumerate(order):
            own = stability.loc[stability["category"] == name, "least"]
            axes.plot(own, [row] * len(own), "o", color=colours[name], markersize=4, alpha=0.7)
        axes.axvline(STABLE, color=QUIET, linewidth=1, linestyle="--")
        axes.set_yticks(range(len(order)), [printable(name) for name in order])
        axes.set_ylim(len(order) - 0.5, -0.5)
        axes.set_xlim(min(0.88, float(stability["least"].min()) - 0.02), 1.005)
        axes.set_xlabel("least cosine with the vector of another seed")
        words = f"A point a concept; right of the line, at {STABLE}, the vector hardly depends on which positions were drawn."
        return figure_files(figure, "stability", words)


def _points(axes: Any, table: pd.DataFrame, x: str, y: str) -> None:
    """Points by category, and the line on which both are equal."""
    for name, colour in category_colours(dict.fromkeys(table["category"])).items():
        own = table[table["category"] == name]
        axes.plot(own[x], own[y], "o", color=colour, markersize=3.6, label=printable(name))
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
