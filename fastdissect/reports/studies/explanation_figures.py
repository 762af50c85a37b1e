"""The account of a logit as a figure, and the words for its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fastdissect.labels import NO_CONCEPT
from fastdissect.methods.explanation import ClassView
from fastdissect.reports.studies.figures import Figure, category_colours
from fastdissect.reports.studies.waterfall import PLAIN, Part, waterfall

__all__ = ["account_figure", "percent", "rest_name"]


def rest_name(kind: str) -> str:
    """What the part that no unit contributes is called under a head of that kind."""
    return "bias" if kind == "linear" else "remainder"


def percent(share: float) -> str:
    """A share in per cent; "-" where there is nothing to share.

    >>> percent(0.6063), percent(float("nan"))
    ('60.6 %', '-')
    """
    return "-" if math.isnan(share) else f"{100 * share:.1f} %"


def account_figure(view: ClassView, kind: str, name: str, caption: str, mean: bool = False) -> Figure:
    """Draw how a logit, or the difference of two, is made up.

    Args:
        kind: of the head. name: of the figure's files.
        mean: the parts are means over several images.
    """
    lines = view.account(rest_name(kind))
    table = view.units.set_index("unit")
    colours = category_colours(dict.fromkeys(table["category"]))
    what = "difference of the logits" if view.against is not None else "logit"
    parts = [
        Part(line.what, line.value, PLAIN if line.unit is None else _colour(table.loc[line.unit], colours))
        for line in lines
    ]
    return waterfall(parts, f"mean {what}" if mean else what, view.logit, name, caption)


def _colour(unit: object, colours: Mapping[str, str]) -> str:
    row: Mapping[str, str] = unit  # type: ignore[assignment]  # a row of the table
    return PLAIN if row["concept"] == NO_CONCEPT else colours[row["category"]]
