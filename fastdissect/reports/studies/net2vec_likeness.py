"""Sections of the page of concept vectors: what is like what, sums, another set of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastdissect.methods.vectors import VectorStudy
from fastdissect.reports.studies.net2vec_items import POINTS, Mix, Part, Plot
from fastdissect.reports.studies.net2vec_maps import map_figure, tree_figure
from fastdissect.reports.studies.page import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["likeness_sections"]

_ROWS = 25
_LONGEST = 32  # letters of a query in the list of sections

_MIX = (
    "Of what categories the nearest neighbours of a category's concepts are, in per cent; behind each name, how many "
    "concepts. Last, the concepts themselves: what neighbours at random would give."
)

_NEAR = """\
Concepts are alike where their vectors point the same way: cosine 1 is the same mix of units, at 0 they have nothing in
common. Concepts that were not learned have vectors that mean nothing; {they}."""

_SUMS = """\
Of each concept, the two others whose sum comes nearest to it (our formulation): gain is by how much the sum is nearer
than the better of the two alone. Nothing is chosen by hand; but the best of so many pairs always gains something, so
that only large gains tell."""


def likeness_sections(study: VectorStudy, csv: dict[str, pd.DataFrame]) -> list[Part]:
    """Neighbours, map, tree, sums, another set of vectors; tables are added to `csv`."""
    categories, items = study.vectors.categories, list[Any]()
    if study.map is not None:
        csv["map"] = study.map
        figure = map_figure(study.map, categories)
        caption = (
            f"{len(study.map):,} concepts, near where their vectors are alike (t-SNE of the unit vectors). Only "
            f"neighbourhoods mean something here: not distances between groups, nor the axes. {POINTS}"
        )
        items.append(Plot("map", figure, caption))
    if len(study.mix):
        csv["category-mix"] = study.mix
        items.append(Mix(study.mix, _MIX, "category-mix"))
    if study.tree is not None:
        items.append(tree_figure(study.tree, categories, study.tree_left_out))
    they = "they are here, too" if study.unlearned else "they are left out"
    sections = [Part("alike", "What is like what", _NEAR.format(they=they), items, "Map, tree, neighbours")]
    if len(study.sums):
        csv["sums"] = study.sums
        shown = study.sums.rename(columns={"cosine": "cosine of the sum", "neighbour": "of the nearer one"})
        table = Table.of(shown, rows=_ROWS, csv="sums")
        sections.append(Part("sums", "Sums", _SUMS, [table]))
    for place, (query, answers) in enumerate(study.arithmetic, start=1):
        name = f"arithmetic-{place}"
        csv[name] = answers
        text = "The nearest to the mean of the unit vectors with their signs; the query's own words are left out."
        table = Table.of(answers.drop(columns="learned"), csv=name)
        short = query if len(query) <= _LONGEST else f"{query[: _LONGEST - 1].rstrip()}…"
        sections.append(Part(name, query, text, [table], short))
    if study.against is not None:
        sections.append(_against(study, csv))
    return sections


def _against(study: VectorStudy, csv: dict[str, pd.DataFrame]) -> Part:
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
    return Part("against", f"Against {name}", text, items)
