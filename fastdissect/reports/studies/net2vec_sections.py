"""Sections of a page of concept vectors: what they score, and what is like what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastdissect.methods.vectors import VectorStudy
from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.net2vec_figures import (
    needed_figure,
    score_curve,
    sharing_figure,
    single_against_combined,
)
from fastdissect.reports.studies.net2vec_maps import map_figure, tree_figure
from fastdissect.reports.studies.page import Section, Table

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.net2vec.filter_counts import FilterCounts

__all__ = ["likeness_sections", "score_sections"]

_ROWS = 25

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

_NEAR = """\
Concepts are alike where their vectors point the same way: cosine 1 is the same mix of units, at 0 they have nothing in
common. Concepts that were not learned have vectors that mean nothing; {they}."""

_SUMS = """\
Of each concept, the two others whose sum comes nearest to it (our formulation): gain is by how much the sum is nearer
than the better of the two alone. Nothing is chosen by hand; but the best of so many pairs always gains something, so
that only large gains tell."""


def score_sections(study: VectorStudy, csv: dict[str, pd.DataFrame]) -> list[Section]:
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
        what = "IoU_set" if segments else "accuracy"
        note = f"Means of {what} on val."
        if segments:
            note += " Ratios are of concepts whose single filter is above 0.005; a concept above 0.2 counts as detected."
        table = Table.of(shown, note, csv="improvement")
        figure = single_against_combined(study.scores, what)
        text = _SEGMENTATION if segments else _CLASSIFICATION
        sections.append(Section("Combination against single filter", text, [table, figure]))
    if study.counts is not None:
        sections.append(_needed(study, study.counts, csv))
    if study.sharing is not None:
        csv["sharing"] = study.sharing
        text = _SHARING if segments else f"Single filter: the one of largest weight. {_SHARING}"
        sections.append(Section("Shared filters", text, [sharing_figure(study.sharing)]))
    return sections


def _needed(study: VectorStudy, counts: FilterCounts, csv: dict[str, pd.DataFrame]) -> Section:
    assert study.needed is not None
    assert study.cumulative is not None
    needed, curve, cumulative = study.needed, counts.curve(), study.cumulative
    what = "IoU_set" if counts.metric == "iou" else "accuracy"
    goal = "that with all filters"
    if counts.metric == "accuracy":
        goal = f"the way from that with F = {counts.filters[0]} to that with all"
    csv["filter-scores"], csv["filters-needed"] = counts.table, needed
    known = needed[needed["needed"] > 0]
    text = _NEEDED.format(what=what, share=f"{100 * study.tau:g} %", goal=goal)
    if len(known):
        text += f" Here the median is {np.median(known['needed']):g} of {counts.units:,} filters."
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
    return Section("How many filters a concept needs", text, items)


def likeness_sections(study: VectorStudy, csv: dict[str, pd.DataFrame]) -> list[Section]:
    """Neighbours, map, tree, sums, another set of vectors; tables are added to `csv`."""
    categories, items = study.vectors.categories, list[Any]()
    if len(study.mix):
        csv["category-mix"] = study.mix
        shown = study.mix.rename(columns={f"{q}-share": q for q in categories})
        shown["category"] = shown["category"].replace("", "any")
        note = "The categories of the nearest neighbours of a category's concepts, as shares; last: those of all concepts."
        items.append(Table.of(shown, note, csv="category-mix"))
    if study.map is not None:
        csv["map"] = study.map
        items.append(map_figure(study.map, categories))
    if study.tree is not None:
        items.append(tree_figure(study.tree, categories, study.tree_left_out))
    they = "they are here, too" if study.unlearned else "they are left out"
    sections = [Section("What is like what", _NEAR.format(they=they), items)]
    if len(study.sums):
        csv["sums"] = study.sums
        sections.append(Section("Sums", _SUMS, [Table.of(study.sums, rows=_ROWS, csv="sums")]))
    for place, (query, answers) in enumerate(study.arithmetic, start=1):
        name = f"arithmetic-{place}"
        csv[name] = answers
        text = "The nearest to the mean of the unit vectors with their signs; the query's own words are left out."
        sections.append(Section(query, text, [Table.of(answers.drop(columns="learned"), csv=name)]))
    if study.against is not None:
        sections.append(_against(study, csv))
    return sections


def _against(study: VectorStudy, csv: dict[str, pd.DataFrame]) -> Section:
    assert study.against is not None
    name, found = study.against
    table = csv["distances"] = found.table()
    means = found.by_category().rename(columns={"mean_distance": "mean distance"})
    means["category"] = means["category"].replace("", "all")
    text = (
        f"Over the {len(found.shared):,} concepts that both have: the squared distance between a concept's rows of cosines, "
        "0 where it is as near to each of the others in both. It grows with the number of shared concepts, so it "
        "compares only with distances over the same ones."
    )
    items: list[Any] = [
        Table.of(means, f"The sum over the concepts is {found.total:.3f}."),
        Table.of(table, "Smallest first.", rows=10, csv="distances"),
        Table.of(table.iloc[::-1], "Largest first.", rows=10, csv="distances"),
    ]
    return Section(f"Against {name}", text, items)
