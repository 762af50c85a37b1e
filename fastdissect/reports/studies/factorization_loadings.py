"""The neurons of each layer as a heat map: which factors each has."""

from __future__ import annotations

import numpy as np

from fastdissect.methods.factorization.neuron_view import sorted_neurons
from fastdissect.methods.factorization.reading import Reading
from fastdissect.reports.studies.factorization_words import short
from fastdissect.reports.studies.figures import INK, Figure, figure_files, study_figure

__all__ = ["loadings_figure"]

_MATRICES = 8
_ACROSS = 4
_NUMBERED = 24  # factors whose numbers have room


def loadings_figure(reading: Reading) -> Figure | None:
    """A panel a matrix, but those of pixels: a row a neuron, a column a live factor; None without any."""
    live = np.flatnonzero(reading.weight)
    found = [one for one in reading.factorization.loadings if one.kind != "pixels" and one.values.any()]
    if not found or not len(live):
        return None
    drawn = found[:_MATRICES]
    rows, across = -(-len(drawn) // _ACROSS), min(len(drawn), _ACROSS)
    width = min(7.4, 1.2 + 2.4 * across)
    with study_figure(width, 0.4 + 3.0 * rows, rows, across, squeeze=False) as (figure, axes):
        for axis in axes.ravel():
            axis.set_axis_off()
        shown = None
        for axis, one in zip(axes.ravel(), drawn, strict=False):
            axis.set_axis_on()
            values = sorted_neurons(one)[:, live]
            shown = axis.imshow(values, vmin=0, vmax=1, cmap="Blues", aspect="auto", interpolation="nearest")
            axis.grid(visible=False)
            axis.set_title(short(one.name, 20), fontsize=9, color=INK)
            axis.set_xlabel("factor")
            axis.set_xticks(range(len(live)), [str(r) for r in live], fontsize=6.5)
            if len(live) > _NUMBERED:
                axis.set_xticks([])
            axis.set_yticks([])
            axis.set_ylabel(f"{int((one.values > 0).any(1).sum()):,} neurons", fontsize=8)
        figure.colorbar(shown, ax=axes, label="share of the neuron's loadings", shrink=0.8)
        left = len(found) - len(drawn)
        some = f" {left} more matrices are not drawn." if left else ""
        return figure_files(
            figure,
            "loadings",
            "The neurons of each layer, each where its strongest factor is, those that are most a factor's own on top of it; "
            f"columns at unit length first. Of more than 400 neurons 400 are drawn, evenly; of dead ones none.{some}",
        )
