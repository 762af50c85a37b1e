"""The figures of a coupled factorisation: history, profiles, cosines, spectrum, impurity, rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.factorization.profiles import Profiles
from fastdissect.methods.factorization.reading import Reading
from fastdissect.methods.factorization.result import Factorization
from fastdissect.reports.studies.factorization_words import short
from fastdissect.reports.studies.figures import INK, QUIET, Figure, figure_files, study_figure

__all__ = ["accuracy_figure", "cosine_figure", "history_figure", "profile_figure", "spectrum_figure"]

_ENTRIES = 60  # columns of a heat map
_MATRICES = 12  # panels of cosines
_ACROSS = 4


def history_figure(f: Factorization) -> Figure:
    """The objective and the fit, iteration by iteration; a line a restart, that of the one kept is bold."""
    kept = set(f.restarts.loc[f.restarts["kept"], "restart"].tolist())
    with study_figure(7.0, 2.9, 1, 2) as (figure, axes):
        for restart, own in f.history.groupby("restart", sort=True):
            bold = restart in kept
            style: dict[str, Any] = {"linewidth": 1.8 if bold else 0.8, "alpha": 1.0 if bold else 0.5}
            axes[0].plot(own["iteration"], own["objective"], color="#3f74b8" if bold else QUIET, **style)
            axes[1].plot(
                own["iteration"], own["fit"], color="#3f74b8", label="all matrices" if bold else None, **style
            )
            axes[1].plot(
                own["iteration"],
                own["neurons_fit"],
                color="#c07f22",
                label="neurons alone" if bold else None,
                **style,
            )
        for axis, words in zip(axes, ("objective", "squared error / squared norm"), strict=True):
            axis.set_ylabel(words)
            axis.set_xlabel("iteration")
            axis.xaxis.get_major_locator().set_params(integer=True)
        axes[1].legend()
        restarts = len(f.restarts)
        kept_words = f"; {restarts} restarts, the bold one is kept" if restarts > 1 else ""
        rule = "released rule: it may rise" if f.settings.faithful else "scaled rule: it never rises"
        return figure_files(figure, "history", f"The objective ({rule}) and the fit{kept_words}.")


def profile_figure(profiles: Profiles) -> Figure:
    """The profiles as a heat map; factors down, entries across."""
    order = np.argsort(-profiles.weights.max(0), kind="stable")[:_ENTRIES]
    order = np.sort(order)
    live = profiles.live
    first = profiles.weights[np.ix_(live, order)].argmax(1)
    rows = live[np.lexsort((live, first))]  # those of one class together
    values = profiles.weights[np.ix_(rows, order)]
    size = (max(7.0, min(11.0, 1.8 + 0.2 * len(order))), 1.5 + 0.19 * len(rows))
    with study_figure(*size) as (figure, axes):
        largest = float(values.max())
        shown = axes.imshow(
            values, vmin=0, vmax=largest, cmap="Blues", aspect="auto", interpolation="nearest"
        )
        axes.grid(visible=False)
        axes.set_yticks(range(len(rows)), [str(r) for r in rows], fontsize=7.5)
        axes.set_xticks(
            range(len(order)),
            [short(profiles.names[i]) for i in order],
            fontsize=7.5,
            rotation=90 if len(order) > 6 else 0,
        )
        axes.set_ylabel("factor")
        axes.tick_params(length=0)
        figure.colorbar(shown, ax=axes, label="weight", shrink=0.8)
        some = (
            ""
            if len(order) == len(profiles.names)
            else f" The {_ENTRIES} of largest weight, of {len(profiles.names):,}."
        )
        return figure_files(
            figure,
            f"profiles-{profiles.what}",
            f"Each factor's weight by {profiles.what}; a row sums to 1. Factors stand in the order of their strongest "
            f"{profiles.what}.{some}",
        )


def cosine_figure(reading: Reading) -> Figure:
    """The cosines of the factors: of their examples first, then of their loadings in each matrix."""
    panels: Mapping[str, NDArray[np.float64]] = {"examples": reading.coherence.cosine, **reading.cosines}
    names = list(panels)[: _MATRICES + 1]
    rows = -(-len(names) // _ACROSS)
    with study_figure(7.4, 0.3 + 1.95 * rows, rows, _ACROSS, squeeze=False) as (figure, axes):
        for axis in axes.ravel():
            axis.set_axis_off()
        shown = None
        for axis, name in zip(axes.ravel(), names, strict=False):
            axis.set_axis_on()
            shown = axis.imshow(panels[name], vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
            axis.set_title(short(name, 20), fontsize=9, color=INK)
            axis.grid(visible=False)
            axis.set_xticks([])
            axis.set_yticks([])
        figure.colorbar(shown, ax=axes, label="cosine", shrink=0.7)
        left = len(panels) - len(names)
        some = f" {left} more matrices are in the table." if left else ""
        return figure_files(
            figure,
            "cosines",
            "Cosines of all pairs of factors, factor 0 first: of their weights on the examples, and of their loadings in each "
            f"matrix. Dark off the diagonal: they share examples, or neurons.{some}",
        )


def spectrum_figure(reading: Reading) -> Figure:
    """Eigenvalue against layer."""
    table = reading.spectrum[reading.spectrum["kind"] != "pixels"]
    table = table if len(table) else reading.spectrum
    with study_figure(max(7.0, min(10.0, 2.6 + 0.6 * len(table))), 3.0) as (figure, axes):
        places = np.arange(len(table))
        axes.plot(places, table["first"], "o-", label="first")
        axes.plot(places, table["first_three"], "o-", label="mean of the first three")
        turned = len(table) > 6 or max(len(short(name)) for name in table["matrix"]) > 10
        axes.set_xticks(
            places,
            [short(n) for n in table["matrix"]],
            rotation=45 if turned else 0,
            ha="right" if turned else "center",
        )
        axes.set_ylim(bottom=0)
        axes.margins(x=0.08)
        axes.set_ylabel("eigenvalue")
        axes.legend()
        live = len(reading.weight) - len(reading.dead)
        return figure_files(
            figure,
            "spectrum",
            f"Largest eigenvalues of the cosines of each layer's loadings. 1: every factor has neurons of its own; {live}: all "
            f"{live} live factors have the same.",
        )


def accuracy_figure(reading: Reading) -> Figure | None:
    """Accuracy against impurity; None where the network's answers are not known."""
    table = reading.accuracy
    if table is None:
        return None
    with study_figure(7.0, 3.1) as (figure, axes):
        levels = table.drop_duplicates("examples")
        axes.plot(levels["examples"], levels["accuracy"], marker="o" if len(levels) == 1 else None)
        axes.set_xlabel("examples, by rising impurity")
        axes.set_ylabel("accuracy so far")
        axes.set_xlim(0, len(table))
        other = axes.twinx()
        other.plot(np.arange(1, len(table) + 1), table["impurity"], color=QUIET, linewidth=1)
        other.set_ylabel("impurity, bits", color=QUIET)
        other.set_ylim(bottom=0)
        other.grid(visible=False)
        whole = float(table["accuracy"].iloc[-1])
        return figure_files(
            figure,
            "accuracy",
            f"The network's accuracy over the examples of least impurity (blue), and their impurity (grey). Over all: {whole:.3f}. "
            "Examples of equal impurity stand together; at the left few are counted, and chance moves the line.",
        )
