"""Unique detectors by category, run beside run: stacked bars, and a panel a category."""

from __future__ import annotations

from typing import Any

from fastdissect.labels import Summary
from fastdissect.methods.comparison.comparing import Comparison
from fastdissect.methods.comparison.entries import Entry
from fastdissect.methods.extras import need
from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.comparison_stamp import stamp_if, stamp_room
from fastdissect.reports.studies.comparison_words import (
    UNDETERMINED,
    row_name,
    short,
    slot_entries,
    slot_title,
)
from fastdissect.reports.studies.figures import (
    INK,
    QUIET,
    Figure,
    category_colours,
    figure_files,
    study_figure,
)

__all__ = ["category_panels", "stacked_bars"]

_BAR = 0.27  # inches a bar
_PANELS = 3  # categories in a row


def stacked_bars(comparison: Comparison) -> Figure:
    """Draw a bar a run and layer, of its unique detectors, divided by category (convention A)."""
    slots, colours = slot_entries(comparison), category_colours(comparison.category_names)
    rows = max(len(own) for own in slots)
    height = 0.75 + len(slots) * (0.45 + _BAR * rows)
    with study_figure(6.5, height + stamp_room(comparison), len(slots), 1, sharex=True, squeeze=False) as (
        figure,
        axes,
    ):
        for axis, own in zip(axes[:, 0], slots, strict=True):
            _stack(axis, own, colours)
            axis.set_title(short(slot_title(own), 70))
        axes[-1, 0].set_xlabel("unique detectors, summed over the categories")
        axes[-1, 0].margins(x=0.08)
        patch = need("matplotlib.patches").Patch
        handles = [patch(color=colour, label=short(category, 18)) for category, colour in colours.items()]
        figure.legend(handles=handles, loc="outside upper left", ncols=max(len(colours), 1), handlelength=1)
        stamp_if(figure, comparison)
        caption = (
            "Unique detectors by category. A label counts once in each category, as in the papers' figures; "
            "the number behind a bar is the sum."
        )
        return figure_files(figure, "unique-detectors", caption)


def _stack(axis: Any, entries: list[Entry], colours: dict[str, str]) -> None:
    axis.grid(visible=False, axis="y")
    axis.set_ylim(len(entries) - 0.5, -0.5)  # the first run on top
    axis.set_yticks(range(len(entries)), [row_name(entry, entries) for entry in entries], color=INK)
    axis.tick_params(axis="y", length=0)
    axis.xaxis.get_major_locator().set_params(integer=True)
    for place, entry in enumerate(entries):
        found = entry.result.summary()
        if found.undetermined:
            _say(axis, 0, place, UNDETERMINED, style="italic")
            continue
        left, unique = 0, _unique(found)
        for category, colour in colours.items():
            axis.barh(place, unique.get(category, 0), 0.72, left, color=colour)
            left += unique.get(category, 0)
        _say(axis, left, place, f"{left:,}")


def _unique(found: Summary) -> dict[str, int]:
    return {row.category: row.unique for row in found.by_category}


def _say(axis: Any, x: float, y: float, text: str, **more: Any) -> None:
    axis.annotate(
        text, (x, y), (4, 0), textcoords="offset points", va="center", fontsize=8, color=QUIET, **more
    )


def category_panels(comparison: Comparison) -> Figure:
    """Draw a panel a category with a bar a run, for the deepest layer compared; there must be a category."""
    own = max(slot_entries(comparison), key=lambda entries: entries[0].depth)
    colours = category_colours(comparison.category_names)
    shown = [q for q in display_order(comparison.category_names) if _any(own, q)]
    shown = shown or list(colours)[:1]
    rows = -(-len(shown) // _PANELS)
    columns = min(len(shown), _PANELS)
    height = 0.2 + rows * (0.5 + _BAR * len(own))
    with study_figure(6.5, height + stamp_room(comparison), rows, columns, sharey=True, squeeze=False) as (
        figure,
        axes,
    ):
        for axis, category in zip(axes.ravel(), shown, strict=False):
            _panel(axis, own, category, colours[category])
        for axis in axes.ravel()[len(shown) :]:
            axis.set_axis_off()
        stamp_if(figure, comparison)
        caption = (
            f"The same counts, a panel a category, in {short(slot_title(own), 70)}. "
            "Each panel has its own scale; categories without a detector are left out."
        )
        return figure_files(figure, "unique-detectors-by-category", caption)


def _any(entries: list[Entry], category: str) -> bool:
    return any(_unique(entry.result.summary()).get(category, 0) for entry in entries)


def _panel(axis: Any, entries: list[Entry], category: str, colour: str) -> None:
    axis.set_title(short(category, 24))
    axis.grid(visible=False)
    axis.set_ylim(len(entries) - 0.5, -0.5)
    axis.set_yticks(range(len(entries)), [row_name(entry, entries, 22) for entry in entries], color=INK)
    axis.tick_params(length=0)
    axis.set_xticks([])
    axis.spines["bottom"].set_visible(False)
    for place, entry in enumerate(entries):
        found = entry.result.summary()
        count = _unique(found).get(category, 0)
        if not found.undetermined:
            axis.barh(place, count, 0.72, color=colour)
        _say(
            axis,
            0 if found.undetermined else count,
            place,
            UNDETERMINED if found.undetermined else f"{count:,}",
        )
    axis.margins(x=0.15)
