"""Decisions explained by units and by concepts, picture by picture, and how far each explanation can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastdissect as fd
from fastdissect.datasets.shapes import Shapes
from fastdissect.labels import NO_CONCEPT
from fastdissect.methods import explain_by_concepts
from fastdissect.methods.explanation import Explanation, explain_each
from fastdissect.methods.semantics import ConceptExplanation, ConceptView, SemanticVectors

__all__ = ["Decision", "Trust", "choose", "decisions", "trust"]

SHOWN = 4  # units of an explanation
DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Decision:
    """One picture, explained both ways."""

    number: int
    units: Explanation
    concepts: ConceptExplanation


def choose(d: fd.Dissection, images: int, each: int) -> list[int]:
    """Pictures that the network tells rightly, then some that it does not: the first of different classes."""
    found: dict[bool, dict[int, int]] = {True: {}, False: {}}
    for number, one in enumerate(explain_each(d, range(images), layer="conv5", top=SHOWN)):
        found[bool(one.correct)].setdefault(one.true or 0, number)
    return [number for which in found.values() for number in list(which.values())[:each]]


def decisions(
    d: fd.Dissection, study: SemanticVectors, images: Sequence[int], removals: int
) -> list[Decision]:
    """Explain pictures by units and by concepts."""
    units = explain_each(d, images, layer="conv5", top=SHOWN)
    concepts = explain_by_concepts(d, study, images, removals=removals)
    return [Decision(*both) for both in zip(images, units, concepts, strict=True)]


@dataclass(frozen=True)
class Trust:
    """What holds over many decisions; shares are from 0 to 1, NaN where there is nothing to count."""

    decisions: int
    gap: float  # largest distance of a score and its parts, relative
    residual: float  # median share of the residual
    explained: float  # share whose residual is at most half
    concept_there: float  # the strongest concept in favour is to be seen in the picture
    concept_by_chance: float  # the same with another decision's picture
    unit_there: float  # the concept of the strongest unit in favour is; a unit without one is a miss
    unit_by_chance: float
    removal: float  # mean change of the score without the strongest concept
    removal_by_chance: float  # mean change along random directions
    beyond_chance: float  # share in which no random direction changes the score as much


def trust(found: Sequence[Decision], data: Shapes, role: str = "predicted") -> Trust:
    """Count over decisions; `role` of the view: "predicted", or "difference" to the class that it should have been."""
    names = data.concepts.names
    kept, concepts, units, views = [], [], [], []
    for one in found:
        own, view = _view(one.units.views, role), _view(one.concepts.views, role)
        if own is None or view is None or not len(view.names) or not len(own.shown):
            continue
        members = next(g for g in one.concepts.groups if g.name == view.names[0]).name.split(" / ")
        label = str(own.units.set_index("unit").loc[own.shown[0], "concept"])
        kept.append(one.number)
        views.append(view)
        concepts.append(np.isin(names, members))
        units.append(np.isin(names, [] if label == NO_CONCEPT else [label]))
    if not views:
        return Trust(0, *[float("nan")] * 10)
    seen = np.array([data.targets(number) for number in kept])
    evidence = [view.evidence for view in views]
    removals = [view.removals[0] for view in views if view.removals]
    return Trust(
        len(views),
        max(e.error for e in evidence),
        float(np.median([e.residual_share for e in evidence])),
        float(np.mean([e.explained for e in evidence])),
        *_there(np.array(concepts), seen),
        *_there(np.array(units), seen),
        float(np.mean([r.change for r in removals])) if removals else float("nan"),
        float(np.mean([r.chance.mean() for r in removals])) if removals else float("nan"),
        float(np.mean([(abs(r.change) > np.abs(r.chance)).all() for r in removals])) if removals else float("nan"),
    )  # fmt: skip


def _view(views: Sequence[Any], role: str) -> Any:
    return next((view for view in views if view.role == role), None)


def _there(told: NDArray[np.bool_], seen: NDArray[np.bool_]) -> tuple[float, float]:
    """Share of the pictures that show what is told; mean of the same with the pictures in another order."""
    rng, count = np.random.default_rng(0), len(seen)
    drawn = [(told & seen[rng.permutation(count)]).any(1).mean() for _ in range(DRAWS)]
    return float((told & seen).any(1).mean()), float(np.mean(drawn))


def strongest(view: ConceptView, count: int) -> list[tuple[str, float, int]]:
    """The concepts most in favour: name, contribution, place in the evidence."""
    return [
        (view.names[i], float(view.evidence.contributions[i]), i)
        for i in range(len(view.names))
        if view.evidence.contributions[i] > 0
    ][:count]
