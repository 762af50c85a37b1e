"""Unique detectors over the layers of a network: depth."""

from __future__ import annotations

from typing import Any

from fastdissect.methods.comparison.comparing import Comparison
from fastdissect.methods.comparison.entries import Entry
from fastdissect.methods.extras import need
from fastdissect.reports.studies.comparison_stamp import stamp_if, stamp_room
from fastdissect.reports.studies.comparison_words import layer_name, short, slot_entries
from fastdissect.reports.studies.figures import (
    Figure,
    category_colours,
    figure_files,
    study_figure,
)

__all__ = ["count_axis", "depth_by_category", "depth_of_runs", "has_depth"]

_PANELS = 3  # in a row


def has_depth(comparison: Comparison) -> bool:
    """True where there is more than one layer a run."""
    return len(slot_entries(comparison)) > 1


def depth_of_runs(comparison: Comparison) -> Figure:
    """Draw a line a run: unique detectors (sum over the categories) over its layers."""
    with study_figure(6.5, 3.4 + stamp_room(comparison)) as (figure, axis):
        if comparison.steps.keys() == comparison.runs.keys():  # from early to late
            axis.set_prop_cycle(color=need("matplotlib").colormaps["viridis"](_spread(len(comparison.runs))))
        for run in sorted(comparison.runs, key=lambda run: comparison.steps.get(run, 0.0)):
            own = _of(comparison, run)
            axis.plot(range(len(own)), [_total(entry) for entry in own], marker="o", label=short(run))
        _layers(axis, _of(comparison, next(iter(comparison.runs))))
        count_axis(axis)
        axis.set_ylabel("unique detectors")
        figure.legend(loc="outside right upper")
        stamp_if(figure, comparison)
        caption = "Unique detectors over the layers, summed over the categories; a line a run."
        return figure_files(figure, "layers", caption)


def _spread(count: int) -> list[float]:
    """Places on a colour map, without its palest end."""
    return [0.9 * i / max(count - 1, 1) for i in range(count)]


def depth_by_category(comparison: Comparison) -> Figure:
    """Draw a panel a run with a line a category over its layers."""
    colours, runs = category_colours(comparison.category_names), list(comparison.runs)
    rows, columns = -(-len(runs) // _PANELS), min(len(runs), _PANELS)
    with study_figure(
        6.5, 0.5 + 2.4 * rows + stamp_room(comparison), rows, columns, sharey=True, squeeze=False
    ) as (figure, axes):
        for axis, run in zip(axes.ravel(), runs, strict=False):
            own = _of(comparison, run)
            for category, colour in colours.items():
                axis.plot(range(len(own)), [_count(entry, category) for entry in own], "o-", color=colour)
            _layers(axis, own)
            axis.set_title(short(run, 26))
        for axis in axes.ravel()[len(runs) :]:
            axis.set_axis_off()
        count_axis(axes[0, 0])  # all panels share its axis, so that it is set when all are drawn
        axes[0, 0].set_ylabel("unique detectors")
        lines = axes[0, 0].get_lines()
        names = [short(category, 18) for category in colours]
        figure.legend(lines, names, loc="outside upper left", ncols=min(len(names), 6) or 1, handlelength=1)
        stamp_if(figure, comparison)
        caption = "Unique detectors over the layers, a line a category."
        return figure_files(figure, "layers-by-category", caption)


def _of(comparison: Comparison, run: str) -> list[Entry]:
    return sorted((e for e in comparison.entries if e.run == run), key=lambda entry: entry.depth)


def _layers(axis: Any, entries: list[Entry]) -> None:
    names = [short(layer_name(entry.layer), 24) for entry in entries]
    steep = sum(map(len, names)) > 24
    axis.set_xticks(range(len(names)), names, rotation=40 if steep else 0, ha="right" if steep else "center")


def count_axis(axis: Any) -> None:
    """From 0, in whole numbers."""
    axis.set_ylim(bottom=0)
    axis.yaxis.get_major_locator().set_params(integer=True)


def _total(entry: Entry) -> float:
    """NaN leaves a gap in the line: an undetermined layer has no count."""
    found = entry.result.summary()
    return float("nan") if found.undetermined else found.unique_by_category_total


def _count(entry: Entry, category: str) -> float:
    found = entry.result.summary()
    if found.undetermined:
        return float("nan")
    return next((row.unique for row in found.by_category if row.category == category), 0)
