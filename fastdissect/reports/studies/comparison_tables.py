"""The tables of a comparison: as the page and the terminal show them, and as CSV files hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastdissect.methods.comparison.changes import CHANGES
from fastdissect.methods.comparison.comparing import Changed, Comparison, Matched
from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.comparison_words import UNDETERMINED, layer_name, shown_share
from fastdissect.reports.studies.page import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "category_rows",
    "change_rows",
    "changes_csv",
    "layer_rows",
    "match_rows",
    "matches_csv",
    "transitions_csv",
]


def layer_rows(comparison: Comparison) -> Table:
    """A row a layer of a run: units, detectors, unique detectors; steps and accuracies where given, cuts that differ."""
    table = comparison.layers
    more = [name for name in ("step", "accuracy") if table[name].notna().any()]
    cut = ["cut"] * (table["cut"].nunique() > 1)
    numbers = (*more, *cut, "units", "detectors", "share", "unique (best)", "unique (sum)")
    rows = []
    for row in table.to_dict("records"):
        counts = [row["detectors"], row["unique_best"], row["unique_sum"]]
        shown = [UNDETERMINED] * 3 if row["undetermined"] else [f"{int(n):,}" for n in counts]
        share = "-" if row["undetermined"] else shown_share(row["detector_share"])
        given = ["" if row[name] != row[name] else f"{row[name]:,.10g}" for name in more] + [
            f"{row['cut']:.4f}"
        ] * bool(cut)
        rows.append(
            (row["run"], layer_name(row["layer"]), *given, f"{row['units']:,}", shown[0], share, *shown[1:])
        )
    caption = (
        "Detectors: units whose best IoU passes the cut. Unique (best): distinct labels of the units' best "
        "categories. Unique (sum): distinct labels of each category by itself, added up, as in the papers' figures."
    )
    return Table(("run", "layer", *numbers), tuple(rows), caption, frozenset(numbers), csv="layers")


def category_rows(comparison: Comparison) -> Table:
    """A row a layer of a run with its unique detectors by category (convention A)."""
    order = display_order(comparison.category_names)
    rows = []
    for entry in comparison.entries:
        found = entry.result.summary()
        unique = {row.category: f"{row.unique:,}" for row in found.by_category}
        counts = ["-" if found.undetermined else unique.get(q, "-") for q in order]
        total = UNDETERMINED if found.undetermined else f"{found.unique_by_category_total:,}"
        rows.append((entry.run, layer_name(entry.layer), *counts, total))
    numbers = (*order, "sum")
    caption = "Unique detectors of each category by itself."
    return Table(("run", "layer", *numbers), tuple(rows), caption, frozenset(numbers), csv="categories")


def change_rows(pairs: Sequence[Changed]) -> Table:
    """A row a pair: how many units were kept, changed, gained, lost, and the share that was kept."""
    rows = []
    for before, after, changes in pairs:
        units = [f"{n:,}" for n in changes.counts["units"]]
        layers = " → ".join(dict.fromkeys((layer_name(before.layer), layer_name(after.layer))))
        rows.append((before.run, after.run, layers, *units, shown_share(changes.kept)))
    numbers = (*CHANGES, "kept of detectors")
    caption = "Kept of detectors: of the units over the cut before or after, those that kept their label."
    return Table(("before", "after", "layer", *numbers), tuple(rows), caption, frozenset(numbers))


def match_rows(pairs: Sequence[Matched]) -> Table:
    """A row a matching: pairs, mean correlation, and how often two matched detectors have one label."""
    rows = []
    for first, other, matching in pairs:
        layers = " ↔ ".join(dict.fromkeys((layer_name(first.layer), layer_name(other.layer))))
        mean = f"{matching.mean:.3f}" if matching.matched else "-"
        counts = (f"{matching.matched:,}", mean, f"{matching.detector_pairs:,}")
        shares = (shown_share(matching.agreement), shown_share(matching.chance))
        rows.append(
            (first.run, other.run, layers, f"{matching.grid[0]} × {matching.grid[1]}", *counts, *shares)
        )
    numbers = ("grid", "pairs", "mean correlation", "detector pairs", "same label", "by chance")
    caption = (
        "Detector pairs: both units are detectors. Same label: of these, those with one label; by chance: what pairing "
        "the same units at random would give."
    )
    return Table(("run", "matched with", "layer", *numbers), tuple(rows), caption, frozenset(numbers))


def changes_csv(pairs: Sequence[Changed]) -> pd.DataFrame:
    """All pairs' units, a row a unit of a pair."""
    return _together([(pair.before, pair.after, pair.changes.units) for pair in pairs], ("before", "after"))


def transitions_csv(pairs: Sequence[Changed]) -> pd.DataFrame:
    """All pairs' transition matrices, a row a cell: category_before, category_after, units."""
    long = [
        pair.changes.transitions.rename_axis(index="category_before", columns="category_after")
        .stack()
        .rename("units")
        .reset_index()
        for pair in pairs
    ]
    return _together([(p.before, p.after, t) for p, t in zip(pairs, long, strict=True)], ("before", "after"))


def matches_csv(pairs: Sequence[Matched]) -> pd.DataFrame:
    """All matchings' units, a row a unit."""
    return _together([(pair.first, pair.other, pair.matching.units) for pair in pairs], ("a", "b"))


def _together(parts: Sequence[tuple[object, ...]], ends: tuple[str, str]) -> pd.DataFrame:
    import pandas as pd

    tables = []
    for one, other, table in parts:
        names = {
            f"{what}_{end}": getattr(entry, what)
            for end, entry in zip(ends, (one, other), strict=True)
            for what in ("run", "layer")
        }
        tables.append(table.assign(**names)[[*names, *table.columns]])  # type: ignore[attr-defined]
    return pd.concat(tables, ignore_index=True)
