"""Unique detectors over training steps, with the accuracy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastdissect.methods.comparison.comparing import Comparison
from fastdissect.reports.studies.comparison_curves import count_axis
from fastdissect.reports.studies.comparison_stamp import stamp_if, stamp_room
from fastdissect.reports.studies.comparison_words import layer_name, short
from fastdissect.reports.studies.figures import (
    INK,
    QUIET,
    Figure,
    category_colours,
    figure_files,
    study_figure,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["has_training", "training_curve"]


def has_training(comparison: Comparison) -> bool:
    """True where there is a curve to draw: two training steps or more."""
    return int(comparison.training["step"].nunique()) > 1


def training_curve(comparison: Comparison) -> Figure:
    """Draw a panel a layer: unique detectors by category over training steps, and the accuracy where given."""
    table, colours = comparison.training, category_colours(comparison.category_names)
    layers = list(dict.fromkeys(table["layer"]))
    with study_figure(
        6.5, 0.6 + 2.5 * len(layers) + stamp_room(comparison), len(layers), 1, sharex=True, squeeze=False
    ) as (
        figure,
        axes,
    ):
        handles: dict[str, Any] = {}
        for axis, layer in zip(axes[:, 0], layers, strict=True):
            own = table[table["layer"] == layer]
            for category, colour in ({"": INK} | colours).items():
                line = _curve(axis, own[own["category"] == category], colour)
                handles[short(category, 18) or "all"] = line
            accuracy = _accuracy(axis, own[own["category"] == ""])
            if accuracy is not None:
                handles["accuracy"] = accuracy
            axis.set_title(short(layer_name(layer), 60))
            axis.set_ylabel("unique detectors")
            count_axis(axis)
        _log_axis(axes[-1, 0], table["step"])
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside upper left",
            ncols=min(len(handles), 8),
            handlelength=1.2,
        )
        stamp_if(figure, comparison)
        return figure_files(figure, "training", _training_caption(comparison))


def _curve(axis: Any, own: pd.DataFrame, colour: str) -> Any:
    (line,) = axis.plot(own["step"], own["unique"], "o-", color=colour)
    if (own["runs"] > 1).any():
        axis.fill_between(
            own["step"], own["least"].astype(float), own["most"].astype(float), color=colour, alpha=0.15, lw=0
        )
    return line


def _accuracy(axis: Any, own: pd.DataFrame) -> Any:
    """A dashed line on a second axis; None where no accuracy is known."""
    known = own[own["accuracy"].notna()]
    if known.empty:
        return None
    other = axis.twinx()
    other.grid(visible=False)
    other.spines["right"].set_visible(True)
    other.set_ylabel("accuracy")
    other.set_ylim(0, max(1.0, known["accuracy"].max() * 1.05))
    (line,) = other.plot(known["step"], known["accuracy"], "s--", color=QUIET, markersize=3, lw=1.2)
    return line


def _log_axis(axis: Any, steps: pd.Series[float]) -> None:
    """Logarithmic; a step of 0, the untrained network, stands at the left end, before the first of the others."""
    first, last = steps[steps > 0].min(), steps.max()
    decades = [10.0**k for k in range(math.ceil(math.log10(first)), math.floor(math.log10(last)) + 1)]
    ticks = decades if len(decades) > 1 else sorted(set(steps[steps > 0]))
    if (steps > 0).all():
        axis.set_xscale("log")
        axis.set_xlim(first / 1.4, last * 1.4)
    else:
        axis.set_xscale("symlog", linthresh=first, linscale=0.8)
        axis.set_xlim(-0.3 * first, last * 1.4)
        ticks = [0.0, *ticks]
    axis.set_xticks(ticks, [step_label(step) for step in ticks])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("training step")


def step_label(step: float) -> str:
    """
    >>> step_label(0), step_label(100), step_label(20000), step_label(1e6), step_label(0.1)
    ('0', '100', '20k', '1M', '0.1')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if step >= size:
            return f"{step / size:g}{letter}"
    return f"{step:g}"


def _training_caption(comparison: Comparison) -> str:
    table = comparison.training
    parts = ["Unique detectors over training, on a logarithmic axis."]
    if (table["step"] == 0).any():
        parts.append("Step 0, the untrained network, stands at its left end.")
    if (table["runs"] > 1).any():
        parts.append("Several runs of one step: their mean, and a band from the least to the most.")
    if table["accuracy"].notna().any():
        parts.append("Dashed: accuracy, on the right.")
    return " ".join(parts)
