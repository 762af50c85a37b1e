"""Sections of the page of concept vectors: one filter against many, filters needed, filters shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastdissect.methods.vectors import VectorStudy
from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.net2vec_facts import median_needed, score_word
from fastdissect.reports.studies.net2vec_figures import (
    needed_figure,
    score_curve,
    sharing_figure,
    single_against_combined,
)
from fastdissect.reports.studies.net2vec_items import POINTS, Part, Plot
from fastdissect.reports.studies.page import Table

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.net2vec.filter_counts import FilterCounts

__all__ = ["score_sections"]

_SEGMENTATION = """\
A concept's vector gives every unit of the layer a weight; where the weighted sum of the units' masks is above 0, the
concept is predicted. The single filter is the unit whose mask alone fits best on the training images. Both are scored
on the validation images that show the concept: IoU_set is the intersection of all their masks over the union of all.
Since these images alone count, it is higher than the IoU of the run's labels."""

_CLASSIFICATION = """\
A concept's vector gives every unit of the layer a weight; where the weighted sum of the units' means over an image, with
a bias, is above 0, the concept is predicted to be in it. Accuracy is over as many validation images with the concept as
without: knowing nothing is 0.5. The single filter is the unit of the largest weight, trained anew by itself."""

_SINGLE = {
    "better": "share that gains",
    "compared": "ratios",
    "median_ratio": "median ratio",
    "above_single": "single > 0.2",
    "above_combined": "combined > 0.2",
}

_NEEDED = """\
Trained anew with the F filters of largest weight alone: a concept needs the smallest F whose {what} on val reaches
{share} of {goal}. A concept that none of them brings so far needs all."""

_SHARING = """\
A filter that is the single best one of several concepts cannot tell them apart by itself."""


def score_sections(study: VectorStudy, csv: dict[str, pd.DataFrame]) -> list[Part]:
    """One filter against many, filters needed, filters shared; tables are added to `csv`."""
    segments = study.vectors.kind == "segmentation"
    sections = []
    if study.scores is not None and study.improvement is not None:
        csv["single-combined"], csv["improvement"] = study.scores, study.improvement
        left_out = ["compared", "median_ratio", "above_single", "above_combined"] * (not segments)
        shown = study.improvement.drop(columns=left_out).rename(columns=_SINGLE)
        order = [*display_order(shown["category"][:-1]), ""]
        shown = shown.set_index("category").loc[order].reset_index()
        shown["category"] = shown["category"].replace("", "all")
        what = score_word(study)
        note = f"Means of {what} on val."
        if segments:
            note += " Ratios are of concepts whose single filter is above 0.005; a concept above 0.2 counts as detected."
        table = Table.of(shown, note, csv="improvement")
        figure = single_against_combined(study.scores, what)
        plot = Plot("against", figure, f"{figure.caption} {POINTS}")
        text = _SEGMENTATION if segments else _CLASSIFICATION
        title = "Combination against single filter"
        sections.append(Part("single-combined", title, text, [plot, table], "One filter against all"))
    if study.counts is not None:
        sections.append(_needed(study, study.counts, csv))
    if study.sharing is not None:
        csv["sharing"] = study.sharing
        text = _SHARING if segments else f"Single filter: the one of largest weight. {_SHARING}"
        sections.append(Part("sharing", "Shared filters", text, [sharing_figure(study.sharing)]))
    return sections


def _needed(study: VectorStudy, counts: FilterCounts, csv: dict[str, pd.DataFrame]) -> Part:
    assert study.needed is not None
    assert study.cumulative is not None
    needed, curve, cumulative = study.needed, counts.curve(), study.cumulative
    what = "IoU_set" if counts.metric == "iou" else "accuracy"
    goal = "that with all filters"
    if counts.metric == "accuracy":
        goal = f"the way from that with F = {counts.filters[0]} to that with all"
    csv["filter-scores"], csv["filters-needed"] = counts.table, needed
    text = _NEEDED.format(what=what, share=f"{100 * study.tau:g} %", goal=goal)
    median = median_needed(study)
    if median is not None:
        text += f" Here the median is {median:g} of {counts.units:,} filters."
    table = curve.merge(cumulative, on="filters").rename(
        columns={
            "mean": "mean score",
            "error": "standard error",
            "share": f"share that reaches {study.tau:g}",
        }
    )
    items: list[Any] = [
        needed_figure(cumulative, counts.units),
        score_curve(curve, counts.units, what, 0.0 if counts.metric == "iou" else 0.5),
        Table.of(table, f"{what} on val over the concepts.", csv="filters-needed"),
    ]
    return Part("needed", "How many filters a concept needs", text, items, "Filters needed")
