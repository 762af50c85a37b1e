"""The page of how far semantic vectors can be trusted: IoU, pointing game, residuals, removals, other seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastdissect.methods.semantics import STABLE, Evaluation
from fastdissect.methods.semantics.decided import removals_by_concept
from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.explanation_figures import percent
from fastdissect.reports.studies.page import Section, Table, write_study
from fastdissect.reports.studies.semantics_evaluation_figures import (
    overlap_figure,
    pointing_figure,
    removal_figure,
    residual_figure,
    stability_figure,
)
from fastdissect.reports.studies.semantics_words import POINTING, REMOVALS, RESIDUALS, STABILITY, TRUST

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["means_by_category", "write_evaluation"]

_ROWS = 200
_POINTING = {
    "vector": "vector",
    "single_unit": "best single unit",
    "random": "random directions",
    "blind": "blindly",
}
_REMOVALS = {
    "contribution": "mean contribution", "change": "mean change", "size": "size of the changes",
    "chance": "size by chance", "more": "share beyond chance",
}  # fmt: skip


def write_evaluation(path: str | Path, found: Evaluation, *, eyebrow: str = "") -> Path:
    """Write the page, with CSVs of everything it shows.

    Args:
        path: a folder of its own; an older page there is replaced.

    Returns:
        The page to open.

    Raises:
        BackendError: matplotlib is not installed. OutputError: the folder cannot be written.
    """
    vectors = found.study.vectors
    csv = {"concepts": vectors.table}
    sections = [Section("", TRUST), _overlap(vectors.table), _pointing(found, csv)]
    sections += [_residuals(found, csv), _removals(found, csv)]
    if found.stability is not None:
        sections.append(_stability(found, csv))
    facts = [
        ("layer", f"{vectors.layer}, {vectors.units:,} units"),
        ("concepts", f"{len(vectors):,}, {int(vectors.table['represented'].sum()):,} represented"),
        ("held-out images", f"{found.images:,} of {found.of:,}"),
        ("other seeds", f"{found.seeds:,}"),
    ]
    return write_study(
        path,
        title=f"Semantic vectors of {vectors.layer}, evaluated",
        eyebrow=eyebrow or "concepts as directions",
        facts=facts,
        sections=sections,
        csv=csv,
    )


def means_by_category(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """A row a category: category, concepts, the columns' means over its concepts."""
    found = table.groupby("category", sort=False)[columns].mean()
    found.insert(0, "concepts", table.groupby("category", sort=False).size())
    order = display_order(dict.fromkeys(table["category"]))
    return found.loc[list(order)].reset_index()


def _overlap(table: pd.DataFrame) -> Section:
    columns = {
        "ap_val": "AP",
        "single_ap": "single unit's AP",
        "iou_val": "IoU",
        "single_iou": "single unit's IoU",
    }
    means = means_by_category(table, list(columns)).rename(columns=columns)
    return Section("Vectors and single units", "On held-out images; the unit of each measure is the best on train.", [
        Table.of(means, "Means over the concepts of a category.", csv="concepts"),
        overlap_figure(table),
    ])  # fmt: skip


def _pointing(found: Evaluation, csv: dict[str, pd.DataFrame]) -> Section:
    if found.pointing is None:
        return Section(
            "Pointing game",
            "Left out: no held-out image shows a concept in some of its cells and not in all.",
        )
    csv["pointing"] = found.pointing
    played = found.pointing[found.pointing["images"] > 0]
    each = played.sort_values(["vector", "concept"], ascending=[False, True]).rename(columns=_POINTING)
    means = means_by_category(played, list(_POINTING)).rename(columns=_POINTING)
    return Section("Pointing game", POINTING, [
        Table.of(means, "Shares of hits, means over the concepts of a category."),
        pointing_figure(played),
        Table.of(each, "Shares of hits.", rows=_ROWS, csv="pointing"),
    ])  # fmt: skip


def _residuals(found: Evaluation, csv: dict[str, pd.DataFrame]) -> Section:
    title = "What the vocabulary explains"
    if found.decisions is None:
        return Section(title, f"Left out: {found.reason}")
    csv["decisions"] = found.decisions
    share, beyond = found.decisions["residual_share"], 1 - found.decisions["explained"].mean()
    words = (
        f"Half of the decisions have a residual of {percent(share.median())} or less; {percent(float(beyond))} of the "
        "decisions are not explained by the vocabulary."
    )
    return Section(title, f"{RESIDUALS} {words}", [residual_figure(found.decisions)])


def _removals(found: Evaluation, csv: dict[str, pd.DataFrame]) -> Section:
    title = "What removing a concept does"
    if found.removals is None or not len(found.removals):
        return Section(
            title, f"Left out: {found.reason or 'no removals were asked for, or no concept takes part'}"
        )
    csv["removals"] = found.removals
    own = found.removals
    beyond = own["change"].abs() > own["chance"]
    words = (
        f"{percent(float(beyond.mean()))} of all removals change the score by more than chance; of those of an image's "
        f"strongest concept, {percent(float(beyond[own['rank'] == 1].mean()))}."
    )
    each = removals_by_concept(own).rename(columns=_REMOVALS)
    return Section(title, f"{REMOVALS} {words}", [
        removal_figure(own),
        Table.of(each, "Concepts by how many decisions they take part in.", rows=_ROWS, csv="removals"),
    ])  # fmt: skip


def _stability(found: Evaluation, csv: dict[str, pd.DataFrame]) -> Section:
    assert found.stability is not None
    csv["stability"] = found.stability
    least = found.stability["least"]
    words = f"{int((least > STABLE).sum()):,} of {len(least):,} concepts stay above {STABLE} with every seed."
    each = found.stability.sort_values(["least", "concept"])
    return Section("Other positions", f"{STABILITY} {words}", [
        stability_figure(found.stability),
        Table.of(each, "Cosines with the vectors of other seeds, the least stable first.", rows=_ROWS, csv="stability"),
    ])  # fmt: skip
