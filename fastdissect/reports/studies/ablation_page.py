"""The page of an ablation: what the network loses with each group of units, and whether detectors matter more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.reports.studies.figures import QUIET, Figure, figure_files, printable, study_figure
from fastdissect.reports.studies.page import Section, Table, write_study

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.ablation.contrast import Contrast
    from fastdissect.methods.ablation.result import Ablation

__all__ = ["contrast_sentence", "write_ablation"]

_GROUPS = 40  # bars in the figure
_CLASSES = 8  # classes shown for each group
_UNITS = 30  # units shown
_TITLES = {
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
            ("Units are", found.mode),
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


def _shown(table: pd.DataFrame, found: Ablation, asked: bool = True) -> pd.DataFrame:
    """Without columns that hold nothing, with readable titles."""
    titles: dict[str, str] = dict(_TITLES)
    if asked and found.class_asked is not None:
        titles |= {
            "asked_drop": f"drop of {found.class_asked}",
            "asked_logit_change": f"logit change of {found.class_asked}",
        }
    return table.dropna(axis="columns", how="all").rename(columns=titles)


def _groups(found: Ablation) -> list[Table | Figure]:
    if not len(found.table):
        return []
    items: list[Table | Figure] = [_bars(found)]
    items.append(
        Table.of(
            _shown(found.table, found), "Every group; members.csv lists its units.", digits=4, csv="groups"
        )
    )
    return items


def _bars(found: Ablation) -> Figure:
    """The groups' drops beside those of random groups of their size."""
    table = found.table.head(_GROUPS).iloc[::-1]
    what = "Drop of accuracy" if found.has_accuracy else "Mean change of the logits"
    random = f"random_{found.measure}"
    left = f" The first {_GROUPS} of {len(found.table)} groups." if len(found.table) > _GROUPS else ""
    caption = f"{what} when a group's units are {found.mode}; grey: random groups of the same size"
    caption += ", mean and standard deviation." if found.has_accuracy else ", mean."
    with study_figure(6.5, 1.1 + 0.28 * len(table)) as (figure, axes):
        places = range(len(table))
        axes.barh(places, table[found.measure], height=0.42, label="the group")
        if found.random_groups:
            axes.barh(
                [place - 0.36 for place in places],
                table[random],
                xerr=table["random_sd"].fillna(0) if found.has_accuracy else None,
                height=0.22,
                color="#c9c5bc",
                ecolor=QUIET,
                label="random groups",
            )
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
        names = [f"{name} ({units})" for name, units in zip(table["group"], table["units"], strict=True)]
        axes.set_yticks(list(places), [printable(_short(name)) for name in names])
        axes.grid(visible=False, axis="y")
        axes.axvline(0, color=QUIET, linewidth=0.8)
        axes.set_xlabel(what.lower())
        return figure_files(figure, "groups", caption + left)


def _short(text: str, length: int = 38) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _by_class(found: Ablation) -> Section:
    """The classes that lose most with each group."""
    column = found.measure if found.has_accuracy else "logit_change"
    parts = []
    for _, own in found.classes.groupby("group", sort=False):
        size = own[column] if found.has_accuracy else own[column].abs()
        parts.append(own.loc[size.sort_values(ascending=False, kind="stable").index].head(_CLASSES))
    import pandas as pd

    shown = pd.concat(parts, ignore_index=True).rename(columns={"class": "of the class"})
    text = (
        f"For each group the {_CLASSES} classes that lose most accuracy."
        if found.has_accuracy
        else f"For each group the {_CLASSES} classes whose logit changes most, on the mean over all images."
    )
    return Section("By class", text, [Table.of(_shown(shown, found), "classes.csv has all.", csv="classes")])


def _each_unit(found: Ablation, units: pd.DataFrame, contrast: Contrast) -> Section:
    ordered = units.sort_values([found.measure, "unit"], ascending=[False, True])
    return Section(
        "Do detectors matter more than other units?",
        contrast_sentence(contrast),
        [
            _scatter(found, units),
            Table.of(_shown(ordered, found), "Each unit ablated alone.", rows=_UNITS, digits=4, csv="units"),
        ],
    )


def _scatter(found: Ablation, units: pd.DataFrame) -> Figure:
    what = "drop of accuracy" if found.has_accuracy else "mean change of the logits"
    with study_figure(5, 3.4) as (figure, axes):
        for detects, name in ((True, "detectors"), (False, "other units")):
            own: Any = units[units["detector"] == detects]
            axes.scatter(own["iou"], own[found.measure], s=12, alpha=0.75, linewidths=0, label=name)
        axes.set_xlabel("IoU with the unit's label")
        axes.set_ylabel(what)
        axes.legend()
        return figure_files(figure, "units", f"Each unit ablated alone: {what} against its IoU.")
