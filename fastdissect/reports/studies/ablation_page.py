"""The page of an ablation: what the network loses with each group of units, and whether detectors matter more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastdissect.reports.studies.ablation_figures import class_map, group_bars, unit_scatter
from fastdissect.reports.studies.figures import Figure
from fastdissect.reports.studies.page import Section, Table, write_study

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.ablation.contrast import Contrast
    from fastdissect.methods.ablation.result import Ablation

__all__ = ["contrast_sentence", "write_ablation"]

_CLASSES = 8  # classes listed for each group
_UNITS = 30  # units listed
_TITLES = {
    "iou": "IoU",
    "random_drop": "random drop",
    "random_sd": "random sd",
    "shift": "mean |logit change|",
    "random_shift": "random |logit change|",
    "shift_p": "p (logits)",
    "intact_accuracy": "intact",
    "logit_change": "logit change",
    "own_logit_change": "own images' logit change",
    "random_logit_change": "random logit change",
    "class": "class that loses most",
    "class_drop": "its drop",
}


def write_ablation(path: str | Path, found: Ablation) -> Path:
    """Write an ablation's folder: the page, its figures, and groups.csv, members.csv, classes.csv, units.csv.

    Raises:
        BackendError: matplotlib is not installed. OutputError: the folder cannot be written.
    """
    sections = [Section("Groups of units", "\n\n".join(found.sentences()), _groups(found))]
    if len(found.classes):
        sections.append(_by_class(found))
    if found.units is not None and found.contrast is not None:
        sections.append(_each_unit(found, found.units, found.contrast))
    tables = {"groups": found.table, "members": found.members(), "classes": found.classes}
    if found.units is not None:
        tables["units"] = found.units
    return write_study(
        path,
        title=f"What the network loses without units of {found.layer}",
        eyebrow="Ablation",
        facts=[
            ("Network", found.network),
            ("Data set", f"{found.data}: {found.images:,} images"),
            ("Layer", f"{found.layer}, {found.units_count:,} units"),
            ("Units are", found.done),
            ("Targets", found.targets),
        ],
        sections=sections,
        csv={name: table for name, table in tables.items() if len(table)},
    )


def contrast_sentence(contrast: Contrast) -> str:
    """Whether detectors matter more than other units, in words."""
    what = {"drop": "the drop of accuracy", "shift": "the mean change of the logits"}[contrast.measure]
    if not contrast.detectors or not contrast.others:
        only = "detectors" if contrast.detectors else "no detectors"
        means = f"The layer has {only} alone: there is nothing to compare {what} of."
    else:
        means = (
            f"Ablating a unit alone, {what} is {contrast.detectors_mean:.3g} for the {contrast.detectors:,} detectors and "
            f"{contrast.others_mean:.3g} for the {contrast.others:,} others, a difference of {contrast.difference:+.3g} "
            f"(permutation p = {contrast.p:.2g})."
        )
    if contrast.correlation != contrast.correlation:
        return f"{means} Its correlation with IoU is not defined: one of them is the same for all units."
    return (
        f"{means} Its correlation with IoU is {contrast.correlation:+.2f}, of the ranks "
        f"{contrast.rank_correlation:+.2f} (p = {contrast.rank_p:.2g})."
    )


def _shown(table: pd.DataFrame, found: Ablation) -> pd.DataFrame:
    """Without columns that hold nothing, with readable titles."""
    titles: dict[str, str] = dict(_TITLES)
    if found.class_asked is not None:
        titles |= {
            "asked_drop": f"drop of {found.class_asked}",
            "asked_logit_change": f"logit change of {found.class_asked}",
        }
    return table.dropna(axis="columns", how="all").rename(columns=titles)


def _groups(found: Ablation) -> list[Table | Figure]:
    if not len(found.table):
        return []
    words = "Every group; members.csv lists its units."
    return [group_bars(found), Table.of(_shown(found.table, found), words, digits=4, csv="groups")]


def _by_class(found: Ablation) -> Section:
    """The classes that lose most with each group."""
    import pandas as pd

    parts = []
    for _, own in found.classes.groupby("group", sort=False):
        size = own["drop"][own["drop"] > 0] if found.has_accuracy else own["logit_change"].abs()
        parts.append(own.loc[size.sort_values(ascending=False, kind="stable").index].head(_CLASSES))
    shown = pd.concat(parts, ignore_index=True).rename(columns={"class": "of the class"})
    what = "that lose most accuracy" if found.has_accuracy else "whose mean logit changes most"
    words = f"For each group at most {_CLASSES} classes, those {what}."
    items: list[Table | Figure] = [class_map(found)]
    if len(shown):
        items.append(Table.of(_shown(shown, found), words, csv="classes"))
    return Section("By class", "", items)


def _each_unit(found: Ablation, units: pd.DataFrame, contrast: Contrast) -> Section:
    ordered = units.sort_values([found.measure, "unit"], ascending=[False, True]).drop(columns="accuracy")
    ordered["detector"] = ordered["detector"].map({True: "yes", False: "no"})
    return Section(
        "Do detectors matter more than other units?",
        contrast_sentence(contrast),
        [
            unit_scatter(found, units),
            Table.of(_shown(ordered, found), "Each unit ablated alone.", rows=_UNITS, digits=4, csv="units"),
        ],
    )
