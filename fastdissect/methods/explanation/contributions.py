"""Contributions: a class's logit as a sum over the units of a layer.

    logit_c = sum_n e_n + rest_c         e_n = w_cn x_n, rest_c the bias (linear heads)
                                         e_n = sum_p dlogit_c / da_n(p) a_n(p), rest_c the remainder (others)

Source: Zhou, Bau, Oliva and Torralba 2018, "Interpreting Deep Visual Representations via Network Dissection", explained
predictions; the difference of two classes, the covered share and the gradient form are our formulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.labels import NO_CONCEPT

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.layer import LayerDissection

__all__ = ["ClassView", "Line", "Terms", "Vector", "class_view", "unit_columns"]

Vector = NDArray[np.float64]
Role = Literal["predicted", "true", "asked", "difference"]


class Terms(NamedTuple):
    """One image's logit of one class, in parts."""

    contributions: Vector  # [units], e_n
    weights: Vector  # [units], w_n; e_n / x_n where the head is not linear, NaN where x_n is 0
    rest: float  # the bias, or what the contributions leave of the logit
    logit: float  # the network's own

    def minus(self, other: Terms) -> Terms:
        """The parts of the difference of two logits."""
        return Terms(
            self.contributions - other.contributions,
            self.weights - other.weights,
            self.rest - other.rest,
            self.logit - other.logit,
        )

    @property
    def error(self) -> float:
        """How far the parts are from the logit, relative to the sum of their sizes."""
        size = float(np.abs(self.contributions).sum()) + abs(self.rest)
        gap = abs(float(self.contributions.sum()) + self.rest - self.logit)
        return gap / size if size else gap


class Line(NamedTuple):
    """A line of the account whose values add up to the logit."""

    what: str
    value: float
    unit: int | None = None


@dataclass(frozen=True, eq=False)
class ClassView:
    """Why one image got the logit of one class, or the difference of the logits of two.

    Attributes:
        units: a row for every unit of the layer, by contribution, descending: unit, concept (its label, or "no
            concept" where its IoU is under the profile's cut), label, category, iou, activation (x_n), weight (w_n),
            contribution (e_n), cumulative (share of the positive contributions, from the top to this row).
        shown: the first units in favour, at most as many as were asked for; each has e_n > 0.
        covered: share of the positive contributions that the shown units make; NaN where there are none.
        with_concept: share of the positive contributions by units that carry a concept; NaN likewise.
        rest: the bias; for heads that are not linear, the remainder.
        error: |sum + rest - logit|, relative to the sum of the sizes of all parts.
    """

    role: Role
    number: int
    name: str
    against: int | None  # difference alone: the class whose logit is taken off
    against_name: str
    logit: float
    rest: float
    units: pd.DataFrame
    shown: tuple[int, ...]
    covered: float
    with_concept: float
    error: float

    @property
    def title(self) -> str:
        """ "cat", or "cat rather than dog"."""
        return self.name if self.against is None else f"{self.name} rather than {self.against_name}"

    def account(self, rest: str = "bias") -> list[Line]:
        """Lines that add up to the logit: the shown units, all others for and against, and the rest.

        Args:
            rest: what to call it, "bias" or "remainder".
        """
        table = self.units
        listed = table[table["unit"].isin(self.shown)]
        lines = [
            Line(f"unit {unit} · {concept}", float(value), int(unit))
            for unit, concept, value in zip(
                listed["unit"], listed["concept"], listed["contribution"], strict=True
            )
        ]
        others = table.loc[~table["unit"].isin(self.shown), "contribution"].to_numpy()
        for what, part in (("in favour", others[others > 0]), ("against", others[others < 0])):
            if len(part):
                more = "other " if what == "in favour" and lines else ""
                lines.append(
                    Line(f"{len(part):,} {more}unit{'s' * (len(part) != 1)} {what}", float(part.sum()))
                )
        return [*lines, Line(rest, self.rest)]


def unit_columns(layer: LayerDissection) -> pd.DataFrame:
    """What is known of each unit of a layer: unit, concept, label, category, iou; a row a unit."""
    table = layer.units()[["unit", "label", "category", "iou", "detector"]]
    concept = table["label"].where(table["detector"], NO_CONCEPT)
    table.insert(1, "concept", concept.astype("str"))
    return table.drop(columns="detector")


def class_view(
    role: Role,
    number: int,
    names: tuple[str, ...],
    terms: Terms,
    activations: Vector,
    units: pd.DataFrame,
    top: int,
    against: int | None = None,
) -> ClassView:
    """Rank the units by their contribution.

    Args:
        names: of all classes. terms: of this class, or of the difference.
        activations: x, float64 [units]. units: from `unit_columns`.
        top: how many units to show.
    """
    e = terms.contributions + 0.0  # -0 becomes 0
    order = np.argsort(-e, kind="stable")  # of equals, the lower unit first
    positive = np.clip(e, 0, None)
    whole = float(positive.sum())
    carries = units["concept"].to_numpy() != NO_CONCEPT
    table = units.assign(activation=activations, weight=terms.weights, contribution=e).iloc[order]
    running = np.cumsum(positive[order])
    table["cumulative"] = running / whole if whole else np.nan
    shown = tuple(int(n) for n in order[:top] if e[n] > 0)
    return ClassView(
        role=role,
        number=number,
        name=names[number],
        against=against,
        against_name="" if against is None else names[against],
        logit=terms.logit,
        rest=terms.rest,
        units=table.reset_index(drop=True),
        shown=shown,
        covered=float(positive[list(shown)].sum()) / whole if whole else float("nan"),
        with_concept=float(positive[carries].sum()) / whole if whole else float("nan"),
        error=terms.error,
    )
