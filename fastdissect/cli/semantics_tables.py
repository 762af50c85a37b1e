"""Semantic vectors in tables: categories, classes, the parts of a score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastdissect.cli.terminal import listing, output, plain

if TYPE_CHECKING:
    from rich.table import Table

    from fastdissect.methods.semantics import (
        ConceptExplanation,
        ConceptView,
        Evaluation,
        GlobalView,
        SemanticVectors,
    )

__all__ = ["category_table", "class_table", "say_evaluation", "say_view", "say_what"]

_CLASSES = 40  # rows where no class is asked for


def say_what(study: SemanticVectors, where: str) -> None:
    """How many vectors there are, and where from."""
    vectors = study.vectors
    represented = int(vectors.table["represented"].sum())
    count = len(vectors.skipped)
    skipped = f"; {count:,} skipped (the page says why)" if count else ""
    output().print(
        plain(
            f"Layer {vectors.layer}: {len(vectors):,} concepts in a space of {vectors.units:,} units{where}; "
            f"{represented:,} represented{skipped}"
        ),
        soft_wrap=True,
    )


def category_table(rows: Any) -> Table:
    """Means over the concepts of each category."""
    numbers = tuple(rows.columns[1:])
    table = listing(tuple(rows.columns), title="Concepts on val", right=numbers)
    for row in rows.itertuples(index=False, name=None):
        table.add_row(plain(row[0]), *(_number(value) for value in row[1:]))
    return table


def class_table(view: GlobalView, wanted: list[str]) -> Table:
    """The strongest concepts of classes; of those that are asked for, with p."""
    from fastdissect.methods.semantics import strongest

    assert view.classes is not None
    classes = wanted or list(dict.fromkeys(view.classes["class"]))[:_CLASSES]
    own = view.classes[view.classes["class"].isin(classes)]
    if wanted:
        table = listing(
            ("class", "concept", "category", "cosine", "p", "q"),
            title="Strongest concepts",
            right=("cosine", "p", "q"),
        )
        for row in strongest(own, "class", 10).itertuples(index=False, name=None):
            table.add_row(*(plain(v) if isinstance(v, str) else _number(v) for v in row))
        return table
    table = listing(("class", "concepts"), title="Strongest concepts of each class, by cosine")
    for name, rows in strongest(own, "class", 4).groupby("class", sort=False):
        words = (f"{c} {v:+.2f}" for c, v in zip(rows["concept"], rows["cosine"], strict=True))
        table.add_row(plain(name), plain(", ".join(words)))
    return table


def say_view(explanation: ConceptExplanation, view: ConceptView) -> None:
    """A score's parts."""
    from fastdissect.reports.studies.explanation_figures import rest_name
    from fastdissect.reports.studies.semantics_words import decision_words, residual_words, view_title

    numbers = ("weight", "contribution", "without", "by chance", "p")
    title = f"{explanation.image}: {view_title(explanation, view)}. {decision_words(explanation, view)}"
    output().print(plain(title), soft_wrap=True)
    table = listing(("concept", *numbers), right=numbers)
    names = [*view.names, "residual", rest_name(explanation.head.kind)]
    for place, row in enumerate(view.table().itertuples(index=False)):
        if place == len(view.names):
            table.add_section()
        cells = (f"{row.contribution:+.4g}", *(_number(v) for v in (row.without, row.chance, row.p)))
        table.add_row(plain(names[place]), _number(row.beta), *cells)
    table.add_row("score", "", f"{view.evidence.score:.4g}", "", "", "")
    output().print(table)
    output().print(f"{residual_words(view)}\n")


def say_evaluation(found: Evaluation) -> None:
    """How far the vectors can be trusted, in a table of means."""
    from fastdissect.methods.semantics import STABLE

    table = listing(
        ("what", "mean", "beside it", "mean "), title="On held-out images", right=("mean", "mean ")
    )
    own = found.study.vectors.table
    means = [
        ("AP", own["ap_val"].mean(), "best single unit", own["single_ap"].mean()),
        ("IoU", own["iou_val"].mean(), "best single unit", own["single_iou"].mean()),
    ]
    if found.pointing is not None:
        game = found.pointing
        means += [
            ("pointing game, hits", game["vector"].mean(), "best single unit", game["single_unit"].mean()),
            ("", math.nan, "random directions", game["random"].mean()),
        ]
    if found.removals is not None and len(found.removals):
        first = found.removals[found.removals["rank"] == 1]
        without = first["change"].abs().mean(), first["chance"].mean()
        means.append(("change without the strongest concept", without[0], "random directions", without[1]))
    if found.decisions is not None:
        share, explained = found.decisions["residual_share"].mean(), found.decisions["explained"].mean()
        means.append(("residual share", share, "share of decisions explained", explained))
    if found.stability is not None:
        least = found.stability["least"]
        stable = (least > STABLE).mean()
        means.append(
            ("least cosine with other seeds", least.mean(), f"share of concepts above {STABLE}", stable)
        )
    for what, mean, beside, other in means:
        table.add_row(what, _number(float(mean)), beside, _number(float(other)))
    output().print(table)
    if found.reason:
        output().print(plain(f"Decisions are left out: {found.reason}"), soft_wrap=True)


def _number(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if math.isnan(value):
        return ""
    return f"{value:.4f}" if abs(value) < 0.001 and value else f"{value:.3f}"
