"""Figures of an ablation: groups beside random ones, classes by groups, single units by their IoU."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdissect.reports.studies.figures import INK, QUIET, Figure, figure_files, printable, study_figure

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.ablation.result import Ablation

__all__ = ["class_map", "group_bars", "unit_scatter"]

_GROUPS = 40  # rows
_CLASSES = 20  # columns
_BAND = "#d3cfc6"


def group_bars(found: Ablation) -> Figure:
    """Draw what each group costs, over what random groups of its size cost."""
    table = found.table.head(_GROUPS)
    what = "Drop of accuracy" if found.has_accuracy else "Mean size of the logits' changes"
    caption = f"{what} when a group's units (their number behind its name) are {found.done}."
    with study_figure(6.5, 0.9 + 0.27 * len(table)) as (figure, axes):
        drawn = [axes.barh(range(len(table)), table[found.measure], 0.36, label="the group", zorder=2.5)]
        if found.random_groups:
            drawn += _random(axes, found, table)
            caption += " Behind it, random groups of the same size: their mean"
            caption += ", and one standard deviation to both sides." if len(drawn) > 2 else "."
            figure.legend(handles=drawn, loc="outside upper left", ncols=3, handlelength=1)
        axes.axvline(0, color=QUIET, linewidth=0.8)
        axes.use_sticky_edges = False
        axes.margins(x=0.03)
        _name_rows(axes, table)
        axes.set_xlabel(what.lower())
        return figure_files(figure, "groups", caption + _beyond(len(found.table)))


def _random(axes: Any, found: Ablation, table: pd.DataFrame) -> list[Any]:
    """The random groups' mean as a line across the row, a standard deviation to both sides as a band."""
    mean, rows = table[f"random_{found.measure}"], np.arange(len(table))
    drawn = [
        axes.vlines(
            mean, rows - 0.4, rows + 0.4, color=INK, linewidth=1.1, label="random groups, mean", zorder=3
        )
    ]
    if found.has_accuracy and table["random_sd"].notna().any():
        sd = table["random_sd"].fillna(0)
        drawn.append(axes.barh(rows, 2 * sd, 0.8, mean - sd, color=_BAND, label="one standard deviation"))
    return drawn


def class_map(found: Ablation) -> Figure:
    """Draw a matrix of groups and classes: what each group costs each class."""
    column = "drop" if found.has_accuracy else "logit_change"
    values = found.classes[column].to_numpy().reshape(len(found.groups), -1)[:_GROUPS]
    most = np.nan_to_num(np.abs(values)).max(0)
    chosen = np.sort(np.argsort(-most, kind="stable")[:_CLASSES])
    largest, left = float(most.max()) or 1.0, len(most) - len(chosen)
    what = (
        "Drop of accuracy by class, in per cent"
        if found.has_accuracy
        else "Change of the mean logit by class"
    )
    caption = f"{what}, when a group's units are {found.done}: red is a loss, blue a gain."
    if left:
        caption += f" The {len(chosen)} classes with the largest changes; classes.csv has {left:,} more."
    loss = 1 if found.has_accuracy else -1  # a logit that falls is one
    with study_figure(6.5, 1.3 + 0.25 * len(values)) as (figure, axes):
        axes.grid(visible=False)
        axes.pcolormesh(
            loss * values[:, chosen],
            cmap="RdBu_r",
            vmin=-largest,
            vmax=largest,
            edgecolors="white",
            linewidth=0.6,
        )
        for y, row in enumerate(values[:, chosen]):
            for x, value in enumerate(row):
                ink = "white" if abs(value) > 0.62 * largest else INK
                words = _worth(value, largest, percent=found.has_accuracy)
                axes.text(x + 0.5, y + 0.5, words, ha="center", va="center", fontsize=6, color=ink)
        names = [_short(found.class_names[c], 18) for c in chosen]
        axes.set_xticks(np.arange(len(names)) + 0.5, names, rotation=40, ha="right")
        _name_rows(axes, found.table.head(_GROUPS), 0.5)
        axes.tick_params(length=0)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        return figure_files(figure, "classes", caption + _beyond(len(found.table)))


def _worth(value: float, largest: float, *, percent: bool) -> str:
    """A cell's number; nothing where it rounds to 0, or is not known.

    >>> _worth(0.126, 1, percent=True), _worth(0.004, 1, percent=True), _worth(-1.26, 3, percent=False)
    ('13', '', '-1.3')
    """
    if math.isnan(value) or abs(value) < (0.005 if percent else largest / 100):
        return ""
    return f"{100 * value:.0f}" if percent else f"{value:.2g}"


def unit_scatter(found: Ablation, units: pd.DataFrame) -> Figure:
    """Draw a point a unit: its IoU, and what ablating it alone costs."""
    what = "drop of accuracy" if found.has_accuracy else "mean change of the logits"
    with study_figure(6.5, 3.6) as (figure, axes):
        for detects, name in ((True, "detectors"), (False, "other units")):
            own = units[units["detector"] == detects]
            axes.scatter(own["iou"], own[found.measure], s=16, alpha=0.75, linewidths=0, label=name)
        axes.axhline(0, color=QUIET, linewidth=0.8)
        axes.set_xlabel("IoU with the unit's label")
        axes.set_ylabel(what)
        figure.legend(loc="outside upper left", ncols=2, handlelength=1)
        return figure_files(figure, "units", f"Each unit ablated alone: {what} against its IoU.")


def _name_rows(axes: Any, table: pd.DataFrame, middle: float = 0.0) -> None:
    """The groups' names and sizes beside the rows, the first on top."""
    names = [
        f"{_short(group)} ({units:,})" for group, units in zip(table["group"], table["units"], strict=True)
    ]
    axes.set_yticks([row + middle for row in range(len(names))], names, color=INK)
    axes.set_ylim(len(names) - 0.5 + middle, middle - 0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _beyond(groups: int) -> str:
    return f" The first {_GROUPS} of {groups:,} groups." if groups > _GROUPS else ""


def _short(text: str, length: int = 38) -> str:
    text = printable(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"
