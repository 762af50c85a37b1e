"""The figures of a rotation study: curves over alpha, with the spread over rotations as a band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastdissect.methods.rotation import RotationStudy
from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.figures import (
    Figure,
    category_colours,
    figure_files,
    printable,
    stamp,
    study_figure,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["category_figure", "iou_figure", "unique_figure"]

_COUNTED = {
    "unique_by_category_total": ("each category by itself, added up", "#3f74b8"),
    "unique_detectors": ("best label", "#c07f22"),
}
_DASHES = {"random weights": "--", "permuted images": ":"}


def unique_figure(study: RotationStudy, curve: pd.DataFrame, baselines: pd.DataFrame, warning: str) -> Figure:
    """Unique detectors against alpha, by both ways of counting."""
    with study_figure(6.5, 3.4) as (figure, axes):
        for measure, (words, colour) in _COUNTED.items():
            _line(axes, _rows(curve, measure), colour, words)
            _dashed(axes, baselines, measure, colour)
        _finish(figure, axes, "unique detectors", warning)
        caption = f"Unique detectors of {study.layer} against alpha, by two ways of counting."
        return figure_files(figure, "unique", caption + _dashes(study))


def category_figure(study: RotationStudy, curve: pd.DataFrame, warning: str) -> Figure:
    """Unique detectors against alpha in each category by itself."""
    categories = display_order(study.dissection.concepts.categories)
    colours = category_colours(categories)
    with study_figure(6.5, 3.4) as (figure, axes):
        for name in categories:
            _line(axes, _rows(curve, "unique", name), colours[name], printable(name))
        _finish(figure, axes, "unique detectors", warning)
        caption = f"Unique detectors of {study.layer} in each category against alpha."
        return figure_files(figure, "categories", caption)


def iou_figure(study: RotationStudy, curve: pd.DataFrame, baselines: pd.DataFrame, warning: str) -> Figure:
    """The units' mean best IoU against alpha."""
    with study_figure(6.5, 3.0) as (figure, axes):
        _line(axes, _rows(curve, "mean_iou"), "#2b8a76", "rotated")
        _dashed(axes, baselines, "mean_iou", "#2b8a76")
        _finish(figure, axes, "mean best IoU", warning)
        caption = f"Mean over the units of {study.layer} of their best IoU against alpha."
        return figure_files(figure, "iou", caption + _dashes(study))


def _rows(curve: pd.DataFrame, measure: str, category: str | None = None) -> pd.DataFrame:
    rows = curve[curve["measure"] == measure]
    return rows[rows["category"].isna() if category is None else rows["category"] == category]


def _line(axes: Any, rows: pd.DataFrame, colour: str, words: str) -> None:
    axes.plot(rows["alpha"], rows["mean"], color=colour, marker="o", label=words)
    axes.fill_between(rows["alpha"], rows["min"], rows["max"], color=colour, alpha=0.18, linewidth=0)


def _dashed(axes: Any, baselines: pd.DataFrame, measure: str, colour: str) -> None:
    values = dict(zip(baselines["baseline"], baselines[measure], strict=True))
    for name, dashes in _DASHES.items():
        value = values.get(name)
        if value is not None and value == value:  # noqa: PLR0124 (NaN: not counted in this baseline)
            axes.axhline(value, color=colour, linestyle=dashes, linewidth=1.2, label=name)


def _finish(figure: Any, axes: Any, what: str, warning: str) -> None:
    axes.set_xlabel("alpha: 0 the layer's own basis, 1 a random one")
    axes.set_ylabel(what)
    axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])  # what lies at 0 stays visible
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    if warning:
        stamp(figure, warning)


def _dashes(study: RotationStudy) -> str:
    return " Dashed: baselines." if study.random is not None or study.chance is not None else ""
