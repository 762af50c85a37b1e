"""How a coupled factorisation is found."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from fastdissect.errors import SettingError, nearest

__all__ = ["INITIAL", "PENALTIES", "WEIGHTS", "FactorizationSettings"]

PENALTIES = ("elastic-net", "group-sparse")
WEIGHTS = ("picture", "each")
INITIAL = ("nndsvda", "nndsvd", "random")


@dataclass(frozen=True)
class FactorizationSettings:
    """Settings of a coupled factorisation (METHODS 4.2, 4.3).

    Attributes:
        rank: number of factors.
        penalty: of the mixtures F: "elastic-net" (||F||^2 + 2 ||F||_1) or "group-sparse" (norms of a factor's weights within
            a group of consecutive examples).
        groups: number of groups of the group-sparse penalty, ceil(examples / groups) examples each; the last may be shorter.
        mixtures, pixels, neurons: weights of the penalties (the paper's lambda_F, lambda_P, lambda_O); matrices of kind
            "features" are penalised as neurons are. Under the default rule a penalty on one side alone is mostly met by
            moving scale to the other side: give both sides one.
        faithful: the released update rule: matrices as they come, columns of the loadings rescaled to unit norm in every
            iteration, a fixed number of iterations; its objective may rise. Otherwise each matrix is divided by the root
            mean square norm of its examples, ||X|| / sqrt(examples) (our formulation): layers weigh equally, a penalty
            means the same for any number of examples, and the objective never rises.
        iterations: at most; None: 200, and 50 under faithful.
        tolerance: stop when an iteration lowers the objective by less than this share of it (1e-5 by default); under
            faithful, when the fit changes by less than this (1e-8 by default).
        restarts: initialisations; the one of lowest objective is kept.
        seed: of the initialisations: restart i draws with seed + i.
        block: examples read at a time.
        weights: of the matrices in the default rule's objective. "picture": matrices of kind "pixels" share the weight of
            one matrix, as they are one picture's channels; "each": each weighs 1. Without meaning under faithful (all 1).
        initial: "nndsvda"; "nndsvd", whose zeros stay zeros, as in the released code (where groups are of like size it finds
            no common order of the factors: see `initial`); or "random". Later restarts of the default rule are random;
            faithful's differ in the mixtures.
        repeats: multiplicative updates of a factor in an iteration, all from one reading of the data (default rule).
    """

    rank: int = 20
    penalty: str = "elastic-net"
    groups: int = 20
    mixtures: float = 0.0
    pixels: float = 0.0
    neurons: float = 0.0
    faithful: bool = False
    iterations: int | None = None
    tolerance: float | None = None
    restarts: int = 1
    seed: int = 0
    block: int = 1024
    weights: str = "picture"
    initial: str = "nndsvda"
    repeats: int = 10

    def __post_init__(self) -> None:
        for what, value, choices in (
            ("a penalty", self.penalty, PENALTIES),
            ("weights", self.weights, WEIGHTS),
            ("an initialisation", self.initial, INITIAL),
        ):
            if value not in choices:
                raise SettingError(
                    f"expected {what} of {', '.join(choices)}; got {value!r}{nearest(str(value), choices)}"
                )
        for name in ("rank", "groups", "iterations", "restarts", "block", "repeats", "seed"):
            value, least = getattr(self, name), 0 if name == "seed" else 1
            if value is None and name == "iterations":
                continue
            if type(value) is not int or value < least:
                raise SettingError(f"expected {name} to be a whole number of at least {least}; got {value!r}")
        for name in ("mixtures", "pixels", "neurons", "tolerance"):
            value = getattr(self, name)
            if value is None and name == "tolerance":
                continue
            if type(value) not in (int, float) or not 0 <= value < math.inf:
                raise SettingError(f"expected {name} to be a number of at least 0; got {value!r}")

    @property
    def most_iterations(self) -> int:
        """`iterations`, or the rule's own number."""
        return self.iterations if self.iterations is not None else 50 if self.faithful else 200

    @property
    def least_change(self) -> float:
        """`tolerance`, or the rule's own."""
        return self.tolerance if self.tolerance is not None else 1e-8 if self.faithful else 1e-5

    def loadings_penalty(self, kind: str) -> tuple[float, float]:
        """(ridge, linear) of a matrix's loadings: ridge ||B||^2 + 2 linear ||B||_1 is added to the objective."""
        return (self.pixels, 0.0) if kind == "pixels" else (self.neurons, self.neurons)

    def record(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
