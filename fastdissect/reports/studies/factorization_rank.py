"""How many factors: fit and stability against rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from fastdissect.reports.studies.figures import QUIET, Figure, figure_files, study_figure
from fastdissect.reports.studies.page import Section, Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Curve", "rank_figure", "rank_section"]


class Curve(Protocol):
    """A `RankCurve`, or what is kept of one: its table and why its rank was chosen."""

    @property
    def table(self) -> pd.DataFrame: ...

    @property
    def why(self) -> str: ...


def rank_section(curve: Curve) -> Section:
    """The curve of `rank_curve`: its figure, its table, and the rank that it chose."""
    said = {name: np.where(curve.table[name], "yes", "no") for name in ("stable", "chosen")}
    shown = curve.table.assign(**said).rename(
        columns={"fit_mean": "fit", "fit_min": "least", "fit_max": "most", "dead_factors": "dead factors"}
    )
    return Section("Rank", f"Chosen: {curve.why}.", [rank_figure(curve), Table.of(shown, csv="ranks")])


def rank_figure(curve: Curve) -> Figure:
    """Fit (mean and range over restarts) and stability, against rank."""
    table = curve.table
    chosen = int(table["rank"][table["chosen"]].iloc[0])
    with study_figure(7.0, 3.0, 1, 2) as (figure, axes):
        axes[0].plot(table["rank"], table["fit_mean"], "o-")
        axes[0].fill_between(table["rank"], table["fit_min"], table["fit_max"], alpha=0.18, linewidth=0)
        axes[0].set_ylabel("fit: squared error / squared norm")
        axes[1].plot(table["rank"], table["stability"], "o-", color="#2b8a76")
        axes[1].set_ylabel("stability")
        axes[1].set_ylim(top=1.02)
        for axis in axes:
            axis.set_xlabel("rank")
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.axvline(chosen, color=QUIET, linewidth=0.8, linestyle="--")
        return figure_files(
            figure,
            "rank",
            "Left: what is left unexplained, mean and range over the restarts. Right: how alike the factors of two restarts "
            "are, matched one to one. The dashed line is the rank chosen.",
        )
