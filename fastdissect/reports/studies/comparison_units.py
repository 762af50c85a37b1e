"""Units before and after, and matched units: bars of what changed, transition matrices, correlations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastdissect.labels import NO_CONCEPT
from fastdissect.methods.comparison.changes import CHANGES
from fastdissect.methods.comparison.comparing import Changed, Comparison, Matched
from fastdissect.methods.comparison.entries import Entry
from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.comparison_stamp import stamp_if, stamp_room
from fastdissect.reports.studies.comparison_words import short, slot_title
from fastdissect.reports.studies.figures import INK, QUIET, Figure, figure_files, study_figure
from fastdissect.storage import layer_folder

__all__ = ["change_bars", "correlation_histograms", "transition_maps"]

_COLOURS = dict(zip(CHANGES, ("#2b8a76", "#c07f22", "#3f74b8", "#bd5275", "#dedbd3"), strict=True))
_PANELS = 2  # transition matrices in a row


def by_slot(pairs: Iterable[Any]) -> list[list[Any]]:
    """Pairs of one layer together; a pair's first member is an entry."""
    slots: dict[int, list[Any]] = {}
    for pair in pairs:
        slots.setdefault(pair[0].slot, []).append(pair)
    return list(slots.values())


def change_bars(comparison: Comparison, pairs: Sequence[Changed]) -> Figure:
    """Draw a bar a pair: how many units were kept, changed, gained, lost, or never detect."""
    titles = [_title(pair.before, "→", pair.after) for pair in pairs]
    with study_figure(6.5, 0.9 + 0.3 * len(pairs) + stamp_room(comparison)) as (figure, axis):
        axis.grid(visible=False, axis="y")
        axis.set_ylim(len(pairs) - 0.5, -0.5)
        axis.set_yticks(range(len(pairs)), titles, color=INK)
        axis.tick_params(axis="y", length=0)
        left = [0] * len(pairs)
        for place, kind in enumerate(CHANGES):
            units = [int(pair.changes.counts["units"].iloc[place]) for pair in pairs]
            bars = axis.barh(range(len(pairs)), units, 0.72, left, color=_COLOURS[kind], label=kind)
            most = max(sum(pair.changes.counts["units"]) for pair in pairs)
            labels = [str(n) if n > most / 25 else "" for n in units]
            axis.bar_label(
                bars, labels, label_type="center", fontsize=7.5, color=INK if kind == "neither" else "white"
            )
            left = [a + b for a, b in zip(left, units, strict=True)]
        axis.set_xlabel("units")
        axis.xaxis.get_major_locator().set_params(integer=True)
        figure.legend(loc="outside upper left", ncols=len(CHANGES), handlelength=1)
        stamp_if(figure, comparison)
        caption = (
            "Units before and after, matched by index. Kept: over the cut in both, with the same label; changed: with "
            "another; gained and lost: over the cut in one alone; neither: in none."
        )
        return figure_files(figure, "changes", caption)


def _title(one: Entry, sign: str, other: Entry) -> str:
    return f"{short(slot_title([one, other]), 24)}: {short(one.run, 20)} {sign} {short(other.run, 20)}"


def transition_maps(comparison: Comparison, pairs: Sequence[Changed]) -> list[Figure]:
    """Draw a matrix a pair, a figure a layer: units by category before (rows) and after (columns)."""
    figures = []
    for own in by_slot(pairs):
        rows, columns = -(-len(own) // _PANELS), min(len(own), _PANELS)
        with study_figure(6.5, 0.2 + 3.1 * rows + stamp_room(comparison), rows, columns, squeeze=False) as (
            figure,
            axes,
        ):
            for axis, pair in zip(axes.ravel(), own, strict=False):
                _matrix(axis, pair)
            for axis in axes.ravel()[len(own) :]:
                axis.set_axis_off()
            stamp_if(figure, comparison)
            title = slot_title([e for pair in own for e in (pair.before, pair.after)])
            caption = (
                f"Categories of the units of {short(title, 70)}, before and after. The diagonal stayed; the colour is "
                "the share of the row."
            )
            name = f"transitions-{layer_folder(own[0].before.layer)}"
            figures.append(figure_files(figure, name, caption))
    return figures


def _matrix(axis: Any, pair: Changed) -> None:
    table = pair.changes.transitions
    order = [*display_order(list(table.index)[:-1]), NO_CONCEPT]
    counts = table.iloc[
        [list(table.index).index(q) for q in order], [list(table.columns).index(q) for q in order]
    ]
    values = counts.to_numpy()
    shares = values / values.sum(axis=1, keepdims=True).clip(min=1)
    axis.grid(visible=False)
    axis.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.8)  # vectors
    axis.invert_yaxis()
    names = [short(q, 14) for q in order]
    middles = [place + 0.5 for place in range(len(order))]
    axis.set_xticks(middles, names, rotation=40, ha="right")
    axis.set_yticks(middles, names)
    axis.tick_params(length=0)
    axis.set_title(_title(pair.before, "→", pair.after), fontsize=9)
    axis.set_xlabel("after")
    axis.set_ylabel("before")
    for y, row in enumerate(values):
        for x, count in enumerate(row):
            if count:
                colour = "white" if shares[y, x] > 0.55 else INK
                axis.text(
                    x + 0.5, y + 0.5, f"{count:,}", ha="center", va="center", fontsize=7.5, color=colour
                )


def correlation_histograms(comparison: Comparison, pairs: Sequence[Matched]) -> list[Figure]:
    """Draw a histogram a matching, a figure a layer: pairs of units by correlation."""
    figures = []
    for own in by_slot(pairs):
        with study_figure(
            6.5, 0.3 + 1.7 * len(own) + stamp_room(comparison), len(own), 1, sharex=True, squeeze=False
        ) as (
            figure,
            axes,
        ):
            for axis, pair in zip(axes[:, 0], own, strict=True):
                _histogram(axis, pair)
            axes[-1, 0].set_xlabel("correlation of the two units of a pair")
            stamp_if(figure, comparison)
            title = slot_title([e for pair in own for e in (pair.first, pair.other)])
            caption = f"Matched units of {short(title, 70)} by correlation; a dashed line at the mean."
            name = f"matching-{layer_folder(own[0].first.layer)}"
            figures.append(figure_files(figure, name, caption))
    return figures


def _histogram(axis: Any, pair: Matched) -> None:
    bins = pair.matching.histogram()
    axis.bar(
        bins["low"], bins["pairs"], bins["high"] - bins["low"], align="edge", color="#3f74b8", ec="white"
    )
    axis.set_xlim(0, 1)
    axis.set_ylabel("pairs")
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set_title(f"{_title(pair.first, '↔', pair.other)}: {pair.matching.matched:,} pairs")
    if pair.matching.matched:
        axis.axvline(pair.matching.mean, color=QUIET, ls="--", lw=1)
