"""Concepts on a map and in a tree, coloured by category."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdissect.methods.extras import need
from fastdissect.methods.vectors import Tree
from fastdissect.reports.studies.figures import (
    INK,
    QUIET,
    Figure,
    category_colours,
    figure_files,
    printable,
    study_figure,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["map_figure", "tree_figure"]

_NAMED = 150  # names on a map; more would cover one another
_LONGEST = 26  # letters of a name


def map_figure(places: pd.DataFrame, categories: tuple[str, ...]) -> Figure:
    """Draw the concepts where `concept_map` puts them."""
    colours = category_colours(categories)
    step = -(-len(places) // _NAMED)
    with study_figure(7.5, 6.0) as (figure, axes):
        for category, colour in colours.items():
            own = places[places["category"] == category]
            if len(own):
                axes.scatter(own["x"], own["y"], s=16, color=colour, linewidths=0, label=_short(category))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.margins(0.08)
        figure.legend(loc="outside upper left", ncols=max(1, min(6, len(colours))), handlelength=1)
        named = _name_points(figure, axes, places, places.iloc[::step])
        some = "" if named == len(places) else f" {named:,} are named; more names would cover one another."
        caption = (
            f"{len(places):,} concepts, near where their vectors are alike (t-SNE of the unit vectors). Only neighbourhoods "
            f"mean something here: not distances between groups, nor the axes.{some}"
        )
        return figure_files(figure, "map", caption)


def _name_points(figure: Any, axes: Any, places: pd.DataFrame, asked: pd.DataFrame) -> int:
    """Write names beside their points where they cover neither points nor other names; return how many."""
    figure.draw_without_rendering()  # the axes now have their place
    dot, size = figure.dpi / 72, 6 if len(places) > 60 else 7
    points = axes.transData.transform(places[["x", "y"]].to_numpy())
    taken = np.concatenate([points - 2.5 * dot, points + 2.5 * dot], 1)  # left, bottom, right, top
    named = 0
    for row, (x, y) in zip(
        asked.itertuples(), axes.transData.transform(asked[["x", "y"]].to_numpy()), strict=True
    ):
        text = axes.annotate(
            _short(row.concept), (row.x, row.y), (0, 0), textcoords="offset points", fontsize=size, color=INK
        )
        text.set_in_layout(False)
        with warnings.catch_warnings():  # a script that the font lacks: as in figure_files
            warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
            box = text.get_window_extent()
        # in points; letters are wider when they are drawn finer
        width, height = 1.15 * box.width / dot, 0.8 * box.height / dot
        for right, up in ((4, -2), (-4 - width, -2), (-width / 2, 4), (-width / 2, -9)):
            left, bottom = x + right * dot, y + up * dot
            own = np.array([left, bottom, left + width * dot, bottom + height * dot])
            outside = own[0] < 0 or own[2] > figure.bbox.width
            if not outside and not ((own[:2] < taken[:, 2:]) & (own[2:] > taken[:, :2])).all(1).any():
                text.set_position((right, up))
                taken, named = np.concatenate([taken, own[None]]), named + 1
                break
        else:
            text.remove()
    return named


def tree_figure(tree: Tree, categories: tuple[str, ...], left_out: int = 0) -> Figure:
    """Draw the tree, its leaves downwards.

    Args:
        left_out: concepts that the tree leaves out, for the caption.
    """
    colours = category_colours(categories)
    count = len(tree.concepts)
    with study_figure(6.5, 0.9 + 0.145 * count) as (figure, axes):
        drawn = need("scipy.cluster.hierarchy").dendrogram(
            tree.merges,
            orientation="right",
            ax=axes,
            color_threshold=0,
            above_threshold_color=QUIET,
            labels=[""] * count,
        )
        axes.invert_yaxis()
        leaves = drawn["leaves"]
        axes.set_yticks(10 * np.arange(count) + 5, [_short(tree.concepts[row]) for row in leaves], fontsize=7)
        for label, row in zip(axes.get_yticklabels(), leaves, strict=True):
            label.set_color(colours.get(tree.category[row], INK))
        _axis(axes)
        rest = f" {left_out:,} others are left out." if left_out else ""
        caption = f"{count:,} concepts, merged by average linkage of 1 - cosine; the colour of a name is its category's.{rest}"
        return figure_files(figure, "tree", caption)


def _axis(axes: Any) -> None:
    axes.set_xlabel("1 - cosine, mean over the pairs of two groups that merge")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def _short(name: object) -> str:
    text = printable(name)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
