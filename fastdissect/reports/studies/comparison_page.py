"""`write_comparison`: a comparison as a page with its figures and tables, in one folder that opens from disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastdissect.methods.comparison.comparing import Changed, Comparison, Matched
from fastdissect.reports.facts import run_facts
from fastdissect.reports.studies import comparison_tables as tables
from fastdissect.reports.studies.comparison_bars import category_panels, stacked_bars
from fastdissect.reports.studies.comparison_curves import (
    depth_by_category,
    depth_of_runs,
    has_depth,
)
from fastdissect.reports.studies.comparison_training import has_training, training_curve
from fastdissect.reports.studies.comparison_units import (
    change_bars,
    correlation_histograms,
    transition_maps,
)
from fastdissect.reports.studies.figures import Figure
from fastdissect.reports.studies.page import Section, Table, write_study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_comparison"]

_ROWS = 40  # units of a list on the page; its CSV has all


def write_comparison(
    comparison: Comparison,
    path: str | Path,
    *,
    changes: Sequence[Changed] = (),
    matchings: Sequence[Matched] = (),
    left_out: Sequence[str] = (),
) -> Path:
    """Write the page, figures (SVG, PNG) and tables (CSV) of a comparison.

    layers.csv, categories.csv, training.csv, changes.csv, transitions.csv, matches.csv; those there is something for.

    Args:
        path: the folder. An older one there is replaced when the new one is whole.
        changes, matchings: what `Comparison.changes` and `Comparison.matchings` returned, to be shown too.
        left_out: sentences about what is not shown, beyond `comparison.left_out`.

    Returns:
        The page to open, `path / "index.html"`.

    Raises:
        BackendError: matplotlib is not installed.
        OutputError: the folder holds something else, or cannot be written.

    Example:
        >>> found = fd.methods.compare([fd.load("a"), fd.load("b")])                # doctest: +SKIP
        >>> write_comparison(found, "a-and-b", matchings=found.matchings())         # doctest: +SKIP
    """
    sections = [_detectors(comparison)]
    files: dict[str, pd.DataFrame] = {"layers": comparison.layers, "categories": comparison.categories}
    if has_depth(comparison):
        sections.append(_depth(comparison))
    if has_training(comparison):
        sections.append(_training(comparison))
        files["training"] = comparison.training
    if changes:
        files["changes"], files["transitions"] = tables.changes_csv(changes), tables.transitions_csv(changes)
        sections.append(_changes(comparison, changes, files["changes"]))
    if matchings:
        files["matches"] = tables.matches_csv(matchings)
        sections.append(_matchings(comparison, matchings, files["matches"]))
    said = [*comparison.left_out, *left_out]
    if said:
        sections.append(Section("Left out", "\n\n".join(f"{s[:1].upper()}{s[1:]}." for s in said)))
    names = list(comparison.runs)
    title = " and ".join(names) if len(names) <= 2 else f"{len(names)} runs compared"
    return write_study(
        path,
        title=title,
        eyebrow="Which units detect a concept, and how many concepts?",
        facts=_facts(comparison),
        sections=sections,
        csv=files,
        warning=comparison.warning,
    )


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    """What all runs have in common."""
    kept = ("Data set", "Images", "Concepts", "Profile", "Detector")
    of_runs = [run_facts(run) for run in comparison.runs.values()]
    shared = [fact for fact in of_runs[0] if fact[0] in kept and all(fact in facts for facts in of_runs)]
    return [("Runs", f"{len(of_runs):,}"), *shared]


def _detectors(comparison: Comparison) -> Section:
    figures: list[Figure] = [stacked_bars(comparison)]
    if len(comparison.runs) > 1 and comparison.category_names:
        figures.append(category_panels(comparison))
    return Section(
        "Unique detectors",
        "A unit detects a concept when their IoU passes the cut. Many units can detect the same concept; unique "
        "detectors count each concept once.",
        (figures[0], tables.layer_rows(comparison), *figures[1:], tables.category_rows(comparison)),
    )


def _depth(comparison: Comparison) -> Section:
    figures = [depth_by_category(comparison)]
    if len(comparison.runs) > 1:
        figures.insert(0, depth_of_runs(comparison))
    return Section(
        "Over the layers",
        "How the number of concepts changes with depth, from the first layer to the last.",
        figures,
    )


def _training(comparison: Comparison) -> Section:
    return Section(
        "Over training",
        "When detectors appear, and which come first.",
        (training_curve(comparison),),
    )


def _changes(comparison: Comparison, pairs: Sequence[Changed], units: pd.DataFrame) -> Section:
    seen = units[units["change"].isin(("changed", "gained", "lost"))]
    best = seen[["iou_before", "iou_after"]].max(axis=1)
    seen = seen.loc[best.sort_values(ascending=False, kind="stable").index]
    columns = ["unit", "change", "label_before", "iou_before", "label_after", "iou_after"]
    if len(pairs) > 1:
        columns = ["layer_before", "run_before", "run_after", *columns]
    listed = Table.of(
        _titled(seen[columns]),
        "Units whose label changed, came or went, the highest IoU first.",
        rows=_ROWS,
        csv="changes",
    )
    items: list[Table | Figure] = [change_bars(comparison, pairs), tables.change_rows(pairs)]
    items += [*transition_maps(comparison, pairs), *([listed] if len(seen) else [])]
    return Section(
        "Unit by unit",
        "The units of one layer, matched by their number: what became of each.",
        items,
    )


def _matchings(comparison: Comparison, pairs: Sequence[Matched], units: pd.DataFrame) -> Section:
    seen = units[units["correlation"].notna()].sort_values("correlation", ascending=False, kind="stable")
    columns = ["unit_a", "unit_b", "correlation", "label_a", "iou_a", "label_b", "iou_b"]
    if len(pairs) > 1:
        columns = ["layer_a", "run_a", "run_b", *columns]
    listed = Table.of(
        _titled(seen[columns]),
        "Matched units, the highest correlation first. A label stands here also where its IoU is under the cut.",
        rows=_ROWS,
        csv="matches",
    )
    return Section(
        "Matched units",
        "Units of different networks, paired one to one so that their activations above threshold correlate as much as "
        "they can over the same images. Units that correlate with none are left unmatched.",
        (*correlation_histograms(comparison, pairs), tables.match_rows(pairs), listed),
    )


def _titled(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns=lambda name: str(name).replace("_", " ").replace("iou", "IoU"))
