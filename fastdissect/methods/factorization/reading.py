"""A factorisation read: what its factors look like, are of and share, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdissect.methods.factorization.class_profiles import checked_classes, class_profiles
from fastdissect.methods.factorization.concept_profiles import concept_lift, concept_profiles
from fastdissect.methods.factorization.contributions import contributions, shares, top_examples
from fastdissect.methods.factorization.factor_overlap import (
    Coherence,
    column_cosines,
    mutual_coherence,
    profile_distances,
)
from fastdissect.methods.factorization.impurity import (
    Impurity,
    accuracy_by_impurity,
    neighbour_impurity,
    neighbours_of,
)
from fastdissect.methods.factorization.neuron_view import groupings, layer_agreement, top_neurons
from fastdissect.methods.factorization.profiles import Profiles
from fastdissect.methods.factorization.result import Factorization
from fastdissect.methods.factorization.spectrum import spectrum

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Labelled", "Reading", "read_factorization"]

Labelled = tuple[ArrayLike, Sequence[str]]
"""Numbers [examples] or shares [examples, concepts], and the names they are of."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What a factorisation says. Tables are those of the functions that are named.

    Attributes:
        factorization: what was read.
        mixtures: float64 [examples, rank]: each example's mixture, rows that sum to 1 (`contributions`, `shares`).
        weight: float64 [rank]: each factor's share of all contributions; 0: dead.
        dead: the factors of no weight.
        examples: `top_examples`. neurons: `top_neurons`. groupings, agreement, spectrum: of the matrices.
        coherence: of the factors' examples. cosines: {matrix: float64 [rank, rank]}, of the factors' loadings in it.
        profiles: of "class", "super-class", "group", "concept": those that were given, in this order.
        distances: `profile_distances` of the first profiles; None without any.
        lift: `concept_lift`; None without concepts.
        impurity: None where there are fewer examples than classes.
        accuracy: `accuracy_by_impurity`; None without impurity, or where the network's answers are not known.
        classes: int64 [examples] and names; None where they were not given.
    """

    factorization: Factorization
    mixtures: NDArray[np.float64]
    weight: NDArray[np.float64]
    dead: tuple[int, ...]
    examples: pd.DataFrame
    neurons: pd.DataFrame
    groupings: pd.DataFrame
    agreement: pd.DataFrame
    spectrum: pd.DataFrame
    coherence: Coherence
    cosines: dict[str, NDArray[np.float64]]
    profiles: dict[str, Profiles]
    distances: pd.DataFrame | None
    lift: pd.DataFrame | None
    impurity: Impurity | None
    accuracy: pd.DataFrame | None
    classes: tuple[NDArray[np.int64], tuple[str, ...]] | None


def read_factorization(
    f: Factorization,
    *,
    classes: Labelled | None = None,
    superclasses: Labelled | None = None,
    groups: Labelled | None = None,
    concepts: Labelled | None = None,
    correct: ArrayLike | None = None,
    neighbours: int | None = None,
) -> Reading:
    """Read a factorisation, with the labels that there are; none is needed.

    Args:
        f: a factorisation.
        classes, superclasses, groups: (numbers [examples], names), -1 for unknown; groups are, for example, clean and
            perturbed copies.
        concepts: (shares of the pixels [examples, concepts], names).
        correct: bool [examples]: the network was right.
        neighbours: of the impurity; where it is not given, examples // classes (METHODS 4.5), or examples // rank where
            there are no classes (our choice).

    Raises:
        SettingError: labels of other examples. BackendError: scikit-learn is not installed, which the impurity needs.
    """
    weights = contributions(f)
    total = weights.sum(0)
    given = {"class": classes, "super-class": superclasses, "group": groups}
    profiles = {
        what: class_profiles(f, own[0], own[1], what=what) for what, own in given.items() if own is not None
    }
    lift = None
    if concepts is not None:
        profiles["concept"] = concept_profiles(f, concepts[0], concepts[1])
        lift = concept_lift(profiles["concept"])
    numbers = None if classes is None else checked_classes(classes[0], classes[1], len(weights))
    impurity = None
    if neighbours is None:
        clusters = profiles["class"].present if classes is not None else f.mixtures.shape[1]
        neighbours = neighbours_of(len(weights), clusters)
    if neighbours:
        impurity = neighbour_impurity(f, neighbours)
    return Reading(
        factorization=f,
        mixtures=shares(weights),
        weight=total / total.sum() if total.any() else total,
        dead=tuple(np.flatnonzero(total == 0).tolist()),
        examples=top_examples(f),
        neurons=top_neurons(f),
        groupings=groupings(f),
        agreement=layer_agreement(f),
        spectrum=spectrum(f),
        coherence=mutual_coherence(f),
        cosines={one.name: column_cosines(one.values) for one in f.loadings},
        profiles=profiles,
        distances=profile_distances(next(iter(profiles.values()))) if profiles else None,
        lift=lift,
        impurity=impurity,
        accuracy=accuracy_by_impurity(impurity, correct)
        if impurity is not None and correct is not None
        else None,
        classes=None if numbers is None or classes is None else (numbers, tuple(classes[1])),
    )
