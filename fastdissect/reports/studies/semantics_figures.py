"""The figures of the semantic vectors: quality, the concepts' cosines under their dendrogram, concepts against classes."""

from __future__ import annotations

import numpy as np

from fastdissect.methods.extras import need
from fastdissect.methods.semantics import GlobalView, strongest
from fastdissect.reports.studies.figures import (
    QUIET,
    Figure,
    category_colours,
    figure_files,
    printable,
    study_figure,
)

__all__ = ["class_figure", "concept_figure", "quality_figure"]

_NAMED = 80  # concepts whose names fit beside their rows
_CLASSES = 40
_LONGEST = 24


def quality_figure(view: GlobalView) -> Figure:
    """Average precision of each vector against that of the best single unit, and against the control."""
    table = view.study.vectors.table
    colours = category_colours(dict.fromkeys(table["category"]))
    panels = (
        ("single_ap", "best single unit, AP"),
        ("control", "shifted labels, 95 % quantile of AP"),
    )
    least = table[["ap_val", *(column for column, _ in panels)]].min().min()
    low = 0.3 if np.isnan(least) else min(0.3, float(least) - 0.02)
    with study_figure(6.8, 3.5, 1, 2, sharey=True) as (figure, axes):
        for axis, (column, words) in zip(axes, panels, strict=True):
            for name, colour in colours.items():
                own = table[table["category"] == name]
                axis.plot(
                    own[column], own["ap_val"], "o", color=colour, markersize=3.6, label=printable(name)
                )
            axis.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
            axis.set_xlabel(words)
            axis.set_xlim(low, 1.02)
            axis.set_ylim(low, 1.02)
        axes[0].set_ylabel("semantic vector, AP")
        axes[1].legend(loc="lower right")
        return figure_files(
            figure,
            "quality",
            "Average precision on val, a point a concept; about 0.5 is chance. On the line the vector is no better than the "
            "best single unit (left), or no better than chance (right): not represented.",
        )


def concept_figure(view: GlobalView) -> Figure:
    """The cosines of all pairs of concepts, in the dendrogram's order."""
    order, names = view.order.order, view.study.vectors.names
    count = len(order)
    side = min(9.0, 2.6 + 0.115 * count)
    with study_figure(side, side * 1.06, 2, 1, height_ratios=(0.16, 1)) as (figure, axes):
        tree, matrix = axes
        if len(view.order.linkage):
            dendrogram = need("scipy.cluster.hierarchy").dendrogram
            dendrogram(
                view.order.linkage, ax=tree, no_labels=True, color_threshold=0, above_threshold_color=QUIET
            )
        tree.set_axis_off()
        shown = matrix.imshow(
            view.order.cosine[np.ix_(order, order)],
            vmin=-1,
            vmax=1,
            cmap="RdBu_r",
            aspect="auto",
            interpolation="nearest",
        )
        matrix.grid(visible=False)
        if count <= _NAMED:
            labels = [_short(names[i]) for i in order]
            matrix.set_yticks(range(count), labels, fontsize=6.5)
            matrix.set_xticks(range(count), labels, fontsize=6.5, rotation=90)
            matrix.tick_params(length=0)
        else:
            matrix.set_xlabel(f"{count:,} concepts")
            matrix.set_yticks([])
        figure.colorbar(shown, ax=axes, shrink=0.4, label="cosine")
        return figure_files(
            figure,
            "concepts",
            "Cosines of the concepts' vectors; like ones stand together (average linkage of 1 - cosine).",
        )


def class_figure(view: GlobalView, each: int = 3) -> Figure | None:
    """The cosines of the first classes with the concepts that are strongest for one of them; None without classes."""
    if view.classes is None:
        return None
    table = view.classes
    classes = list(dict.fromkeys(table["class"]))[:_CLASSES]
    table = table[table["class"].isin(classes)]
    wanted = set(strongest(table, "class", each)["concept"])
    columns = [view.study.vectors.names[i] for i in view.order.order if view.study.vectors.names[i] in wanted]
    cells = table.drop_duplicates(["class", "concept"]).pivot(
        index="class", columns="concept", values="cosine"
    )
    values = cells.loc[classes, columns].to_numpy()
    limit = max(0.05, float(np.nanmax(np.abs(values))))
    with study_figure(min(11.0, 2.4 + 0.17 * len(columns)), 1.5 + 0.19 * len(classes)) as (figure, axes):
        shown = axes.imshow(
            values, vmin=-limit, vmax=limit, cmap="RdBu_r", aspect="auto", interpolation="nearest"
        )
        axes.grid(visible=False)
        axes.set_yticks(range(len(classes)), [_short(name) for name in classes], fontsize=7.5)
        axes.set_xticks(range(len(columns)), [_short(n) for n in columns], fontsize=7.5, rotation=90)
        axes.tick_params(length=0)
        figure.colorbar(shown, ax=axes, label="cosine")
        count = len(dict.fromkeys(view.classes["class"]))
        some = "" if count <= _CLASSES else f" The first {_CLASSES} of {count:,} classes."
        return figure_files(
            figure,
            "classes",
            f"Cosines of the classes' vectors with the concepts that are among a class's {each} strongest.{some}",
        )


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
